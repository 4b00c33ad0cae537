"""Budgets of the calendar month: how much of them is used, the forecast, and when they are exhausted."""

from __future__ import annotations

from decimal import Decimal
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..cloud.source import HourSeries
from ..config import Instance
from ..config.prices import sum_costs
from ..config.ranges import Window, ceil_hour
from ..metrics import BUDGET, Number, Point
from .day_store import Day, days, stored_hours
from .hour_store import HourStore
from .hour_values import DAY, HOUR, HOURS_KEPT, TOTAL_TOKENS, floor_hour

DUE_AFTER = 3 * HOUR
"""`covered_ratio` expects an hour so long after its end: the statistics lag 1 to 2 hours (console manual)."""
WEEK = 7 * DAY
"""The forecast takes the mean of so much time."""
TOKENS, COST = "tokens", "cost"


class Member(NamedTuple):
    """A series that a budget adds up. In the windows `unused` it had no use, so their hours need not be stored."""

    series: HourSeries
    hour_store: HourStore
    unused: Sequence[Tuple[int, int]] = ()

    @property
    def is_by_key(self) -> bool:
        """Return True if it is the part of one API key."""
        return not {"api_key_label", "maas_key_id"}.isdisjoint(self.series.tags)

    def used(self, kind: str, start: int, until: int) -> Decimal:
        """Add up the known hours of a window, and its days where hours are no longer kept."""
        found = self._days(start, until)
        of_days = [day.values[TOTAL_TOKENS] if kind == TOKENS else day.cost(self.series.currency) or 0 for day in found]
        _, of_hours = self._of_hours(kind, start, until)
        return sum_costs([of_hours, *map(Decimal, of_days)])

    def _days(self, start: int, until: int) -> List[Day]:
        """List the days within a window."""
        if start >= self.hour_store.transaction.now_ms - HOURS_KEPT:
            return []
        return [day for day in days(self.hour_store, start, until) if start <= day.start and day.until <= until]

    def hourly_rate(self, kind: str, now_ms: int) -> Optional[Decimal]:
        """Return the mean of the known settled hours of the last 7 days; None without any."""
        start, until = floor_hour(now_ms - WEEK), floor_hour(now_ms)
        hours, amount = self._of_hours(kind, start, until, settled_only=True)
        if self.unused:
            hours += known_hours([self], start, until)[0] - self.hour_store.count(start, until)
        return amount / hours if hours else None

    def _of_hours(self, kind: str, start: int, until: int, settled_only: bool = False) -> Tuple[int, Decimal]:
        """Return how many hours of a window are known, and their tokens or cost."""
        if kind == TOKENS:
            hours, values = self.hour_store.total(start, until, settled_only)
            return hours, Decimal(values[TOTAL_TOKENS])
        from .priced_hours import priced_sums

        transaction, series = self.hour_store.transaction, {self.hour_store.id: self.series.prices}
        sums = [each for _, each in priced_sums(transaction, series, start, until, settled_only)]
        return sum(each.hours for each in sums), sum_costs(each.cost.total for each in sums)


