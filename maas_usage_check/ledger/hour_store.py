"""The ledger: what is known of each hour of one series."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from .hour_values import FIELDS, HOUR, SETTLED_AFTER, Values, floor_hour, settled_until
from .schema import COLUMNS, SUMS, Transaction

_FIND = "SELECT id FROM series WHERE name = ?"
_WITHIN = "series = ? AND start >= ? AND start < ?"
_PUT = (
    f"INSERT INTO hours VALUES ({', '.join('?' * (len(FIELDS) + 4))}) ON CONFLICT (series, start) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in FIELDS)
    + ", settled = MAX(settled, excluded.settled), changed = ? WHERE settled < excluded.settled OR "
    + " OR ".join(f"{name} <> excluded.{name}" for name in FIELDS)
)


class WindowTotal(NamedTuple):
    """Hold what the ledger knows of a window: how many of its hours, and their sum."""

    hours: int
    values: Values


class Hour(NamedTuple):
    """Hold one hour; `start` is milliseconds since 1970."""

    start: int
    values: Values
    settled: bool


class HourStore:
    """Read and write the hours of one series; windows are `[start, until)` in milliseconds, of full hours.

    A series is new when it is first named; its history begins later, with an answer of the cloud. `settles` is how many
    milliseconds after its end an hour is final.
    """

    def __init__(self, transaction: Transaction, name: str, settled_after_ms: int = SETTLED_AFTER) -> None:
        self.transaction = transaction
        self.settled_after_ms = settled_after_ms
        found = transaction.run(_FIND, (name,)).fetchone()
        if not found:
            transaction.check_series()
            transaction.run("INSERT INTO series (name) VALUES (?)", (name,))
            found = transaction.run(_FIND, (name,)).fetchone()
        self.id = int(found[0])

    @classmethod
    def find(cls, transaction: Transaction, name: str) -> Optional[HourStore]:
        """Find the ledger of a series without making it new; None where it was never named."""
        return cls(transaction, name) if transaction.run(_FIND, (name,)).fetchone() else None

    def first_hours(self, oldest: int, backfill_ms: int) -> Tuple[int, int]:
        """Tell where the hours begin, and from where on they are asked for anybody who shares the series.

        They begin so many milliseconds before the history, but not before the oldest.
        """
        row = self.transaction.run(
            "SELECT began, hours_from, frozen_until FROM series WHERE id = ?", (self.id,)
        ).fetchone()
        began, shared, frozen = row
        first = floor_hour(began or self.transaction.now_ms) - backfill_ms
        reached = min(first, shared or first)
        if began and reached != shared:
            self.transaction.run("UPDATE series SET hours_from = ? WHERE id = ?", (reached, self.id))
        oldest = max(oldest, frozen)
        return max(oldest, first), max(oldest, reached)

    @property
    def began_ms(self) -> int:
        """Return when its history began, in milliseconds; 0 before the cloud's first believed answer."""
        return int(self.transaction.run("SELECT began FROM series WHERE id = ?", (self.id,)).fetchone()[0])

    def begin(self, at: int) -> None:
        """Begin its history at a moment, in milliseconds, unless it has begun."""
        self.transaction.run("UPDATE series SET began = ? WHERE id = ? AND began = 0", (at, self.id))

    @property
    def queried_ms(self) -> int:
        """Tell when the cloud was last asked about it, in milliseconds; 0 where it never was."""
        return int(self.transaction.run("SELECT asked FROM series WHERE id = ?", (self.id,)).fetchone()[0])

    def total(self, start: int, until: int) -> WindowTotal:
        """Add up what is known of a window."""
        row = self.transaction.run(
            f"SELECT COUNT(*), {SUMS} FROM hours WHERE {_WITHIN}", (self.id, start, until)
        ).fetchone()
        return WindowTotal(row[0], row[1:])

    def known_values(self, start: int, until: int) -> Dict[int, Values]:
        """Return the hours of a window that are known, by their beginnings."""
        rows = self.transaction.run(f"SELECT start, {COLUMNS} FROM hours WHERE {_WITHIN}", (self.id, start, until))
        return {at: tuple(values) for at, *values in rows}

    def known_starts(self, start: int, until: int) -> List[int]:
        """List the hours of a window that are known, the newest first."""
        rows = self.transaction.run(
            f"SELECT start FROM hours WHERE {_WITHIN} ORDER BY start DESC", (self.id, start, until)
        )
        return [at for (at,) in rows]

    def hours(self, start: int, until: int, changed_since: int = 1) -> List[Hour]:
        """List the hours of a window that changed at a tick or later; not those without use that are not settled."""
        rows = self.transaction.run(
            f"SELECT start, settled, changed, {COLUMNS} FROM hours "
            f"WHERE {_WITHIN} AND COALESCE(changed, '') >= ? ORDER BY start",
            (self.id, start, until, changed_since),
        )
        return [Hour(row[0], row[3:], bool(row[1])) for row in rows]

    def newest_use(self, before: int = 2**62) -> Optional[int]:
        """Find where the newest hour with use ends, among those that begin before a moment."""
        row = self.transaction.run(
            "SELECT start FROM hours WHERE series = ? AND start < ? AND (total_tokens > 0 OR requests > 0) "
            "ORDER BY start DESC LIMIT 1",
            (self.id, before),
        ).fetchone()
        return row[0] + HOUR if row else None

    def put(self, start: int, until: int, values: Values) -> None:
        """Write the same values for every hour of a window; those that are known already change where they differ."""
        self.put_each([(at, values) for at in range(start, until, HOUR)])

    def put_each(self, hours: Sequence[Tuple[int, Values]]) -> None:
        """Write hours, each with its own values; those that are known already change where they differ."""
        changed = self.transaction.advance_logical_clock()
        final = settled_until(self.transaction.now_ms, self.settled_after_ms)
        self.transaction.run_many(
            _PUT,
            [
                (self.id, at, *values, at < final, changed if any(values) or at < final else 0, changed)
                for at, values in hours
            ],
        )

    def confirm(self, start: int, until: int) -> None:
        """Take note that the cloud still says what a window holds: of its hours those that are final are settled."""
        within = (self.id, start, min(until, settled_until(self.transaction.now_ms, self.settled_after_ms)))
        if self.transaction.run(f"SELECT 1 FROM hours WHERE {_WITHIN} AND settled = 0", within).fetchone():
            self.transaction.run(
                f"UPDATE hours SET settled = 1, changed = ? WHERE {_WITHIN} AND settled = 0",
                (self.transaction.advance_logical_clock(), *within),
            )
