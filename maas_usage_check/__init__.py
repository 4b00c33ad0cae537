"""Report what a team uses on Huawei Cloud MaaS to the monitoring agent it already has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from .datadog.check import MaasUsageCheck as MaasUsageCheck

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the check when it is asked for: the command line must not wait for the Agent's base library."""
    if name == "MaasUsageCheck" and _has_base():
        from .datadog.check import MaasUsageCheck

        return MaasUsageCheck
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    """Show the Agent, which looks for a check among these names, the one that there is."""
    return sorted({*globals(), *(["MaasUsageCheck"] if _has_base() else [])})


def _has_base() -> bool:
    from importlib.util import find_spec

    try:
        return find_spec("datadog_checks.base") is not None
    except ModuleNotFoundError:  # not even the namespace
        return False
