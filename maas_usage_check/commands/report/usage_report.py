"""What a report shows: the usage of groups (service types, labels or models) in periods. It knows no form of output."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Dict, Optional, Sequence, Tuple

from msgspec import Struct

from ...cloud.usage import Usage
from ...config import Instance
from ...config.prices import Price
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


class Group(Struct, frozen=True):
    """One part of the whole: `title` names it for people, `columns` for programs."""

    title: str
    columns: Dict[str, Optional[str]]
    price: Optional[Price] = None

    def cost(self, usage: Optional[Usage]) -> Optional[Decimal]:
        """Price a usage; None if the usage or the price is not known."""
        if usage is None or self.price is None:
            return None
        return self.price.cost(usage.prompt_tokens, usage.completion_tokens)


class Line(Struct, frozen=True):
    """The usage of each group in a period, and of all together; None is not known."""

    period: Period
    usages: Tuple[Optional[Usage], ...]
    total: Optional[Usage]

    def share(self, usage: Optional[Usage]) -> Optional[float]:
        """Divide tokens by those of all groups; None if one is not known, or if no tokens were used."""
        if usage is None or self.total is None or not self.total.total_tokens:
            return None
        return usage.total_tokens / self.total.total_tokens


class UsageReport(Struct, frozen=True):
    """One table of an instance.

    Attributes:
        tz: the zone of days and hours.
        by: `service`, `key` or `model`: what the groups are, which do not overlap.
        size: `day` or `hour` where there is a line of each; without it, the whole is the only line.
        batch: whether it is about batch inference.
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
    notes: Tuple[str, ...] = ()
    raw: Tuple[Tuple[Window, str], ...] = ()

    @property
    def is_exact(self) -> bool:
        """Return True if the cloud was asked for exactly this window; else whole hours were added up."""
        return self.by == "service" and self.size is None

    @property
    def is_known(self) -> bool:
        """Return True if any usage is known, or if it is known that there is nothing to use."""
        return any(usage is not None for usage in self.whole.usages) or not self.groups

    def total_cost(self, line: Line) -> Optional[Decimal]:
        """Add up the costs of the groups with a price; None if there is none, or if the usage of one is not known."""
        costs = [group.cost(usage) for group, usage in zip(self.groups, line.usages) if group.price is not None]
        return None if None in costs or not costs else sum(filter(None, costs), Decimal(0))


def sum_usages(usages: Sequence[Optional[Usage]]) -> Optional[Usage]:
    """Add up usages that do not overlap; None if one is not known, since a partial sum looks like less use."""
    result: Optional[Usage] = None
    for usage in usages:
        if usage is None:
            return None
        result = usage if result is None else result + usage
    return result
