"""Format usage for `report`: tokens as in Huawei's script, a dash for an unknown value."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import List, Optional

from ...cloud.usage import Usage

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
        f"{usage.error_ratio:.2%}",
    ]
