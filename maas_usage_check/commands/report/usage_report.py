"""What a report shows: the usage of groups (service types, labels or models) in periods. It knows no form of output."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from msgspec import Struct
from msgspec.structs import replace

from ...cloud.usage import Usage
from ...config import Instance
from ...config.ranges import Window


class Period(Struct, frozen=True):
    """`[start, end)` in milliseconds since 1970, of a range, day or hour.

    `partial`: it is a part of what its name says. `length` milliseconds were asked for, the numbers cover `covered`.
    """

    name: str
    start: int
    end: int
    partial: bool
    length: int
    covered: int

    @property
    def covered_ratio(self) -> float:
        """Return the share of the period that the numbers cover."""
        return self.covered / self.length if self.length else 1.0

    @property
    def is_incomplete(self) -> bool:
        """Return True if the numbers do not cover all of it."""
        return self.covered < self.length


class Gap(NamedTuple):
    """So many hours of `[start, end)` are not known; milliseconds since 1970."""

    start: int
    end: int
    hours: int


class Group(Struct, frozen=True):
    """One part of the whole: `title` names it for people, `columns` for programs."""

    title: str
    columns: Dict[str, Optional[str]]


class Line(Struct, frozen=True):
    """The usage of each group in a period, and of all together; None is not known.

    Attributes:
        costs: of each group; None also without a price.
        is_cost_complete: the costs cover what the usage covers.
        unpriced: the tokens of each group that have no price.
        gaps: the hours that are not known.
        previous: the same in the period before.
    """

    period: Period
    usages: Tuple[Optional[Usage], ...]
    total: Optional[Usage]
    costs: Tuple[Optional[Decimal], ...] = ()
    total_cost: Optional[Decimal] = None
    is_cost_complete: bool = True
    unpriced: Tuple[int, ...] = ()
    gaps: Tuple[Gap, ...] = ()
    previous: Optional[Line] = None

    def share(self, usage: Optional[Usage]) -> Optional[float]:
        """Divide tokens by those of all groups; None if one is not known, or if no tokens were used."""
        if usage is None or self.total is None or not self.total.total_tokens:
            return None
        return usage.total_tokens / self.total.total_tokens

    def in_order(self, order: Sequence[int]) -> Line:
        """Return the same with its groups in another order."""
        return replace(
            self,
            usages=tuple(self.usages[i] for i in order),
            costs=tuple(self.costs[i] for i in order),
            unpriced=tuple(self.unpriced[i] for i in order),
            previous=self.previous and self.previous.in_order(order),
        )

    @property
    def rows(self) -> Sequence[Row]:
        """Return a row of each group."""
        before = self.previous
        count = len(self.usages)
        costs, none = self.costs or (None,) * count, (None,) * count
        befores = zip(before.usages, before.costs or none) if before else ((None, None),) * count
        return [self._row(usage, cost, *old) for usage, cost, old in zip(self.usages, costs, befores)]

    @property
    def total_row(self) -> Row:
        """Return the row of all groups together."""
        before = self.previous
        return self._row(self.total, self.total_cost, *((before.total, before.total_cost) if before else (None, None)))

    def _row(
        self, usage: Optional[Usage], cost: Optional[Decimal], before: Optional[Usage], cost_before: Optional[Decimal]
    ) -> Row:
        has_costs = self.is_cost_complete and self.previous is not None and self.previous.is_cost_complete
        is_comparable = self.is_comparable
        return Row(usage, cost, self.share(usage), before, cost_before, is_comparable, is_comparable and has_costs)

    @property
    def is_comparable(self) -> bool:
        """Return True if all hours of it and of the period before are known: missing ones would look like a fall."""
        periods = [each.period for each in (self, self.previous) if each is not None]
        return len(periods) == 2 and not any(period.is_incomplete for period in periods)


class Row(NamedTuple):
    """The numbers of a group, or of all, and those of the period before; None is not known."""

    usage: Optional[Usage]
    cost: Optional[Decimal]
    share: Optional[float] = None
    previous_usage: Optional[Usage] = None
    previous_cost: Optional[Decimal] = None
    is_comparable: bool = False
    is_cost_comparable: bool = False

    @property
    def change(self) -> Optional[float]:
        """Return the change of tokens relative to the period before."""
        if self.usage is None or self.previous_usage is None or not self.is_comparable:
            return None
        return _change_ratio(Decimal(self.usage.total_tokens), Decimal(self.previous_usage.total_tokens))

    @property
    def cost_change(self) -> Optional[float]:
        """Return the change of the cost."""
        if self.cost is None or self.previous_cost is None or not self.is_cost_comparable:
            return None
        return _change_ratio(self.cost, self.previous_cost)


class UsageReport(Struct, frozen=True):
    """One table of an instance.

    Attributes:
        tz: the zone of days and hours.
        by: `service`, `key`, `model` or `team`: what the groups are, which do not overlap.
        size: `day` or `hour` where there is a line of each; without it, the whole is the only line.
        batch: whether it is about batch inference.
        is_exact: whether the cloud was asked for exactly this window; else whole hours were added up.
        notes: sentences about the numbers.
        raw: the cloud's answers about an exact window.
    """

    instance: Instance
    project_id: str
    tz: dt.tzinfo
    by: str
    size: Optional[str]
    batch: bool
    groups: Tuple[Group, ...]
    lines: Tuple[Line, ...]
    whole: Line
    is_exact: bool = False
    notes: Tuple[str, ...] = ()
    raw: Tuple[Tuple[Window, str], ...] = ()

    @property
    def is_known(self) -> bool:
        """Return True if any usage is known, or if it is known that there is nothing to use."""
        return any(usage is not None for usage in self.whole.usages) or not self.groups

    @property
    def currency(self) -> Optional[str]:
        """Return the currency of its costs; None if it has none."""
        prices = self.instance.prices
        return prices.currency if prices and self.by in ("model", "team") else None


def _change_ratio(after: Decimal, before: Decimal) -> Optional[float]:
    """Return the change relative to before; None if there was nothing before."""
    return float((after - before) / before) if before else None


def sum_usages(usages: Sequence[Optional[Usage]]) -> Optional[Usage]:
    """Add up usages that do not overlap; None if one is not known, since a partial sum looks like less use."""
    result: Optional[Usage] = None
    for usage in usages:
        if usage is None:
            return None
        result = usage if result is None else result + usage
    return result
