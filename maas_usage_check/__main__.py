"""The program: `maas-usage-check`, or `python -m maas_usage_check`."""

from __future__ import annotations

import gc


def run() -> None:
    """Run the command line, without looking for garbage until it is known what runs.

    A `collect` is over before there is any; looking for it takes a twentieth of one (`make bench`).
    """
    gc.disable()
    from .cli import run as run_command

    run_command()


if __name__ == "__main__":
    run()
