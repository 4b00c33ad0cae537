"""What a page shows, before it is rendered. It knows neither HTML nor a language. None is not known, never zero."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Mapping, NamedTuple, Optional, Sequence, Tuple

from msgspec import Struct

from ....cloud.usage import Usage
from ....errors import Problem
from ....metrics import Number
from ...report.usage_report import Line, UsageReport
from .page_view import PageView


class Total(NamedTuple):
    """The use in a period of all service types, and its cost: a line of all models, None without prices.

    Where it is compared, both lines have the period before in `previous`.
    """

    usage: Line
    cost: Optional[Line] = None


class BudgetRow(NamedTuple):
    """A budget of the running month: the fields of `huawei_maas_budget`. `team` is empty for the whole instance."""

    team: str
    unit: str
    fields: Mapping[str, Number]


class LiveModel(NamedTuple):
    """A model in its newest complete minute: the fields of `huawei_maas_model`. `minute_ms` is its beginning."""

    name: str
    minute_ms: int
    fields: Mapping[str, Number]


class CollectionState(NamedTuple):
    """Whether the numbers can be believed.

    Attributes:
        status: `ok`, `partial` (some queries failed), `failed` (nothing was collected), `overdue` (a cycle did not
            end in time), `starting` (the first cycle has not ended), or `file` (no cycles: a report).
        cycle_ms: when the newest cycle was, None before the first.
        newest_hour_ms: the end of the newest hour with use, None if there is none.
        missing_hours: hours of all series that are still queried; None if it is not known.
        problems: each a line that says what is wrong and what to do, the decisive first.
    """

    status: str
    cycle_ms: Optional[int] = None
    newest_hour_ms: Optional[int] = None
    missing_hours: Optional[int] = None
    problems: Sequence[Problem] = ()


class PageContent(Struct, frozen=True):
    """One page.

    Attributes:
        view: what was asked for.
        instances: the names of all instances.
        months: the months that can be asked for, such as `2026-10`, the newest first.
        groupings: the values of `by` that this instance has.
        tz: the zone of days and hours.
        now_ms: when it was made.
        state: of the collection.
        currency: of all costs; empty without prices.
        has_cached_note: a cost must say that cached input is priced as ordinary input.
        today: its use.
        month: that of the running month.
        comparison: that of the running month up to 3 hours ago, with the same days and hours of the last in `previous`.
        has_budget: a budget is configured.
        budgets: of the running month; none before the first cycle.
        period: the use of the period by service type; a line for each day.
        day_costs: the cost of each of these days.
        hours: the starts of all hours of the period with their use.
        groups: the use of the whole period by team, key or model, the largest first.
        live_models: the busiest first.
    """

    view: PageView
    instances: Tuple[str, ...]
    months: Tuple[str, ...]
    groupings: Tuple[str, ...]
    tz: dt.tzinfo
    now_ms: int
    state: CollectionState
    currency: str
    has_cached_note: bool
    today: Total
    month: Total
    comparison: Total
    has_budget: bool
    budgets: Sequence[BudgetRow]
    period: UsageReport
    day_costs: Sequence[Optional[Decimal]]
    hours: Sequence[Tuple[int, Optional[Usage]]]
    groups: Sequence[UsageReport]
    live_models: Sequence[LiveModel]
