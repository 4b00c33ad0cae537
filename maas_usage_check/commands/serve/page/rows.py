"""The rows of the tables: groups with their share and cost, models now, and this month against the last."""

from __future__ import annotations

from decimal import Decimal
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ....config import ONLINE_EXPERIENCE
from ....config.prices import sum_costs
from ...report.usage_report import Line, Row, UsageReport
from .columns import percent
from .content import LiveModel, PageContent
from .formats import Formats, cut_name

LIMITS = ("requests_limit_ratio", "tokens_limit_ratio")


class GroupRow(NamedTuple):
    """A team, API key, model or service type; None is not known. `text` names a text instead of a name."""

    name: str
    text: str
    batch: bool
    width: str
    tokens: Optional[int]
    share: Optional[float]
    cost: Optional[Decimal]
    unpriced: int


class GroupTable(NamedTuple):
    """The groups of a report, and the line of all of them."""

    by: str
    batch: bool
    has_cost: bool
    rows: Sequence[GroupRow]
    whole: Line


def group_tables(content: PageContent) -> Iterator[GroupTable]:
    """Yield a table for each report of groups."""
    for report in content.groups:
        whole, has_cost = report.whole, bool(content.currency) and report.by != "service"
        none = (None,) * len(report.groups)
        largest = max((usage.total_tokens for usage in whole.usages if usage), default=0)
        every = zip(report.groups, whole.usages, whole.costs or none, whole.unpriced or (0,) * len(report.groups))
        rows = []
        for group, usage, cost, unpriced in every:
            width = percent(100 * usage.total_tokens / largest) if usage and largest else "0%"
            tokens = usage.total_tokens if usage else None
            text = _text_of(report, group.title, group.columns.get("service_type"))
            batch, share = group.columns.get("infer_type") == "batch", whole.share(usage)
            rows.append(GroupRow(cut_name(group.title), text, batch, width, tokens, share, cost, unpriced))
        yield GroupTable(report.by, report.batch, has_cost, rows, whole)


def _text_of(report: UsageReport, title: str, service_type: Optional[str]) -> str:
    """Return the key of the text for a group that the plugin itself named."""
    if report.by == "service":
        return service_type or ""
    own = {
        "team": {"unassigned": "unassigned"},
        "key": {"Other keys": "other_keys", ONLINE_EXPERIENCE: ONLINE_EXPERIENCE},
    }
    return own.get(report.by, {}).get(title, "")


def total_day_cost(content: PageContent) -> Tuple[Optional[Decimal], bool]:
    """Add up the known costs of the days, and return whether some are not known."""
    known = [cost for cost in content.day_costs if cost is not None]
    return (sum_costs(known) if known else None), len(known) < len(content.day_costs)


class LimitShare(NamedTuple):
    """The used share of a limit, None is not known, and the width of its bar. `is_set`: there may be a limit."""

    ratio: Optional[float]
    width: str
    is_set: bool


class LiveRow(NamedTuple):
    """A model in a minute; None is not known. `is_idle`: it had no call, so there is no duration."""

    model: LiveModel
    name: str
    errors: Optional[float]
    is_idle: bool
    limits: Sequence[LimitShare]


def live_rows(content: PageContent) -> Tuple[List[LiveRow], List[bool]]:
    """Return the rows of the models now, and which of the two limits any of them has."""
    has = [any(name in each.fields for each in content.live_models) for name in LIMITS]
    names = [name for name, is_used in zip(LIMITS, has) if is_used]
    rows = []
    for model in content.live_models:
        errors = [model.fields.get(name) for name in ("errors_4xx", "errors_5xx")]
        known = [each for each in errors if each is not None]
        total = sum(known) if len(known) == len(errors) else None
        is_idle = model.fields.get("requests_per_minute") == 0
        limits = [_limit_share(model, name) for name in names]
        rows.append(LiveRow(model, cut_name(model.name), total, is_idle, limits))
    return rows, has


def _limit_share(model: LiveModel, name: str) -> LimitShare:
    ratio = model.fields.get(name)
    rate = name.replace("_limit_ratio", "_per_minute")
    return LimitShare(ratio, percent(min(100.0, 100 * (ratio or 0))), ratio is not None or rate not in model.fields)


class MonthRow(NamedTuple):
    """A number of this month and of the last; None is not known."""

    text: str
    now: Optional[str]
    before: Optional[str]
    change: Optional[str]


def month_rows(content: PageContent, formats: Formats) -> Iterator[MonthRow]:
    """Yield the numbers of this month against the last."""
    row = content.comparison.usage.total_row
    names = (("total", "total_tokens"), ("prompt", "prompt_tokens"), ("completion", "completion_tokens"))
    for text, name in (*names, ("requests_head", "requests"), ("errors_head", "errors")):
        now, before = (getattr(usage, name, None) for usage in (row.usage, row.previous_usage))
        change = formats.change(_change(row, now, before))
        yield MonthRow(text, formats.exact(now), formats.exact(before), change)
    if content.comparison.cost is not None:
        of_cost = content.comparison.cost.total_row
        costs = formats.amount(of_cost.cost), formats.amount(of_cost.previous_cost)
        yield MonthRow("cost", *costs, formats.change(of_cost.cost_change))


def _change(row: Row, now: Optional[int], before: Optional[int]) -> Optional[float]:
    """Return the change of a number; None without all hours of both months, or from nothing."""
    return (now - before) / before if row.is_comparable and now is not None and before else None
