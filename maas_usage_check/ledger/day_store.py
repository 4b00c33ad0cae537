"""The stored days of one series: sums of hours that are no longer kept, with the price that their tokens had."""

from __future__ import annotations

from decimal import Decimal
from typing import List, NamedTuple, Optional

from ..config.prices import Price
from .hour_store import HourStore
from .hour_values import COMPLETION_TOKENS, FIELDS, HOUR, PROMPT_TOKENS, Values

MAX_DAY = 26 * HOUR
"""No day is longer, even if its clocks are set back."""


class Day(NamedTuple):
    """The sum of the known hours in `[start, until)`, milliseconds since 1970: so many `hours`, with this price."""

    start: int
    until: int
    hours: int
    values: Values
    price: Optional[Price] = None
    currency: str = ""

    def cost(self, currency: str) -> Optional[Decimal]:
        """Return the cost in a currency; None if its tokens had no price in it."""
        if not any(self.values):
            return Decimal(0)
        if self.price is None or self.currency != currency:
            return None
        return self.price.cost(self.values[PROMPT_TOKENS], self.values[COMPLETION_TOKENS])


def put_day(hour_store: HourStore, start: int, until: int, price: Optional[Price], currency: str) -> None:
    """Replace the hours of a window by a day, if any is final. Its tokens keep the price that they have now."""
    transaction, within = hour_store.transaction, (hour_store.id, start, until)
    hours, values = hour_store.total(start, until, settled_only=True)
    if hours:
        row = (*within, _price_id(hour_store, price, currency), hours, *values)
        transaction.run(f"INSERT INTO days VALUES ({', '.join('?' * len(row))})", row)
        transaction.run("DELETE FROM hours WHERE series = ? AND start >= ? AND start < ?", within)


def days(hour_store: HourStore, start: int, until: int) -> List[Day]:
    """List the days that lie in a window or reach into it, the oldest first."""
    rows = hour_store.transaction.select(
        f"SELECT start, until, hours, prompt, completion, currency, {', '.join(f'days.{name}' for name in FIELDS)} "
        "FROM days LEFT JOIN prices ON price = id WHERE series = ? AND start > ? AND start < ? ORDER BY start",
        (hour_store.id, start - MAX_DAY, until),
    )
    return [
        Day(at, end, hours, tuple(values), Price(Decimal(prompt), Decimal(completion)) if currency else None, currency)
        for at, end, hours, prompt, completion, currency, *values in rows
        if end > start
    ]


def newest_day_end(hour_store: HourStore) -> int:
    """Return the end of the newest day; 0 without one."""
    row = hour_store.transaction.select_one(
        "SELECT until FROM days WHERE series = ? ORDER BY start DESC LIMIT 1", (hour_store.id,)
    )
    return int(row[0]) if row else 0


def _price_id(hour_store: HourStore, price: Optional[Price], currency: str) -> int:
    """Return the id of a price, and store a new one; 0 is none."""
    if price is None:
        return 0
    row, transaction = (currency, str(price.prompt), str(price.completion)), hour_store.transaction
    transaction.run("INSERT OR IGNORE INTO prices (currency, prompt, completion) VALUES (?, ?, ?)", row)
    statement = "SELECT id FROM prices WHERE currency = ? AND prompt = ? AND completion = ?"
    return int(transaction.select_one(statement, row)[0])
