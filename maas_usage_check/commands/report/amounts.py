"""How `report` writes numbers: tokens as Huawei's script does, and a dash for what is not known."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import List, Optional

from ...cloud.usage import Usage

UNKNOWN = "-"


def tokens(count: int) -> str:
    """Write a number of tokens as the script does: 2,482.08 M tokens, 12.40 K tokens."""
    scale, letter = (1_000_000, "M") if count >= 1_000_000 else (1_000, "K")
    scaled = (Decimal(count) / scale).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"{scaled:,} {letter} tokens"


def short(count: int) -> str:
    """Write a number of tokens without the word."""
    return tokens(count).replace(" tokens", "")


def cells(usage: Optional[Usage], unit: str = "") -> List[str]:
    """Write tokens (total, prompt, completion), requests, errors and error rate."""
    if usage is None:
        return [UNKNOWN] * 6
    parts = (usage.total_tokens, usage.prompt_tokens, usage.completion_tokens)
    return [
        *(short(part) + unit for part in parts),
        f"{usage.requests:,}",
        f"{usage.errors:,}",
        f"{usage.error_ratio:.2%}",
    ]
