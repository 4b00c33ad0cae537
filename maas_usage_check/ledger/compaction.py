"""Compaction: hours that cannot change any more are folded into the counters, and in time become days."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Dict, NamedTuple, Optional, Sequence

from msgspec import Struct

from ..config.ranges import Zone, local_days
from .counters import fold
from .hour_store import HourStore
from .hour_values import DAY, HOURS_KEPT, KEPT, floor_hour, oldest_hour
from .schema import Transaction

if TYPE_CHECKING:
    from ..config.model_prices import ModelPrices


class Compaction(Struct, omit_defaults=True):
    """Until when a consumer's hours are folded, in milliseconds."""

    max_age_s: ClassVar[float] = 40 * 86_400.0

    until: int = 0


class OldHours(NamedTuple):
    """The hours of a series, and the prices of its tokens in a currency; None where it has no cost.

    `kept_ms`: they are kept for so long.
    """

    hour_store: HourStore
    prices: Optional[ModelPrices] = None
    currency: str = ""
    kept_ms: int = HOURS_KEPT


def is_due(transaction: Transaction, name: str) -> bool:
    """Return True once an hour for each name."""
    return transaction.get(Compaction, name).until != oldest_hour(transaction.now_ms)


def compact(transaction: Transaction, name: str, series: Sequence[OldHours], zone: Zone) -> None:
    """Fold the hours that are never queried again; those of 62 days ago become days of `zone`; old days are deleted.

    Call it where it is due, and only after an answer of the cloud: the clock is right then. It cannot be undone.
    """
    until, last = oldest_hour(transaction.now_ms), transaction.get(Compaction, name)
    transaction.put(name, Compaction(until))
    # A history that began in the future, by a wrong clock, would not count.
    transaction.run("UPDATE series SET began = ? WHERE began > ?", (transaction.now_ms, transaction.now_ms))
    folded_until: Dict[int, int] = dict(transaction.select("SELECT id, frozen_until FROM series"))
    for each in series:
        if folded_until[each.hour_store.id] < until:
            fold(each.hour_store, until)
        _make_days(each, floor_hour(transaction.now_ms - each.kept_ms), zone)
    transaction.run("DELETE FROM questions WHERE until <= ?", (until,))
    if last.until // DAY != until // DAY:  # it reads all rows: once a day
        for table in ("hours", "days"):
            transaction.run(f"DELETE FROM {table} WHERE start < ?", (transaction.now_ms - KEPT,))


def _make_days(old: OldHours, until: int, zone: Zone) -> None:
    """Replace the hours of each day that ended before `until` by their sum. Days never overlap, whatever their zone."""
    oldest = old.hour_store.oldest_start()
    if oldest is None or oldest + DAY > until:
        return
    from .day_store import newest_day_end, put_day

    begun = newest_day_end(old.hour_store)
    for start, end in local_days(oldest, until, zone()):
        if end <= until:
            put_day(old.hour_store, max(start, begun), end, old.prices, old.currency)