def known_hours(members: Sequence[Member], start: int, until: int) -> List[int]:
    """Count the hours of a window that are stored of each series, or in which it had no use."""
    if not members:
        return []
    whole = [(each.hour_store.id, start, until) for each in members]
    unused = [
        (number, (each.hour_store.id, max(first, start), min(end, until)))
        for number, each in enumerate(members)
        for first, end in each.unused
        if max(first, start) < min(end, until)
    ]
    stored = stored_hours(members[0].hour_store.transaction, [*whole, *(window for _, window in unused)])
    known = stored[: len(members)]
    for (number, (_, first, end)), within in zip(unused, stored[len(members) :]):
        known[number] += (end - first) // HOUR - within
    return [min((until - start) // HOUR, each) for each in known]


class Budget(NamedTuple):
    """One budget of a month: `kind` is TOKENS or COST, and `tags` are `scope`, `unit` and `team`."""

    tags: Dict[str, str]
    kind: str
    limit: Decimal
    month: Window
    members: Sequence[Member]


class Status(NamedTuple):
    """How a budget stands; None is not known. Times are milliseconds since 1970."""

    limit: Decimal
    month: Window
    covered: Optional[float] = None
    used: Optional[Decimal] = None
    forecast: Optional[Decimal] = None
    exhausted_ms: Optional[int] = None

    def fields(self) -> Dict[str, Number]:
        """Return the fields of a point."""
        amounts = {"limit": self.limit, "used": self.used, "forecast": self.forecast}
        fields: Dict[str, Number] = {name: float(amount) for name, amount in amounts.items() if amount is not None}
        ratios = {f"{name}_ratio": amounts[name] for name in ("used", "forecast")}
        fields.update({name: float(amount / self.limit) for name, amount in ratios.items() if amount is not None})
        if self.covered is not None:
            fields["covered_ratio"] = self.covered
        fields["period_start_timestamp_seconds"] = self.month.start / 1000
        if self.exhausted_ms is not None:
            fields["exhausted_timestamp_seconds"] = float(self.exhausted_ms // 1000)
        return fields


def find_budgets(instance: Instance, kind: str, month: Window, members: Sequence[Member]) -> Iterator[Budget]:
    """Yield the budgets of a kind: of the instance and of each team, with the series that each adds up."""
    unit = instance.prices.currency if kind == COST and instance.prices else TOKENS
    priced = [each for each in members if kind == TOKENS or each.series.prices is not None]
    limit = getattr(instance.budget, kind, None)
    if limit is not None:
        whole = [each for each in priced if not each.is_by_key]
        yield Budget({"scope": "all", "unit": unit}, kind, Decimal(limit), month, whole)
    for team, of_team in instance.teams.items():
        limit = getattr(of_team.budget, kind)
        if limit is not None:
            own = [each for each in priced if each.is_by_key and each.series.tags["team"] == team]
            yield Budget({"scope": "team", "team": team, "unit": unit}, kind, Decimal(limit), month, own)


def budget_points(budgets: Sequence[Budget], now_ms: int, tags: Dict[str, str]) -> Iterator[Point]:
    """Yield a point of each budget."""
    for budget in budgets:
        yield Point(BUDGET, {**budget.tags, **tags}, status(budget, now_ms).fields(), now_ms * 1_000_000)


def status(budget: Budget, now_ms: int) -> Status:
    """Compute how a budget stands. An hour belongs to the month in which it begins."""
    kind, limit, month, members = budget.kind, budget.limit, budget.month, budget.members
    start, until = ceil_hour(month.start), ceil_hour(month.end)
    due_until = max(start, min(until, floor_hour(now_ms - DUE_AFTER)))
    due = (due_until - start) // HOUR * len(members)
    covered = sum(known_hours(members, start, due_until)) / due if due else None
    if not any(known_hours(members, start, until)):
        return Status(limit, month, covered)
    used = sum_costs(each.used(kind, start, until) for each in members)
    left_hours = Decimal(max(0, month.end - now_ms)) / HOUR
    rates = [each.hourly_rate(kind, now_ms) for each in members] if left_hours else []
    rate = None if None in rates else sum(filter(None, rates), Decimal(0))
    forecast = None if rate is None else used + rate * left_hours
    exhausted_ms = None
    if used >= limit:
        exhausted_ms = _crossing(budget, start, until)
    elif rate is not None and forecast is not None and forecast >= limit:
        exhausted_ms = now_ms + int((limit - used) / rate * HOUR)
    return Status(limit, month, covered, used, forecast, exhausted_ms)


def _crossing(budget: Budget, start: int, until: int) -> int:
    """Return the end of the hour in which a used-up budget was reached, or of the day where hours are not kept."""
    first, left = start, budget.limit
    has_days = start < budget.members[0].hour_store.transaction.now_ms - HOURS_KEPT
    while until - start > HOUR:
        middle = floor_hour((start + until) // 2)
        part = sum(each.used(budget.kind, first, middle) for each in budget.members)
        if part >= left:
            until = middle
        else:
            start = middle
            if not has_days:  # a day that is cut counts in neither half
                first, left = middle, left - part
    return until
