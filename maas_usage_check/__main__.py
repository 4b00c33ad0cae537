"""Run the command line as `python -m maas_usage_check`."""

from __future__ import annotations

from .cli import run

if __name__ == "__main__":
    run()
