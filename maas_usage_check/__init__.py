"""Report a team's Huawei Cloud MaaS usage to the monitoring agent it already has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

from .version import __version__

if TYPE_CHECKING:
    from .datadog.check import MaasUsageCheck as MaasUsageCheck

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    """Import the check lazily: the command line must not load the Agent's base library."""
    if name == "MaasUsageCheck" and _has_agent_base():
        from .datadog.check import MaasUsageCheck

        return MaasUsageCheck
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    """Include the lazily imported check: the Agent finds its check class by `dir`."""
    return sorted({*globals(), *(["MaasUsageCheck"] if _has_agent_base() else [])})


def _has_agent_base() -> bool:
    from importlib.util import find_spec  # saves 2 million instructions of a `collect`

    try:
        return find_spec("datadog_checks.base") is not None
    except ModuleNotFoundError:  # no namespace package either
        return False
