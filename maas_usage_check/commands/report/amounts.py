"""Format usage for `report`: tokens as in Huawei's script, a dash for an unknown value."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import List, Optional

from ...cloud.usage import Usage
from ...config.ranges import HOUR
from .usage_report import Period

UNKNOWN = "-"


def format_tokens(count: int) -> str:
    """Format a token count as Huawei's script does: 2,482.08 M tokens, 12.40 K tokens."""
    scale, letter = (1_000_000, "M") if count >= 1_000_000 else (1_000, "K")
    scaled = (Decimal(count) / scale).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"{scaled:,} {letter} tokens"


def abbreviate_tokens(count: int) -> str:
    """Format a token count without its unit: 2,482.08 M."""
    return format_tokens(count).replace(" tokens", "")


def usage_cells(usage: Optional[Usage], unit: str = "") -> List[str]:
    """Format total, prompt and completion tokens, requests, errors and error rate."""
    if usage is None:
        return [UNKNOWN] * 6
    parts = (usage.total_tokens, usage.prompt_tokens, usage.completion_tokens)
    return [
        *(abbreviate_tokens(part) + unit for part in parts),
        f"{usage.requests:,}",
        f"{usage.errors:,}",
        UNKNOWN if usage.error_ratio is None else f"{usage.error_ratio:.2%}",
    ]


def format_cost(cost: Optional[Decimal]) -> str:
    """Format an amount of money with two decimals."""
    if cost is None:
        return UNKNOWN
    rounded = cost.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return "<0.01" if cost and not rounded else f"{rounded:,}"


def format_share(share: Optional[float]) -> str:
    """Format a share in percent."""
    return UNKNOWN if share is None else f"{share:.1%}"


def format_change(change: Optional[float]) -> str:
    """Format a change in percent, with its sign."""
    return UNKNOWN if change is None else f"{change:+.1%}"


def format_hours(period: Period) -> str:
    """Write how many hours of a period the numbers cover; empty if all of them."""
    return f"{period.covered // HOUR:,} of {period.length // HOUR:,}" if period.covered < period.length else ""
