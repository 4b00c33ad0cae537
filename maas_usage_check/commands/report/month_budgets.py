"""The budgets of a calendar month, as the metric `huawei_maas_budget` has them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ...config import Instance
from ...config.ranges import Window
from ...ledger.budgets import COST, TOKENS, Budget, Status
from ...ledger.month_budgets import read_budgets
from ...metrics import CACHED_AS_ORDINARY
from ...state import MissingError, Store
from .amounts import UNKNOWN, abbreviate_tokens, format_cost, format_share
from .coverage import format_covered
from .periods import local_time

FIELDS = (
    "limit", "used", "used_ratio", "forecast", "forecast_ratio", "covered_ratio", "period_start_timestamp_seconds",
    "exhausted_timestamp_seconds",
)  # fmt: skip


class MonthBudgets(NamedTuple):
    """How the budgets of an instance stand in a month. `is_closed`: it is over, so nothing is forecast."""

    instance: Instance
    project_id: str
    month: Window
    is_closed: bool
    found: List[Tuple[Budget, Status]]

    def rows(self) -> Iterator[Dict[str, Any]]:
        """Yield the tags and fields of each budget; None is not known."""
        for budget, status in self.found:
            fields = status.fields()
            if self.is_closed:
                fields = {name: value for name, value in fields.items() if not name.startswith("forecast")}
            tags = {"region": self.instance.region, "project_id": self.project_id, "tags": ",".join(self.instance.tags)}
            scope = {name: budget.tags.get(name) for name in ("scope", "team", "unit")}
            yield {**tags, **scope, **{name: fields.get(name) for name in FIELDS}}

    def cells(self, tz: dt.tzinfo) -> Iterator[List[str]]:
        """Yield each budget for people: whose, unit, limit, used, share, forecast, share, exhausted on, covered."""
        for budget, status in self.found:
            forecast = None if self.is_closed else status.forecast
            exhausted = None if status.exhausted_ms is None else local_time(status.exhausted_ms, tz)
            limit, used, foreseen = (_amount(budget.kind, each) for each in (status.limit, status.used, forecast))
            yield [
                budget.tags.get("team", "all"),
                budget.tags["unit"],
                limit,
                used,
                _share(status.used, status.limit),
                foreseen,
                _share(forecast, status.limit),
                f"{exhausted:%Y-%m-%d %H:%M}" if exhausted else UNKNOWN,
                UNKNOWN if status.covered is None else format_covered(status.covered),
            ]

    def notes(self) -> Iterator[str]:
        """Yield the sentences below the table."""
        prices = self.instance.prices
        if prices and not prices.has_cached_share and any(budget.kind == COST for budget, _ in self.found):
            yield CACHED_AS_ORDINARY


def read_month_budgets(store: Store, instance: Instance, project_id: str, month: Window, now_ms: int) -> MonthBudgets:
    """Read the budgets of an instance; without a ledger, there are none. Raise UnusableError if it cannot be read."""
    try:
        found = read_budgets(store, instance, project_id, month, now_ms)
    except MissingError:
        found = []
    return MonthBudgets(instance, project_id, month, month.end <= now_ms, found)


def _amount(kind: str, amount: Optional[Decimal]) -> str:
    if amount is None:
        return UNKNOWN
    return abbreviate_tokens(int(amount)) if kind == TOKENS else format_cost(amount)


def _share(amount: Optional[Decimal], limit: Decimal) -> str:
    return format_share(None if amount is None else float(amount / limit))
