"""The budgets of the month as bars, the most urgent first."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from .columns import percent
from .content import BudgetRow, PageContent
from .formats import Formats

TOKENS = "tokens"
USED_UP, WILL_BE_USED_UP, UNKNOWN, LASTS = "over", "warn", "unknown", "ok"
"""Levels, which are classes, by urgency."""


class BudgetBar(NamedTuple):
    """One budget for people; None is not known. Widths are in percent of the bar, which is the budget."""

    team: str
    unit: str
    level: str
    limit: Optional[str]
    used: Optional[str]
    exact: Optional[str]
    used_share: Optional[str]
    used_width: str
    forecast_share: Optional[str]
    forecast_width: str
    exhausted_ms: Optional[int]
    covered: Optional[str]


def draw_budgets(content: PageContent, formats: Formats) -> List[BudgetBar]:
    """Sort and lay out the budgets."""
    return [_bar(row, formats) for row in sorted(content.budgets, key=_urgency)]


def _bar(row: BudgetRow, formats: Formats) -> BudgetBar:
    is_tokens = row.unit == TOKENS
    fields, write = row.fields, formats.short if is_tokens else formats.money
    used, forecast, covered = (fields.get(name) for name in ("used_ratio", "forecast_ratio", "covered_ratio"))
    exhausted = fields.get("exhausted_timestamp_seconds")
    return BudgetBar(
        row.team,
        row.unit,
        _level(row),
        (formats.round if is_tokens else formats.amount)(fields.get("limit")),
        write(fields.get("used")),
        formats.exact(fields.get("used")) if is_tokens else None,
        formats.percent(used),
        _width(used),
        formats.percent(forecast),
        _width(forecast),
        None if exhausted is None else int(exhausted * 1000),
        formats.percent(covered) if covered is not None and covered < 1 else None,
    )


def _level(row: BudgetRow) -> str:
    used, forecast = row.fields.get("used_ratio"), row.fields.get("forecast_ratio")
    if used is None:
        return UNKNOWN
    if used >= 1:
        return USED_UP
    if "exhausted_timestamp_seconds" in row.fields:
        return WILL_BE_USED_UP
    return UNKNOWN if forecast is None else LASTS


def _urgency(row: BudgetRow) -> Tuple[int, float, float]:
    level = (USED_UP, WILL_BE_USED_UP, UNKNOWN, LASTS).index(_level(row))
    largest = max(row.fields.get("used_ratio", 0), row.fields.get("forecast_ratio", 0))
    return level, row.fields.get("exhausted_timestamp_seconds", 0), -largest


def _width(ratio: Optional[float]) -> str:
    return percent(min(100.0, max(0.0, 100 * (ratio or 0))))
