"""The stored hours of one series."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from msgspec import Struct

from .hour_values import FIELDS, HOUR, Values, floor_hour, oldest_hour
from .schema import COLUMNS, SUMS, Transaction

NO_SERIES = 0
"""Ids begin with 1."""
_FIND = "SELECT id FROM series WHERE name = ?"
_WITHIN = "series = ? AND start >= ? AND start < ?"
_PUT = (
    f"INSERT INTO hours VALUES ({', '.join('?' * (len(FIELDS) + 4))}) ON CONFLICT (series, start) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in FIELDS)
    + ", settled = MAX(settled, excluded.settled), changed = ? WHERE settled < excluded.settled OR "
    + " OR ".join(f"{name} <> excluded.{name}" for name in FIELDS)
)


class WindowTotal(NamedTuple):
    """How many hours of a window are known, and their sum."""

    hours: int
    values: Values


class Hour(Struct, frozen=True, gc=False):
    """One hour; `start` is milliseconds since 1970. For `gc` see Point."""

    start: int
    values: Values
    settled: bool


def series_ids(transaction: Transaction) -> Dict[str, int]:
    """Return the ids of all series by their names."""
    return dict(transaction.select("SELECT name, id FROM series"))


class HourStore:
    """Read and write the hours of one series. Windows are `[start, until)`, full hours, milliseconds since 1970.

    Args:
        transaction: the open transaction.
        name: of the series. An unknown series is inserted; its history begins later, with the first answer.
        settled_after_ms: an hour is final so many milliseconds after its end.
        ids: of all series, to read: an unknown one is not inserted, and has no hours.
    """

    def __init__(
        self, transaction: Transaction, name: str, settled_after_ms: int, ids: Optional[Mapping[str, int]] = None
    ) -> None:
        self.transaction = transaction
        self.settled_after_ms = settled_after_ms
        if ids is not None:
            self.id = ids.get(name, NO_SERIES)
            return
        found = transaction.select_one(_FIND, (name,))
        if not found:
            transaction.raise_if_series_lost()
            transaction.run("INSERT INTO series (name) VALUES (?)", (name,))
            found = transaction.select_one(_FIND, (name,))
        self.id = int(found[0])

    @property
    def settled_until(self) -> int:
        """Return the end of the newest final hour."""
        return floor_hour(self.transaction.now_ms - self.settled_after_ms)

    def first_hours(self, backfill_ms: int) -> Tuple[int, int]:
        """Return the first hour of this instance, and the first one that any instance with this series needs.

        The first is `backfill_ms` before the history began, but never so old that it cannot be queried, nor folded.
        """
        began, shared, folded_until = self.transaction.select_one(
            "SELECT began, hours_from, frozen_until FROM series WHERE id = ?", (self.id,)
        )
        first = floor_hour(began or self.transaction.now_ms) - backfill_ms
        earliest = min(first, shared or first)
        if began and earliest != shared:
            self.transaction.run("UPDATE series SET hours_from = ? WHERE id = ?", (earliest, self.id))
        oldest = max(oldest_hour(self.transaction.now_ms), folded_until)
        return max(oldest, first), max(oldest, earliest)

    @property
    def began_ms(self) -> int:
        """Return when its history began, in milliseconds; 0 before the first valid answer."""
        return int(self.transaction.select_one("SELECT began FROM series WHERE id = ?", (self.id,))[0])

    def begin(self, at_ms: int) -> None:
        """Begin its history, unless it has begun."""
        self.transaction.run("UPDATE series SET began = ? WHERE id = ? AND began = 0", (at_ms, self.id))

    def count(self, start: int, until: int) -> int:
        """Count the known hours of a window."""
        statement = f"SELECT COUNT(*) FROM hours WHERE {_WITHIN}"
        return int(self.transaction.select_one(statement, (self.id, start, until))[0])

    def total(self, start: int, until: int, settled_only: bool = False) -> WindowTotal:
        """Add up the known hours of a window."""
        statement = f"SELECT COUNT(*), {SUMS} FROM hours WHERE {_WITHIN} AND settled >= ?"
        hours, *values = self.transaction.select_one(statement, (self.id, start, until, settled_only))
        return WindowTotal(hours, tuple(values))

    def known_values(self, start: int, until: int) -> Dict[int, Values]:
        """Return the known hours of a window by their start."""
        rows = self.transaction.select(f"SELECT start, {COLUMNS} FROM hours WHERE {_WITHIN}", (self.id, start, until))
        return {at: tuple(values) for at, *values in rows}

    def known_starts(self, start: int, until: int) -> List[int]:
        """List the starts of the known hours of a window, the newest first."""
        rows = self.transaction.select(
            f"SELECT start FROM hours WHERE {_WITHIN} ORDER BY start DESC", (self.id, start, until)
        )
        return [at for (at,) in rows]

    def hours(self, start: int, until: int, changed_since: int = 1) -> List[Hour]:
        """List the hours of a window that changed at this logical time or later.

        An hour that never had use is listed once it is settled.
        """
        rows = self.transaction.select(
            f"SELECT start, settled, changed, {COLUMNS} FROM hours "
            f"WHERE {_WITHIN} AND COALESCE(changed, '') >= ? ORDER BY start",
            (self.id, start, until, changed_since),
        )
        return [Hour(row[0], row[3:], bool(row[1])) for row in rows]

    def newest_use_end(self, before: int = 2**62) -> Optional[int]:
        """Return the end of the newest hour with use that can be queried and starts before `before`, or None."""
        row = self.transaction.select_one(
            f"SELECT start FROM hours WHERE {_WITHIN} AND (total_tokens > 0 OR requests > 0) "
            "ORDER BY start DESC LIMIT 1",
            (self.id, oldest_hour(self.transaction.now_ms), before),
        )
        return row[0] + HOUR if row else None

    def oldest_start(self) -> Optional[int]:
        """Return the start of the oldest stored hour, or None."""
        row = self.transaction.select_one("SELECT start FROM hours WHERE series = ? ORDER BY start LIMIT 1", (self.id,))
        return row[0] if row else None

    def put(self, start: int, until: int, values: Values) -> None:
        """Store the same values for every hour of a window."""
        self.put_each([(at, values) for at in range(start, until, HOUR)])

    def put_each(self, hours: Sequence[Tuple[int, Values]]) -> None:
        """Store hours by their starts; a known hour gets a new logical time only if it changed."""
        changed = self.transaction.advance_logical_clock()
        final = self.settled_until
        self.transaction.run_many(
            _PUT,
            [
                (self.id, at, *values, at < final, changed if any(values) or at < final else 0, changed)
                for at, values in hours
            ],
        )

    def confirm(self, start: int, until: int) -> None:
        """Mark the final hours of a window as settled: the cloud has confirmed its total."""
        within = (self.id, start, min(until, self.settled_until))
        if self.transaction.select(f"SELECT 1 FROM hours WHERE {_WITHIN} AND settled = 0 LIMIT 1", within):
            self.transaction.run(
                f"UPDATE hours SET settled = 1, changed = ? WHERE {_WITHIN} AND settled = 0",
                (self.transaction.advance_logical_clock(), *within),
            )
