"""The program: `maas-usage-check`, or `python -m maas_usage_check`."""

from __future__ import annotations

import gc
import importlib.util
import sys
from types import ModuleType
from typing import Any

UNUSED = ("pyasn1.codec.der.encoder", "pyasn1.codec.der.decoder", "pyasn1.type.univ")
"""Modules that the SDK's Signer imports for signature algorithms that are not used here."""


def run() -> None:
    """Run the command line with garbage collection off; commands other than `collect` turn it on again.

    A `collect` exits before garbage matters; collecting takes a twentieth of its time (`make bench`).
    """
    gc.disable()
    if sys.argv[1:2] == ["collect"]:
        for name in UNUSED:
            put_off(name)
        do_without_reader()
    from .cli import run as run_command

    run_command()


def put_off(name: str) -> None:
    """Let a module, if there is one, load when it is first used, which in a `collect` is never.

    Not in a process that others share, nor once it has threads: what loads late is not locked. It saves an eighth of
    the instructions of a `collect` (58 of 450 million), logging and traceback among them.
    """
    try:
        spec = importlib.util.find_spec(name)
    except ImportError:  # not even its package
        return
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    package, _, own = name.rpartition(".")
    setattr(sys.modules[package], own, module)  # else `from package import own` would look at it, and so load it


def do_without_reader() -> None:
    """Import PyYAML without its reader in Python, where libyaml reads in its place.

    To compile the one pattern of that reader takes another eighth of the instructions (57 of 447 million).
    """

    def stand_in(name: str) -> Any:
        from yaml.error import YAMLError

        sys.modules["yaml"].reader = reader  # type: ignore[attr-defined] # as an import would, and _yaml looks there
        return type(name, (YAMLError,) if name == "ReaderError" else (), {})

    reader = ModuleType("yaml.reader")
    reader.__dict__.update(__all__=["Reader", "ReaderError"], __getattr__=stand_in)
    sys.modules["yaml.reader"] = reader
    import yaml

    if not yaml.__with_libyaml__:
        for name in [name for name in sys.modules if name.split(".")[0] == "yaml"]:
            del sys.modules[name]


if __name__ == "__main__":
    run()
