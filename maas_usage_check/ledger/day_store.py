"""The stored days of one series: sums of hours that are no longer kept, and their tokens by price."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Dict, List, NamedTuple, Optional, Tuple

from ..config.prices import MILLION, Price
from .hour_store import HourStore
from .hour_values import COMPLETION_TOKENS, FIELDS, HOUR, PROMPT_TOKENS, Values
from .schema import COLUMNS

MAX_DAY = 26 * HOUR
"""No day is longer, with its clocks set back."""


class PricedTokens(NamedTuple):
    """Tokens of one kind (`prompt`, `completion`) at a price of `amount` for a million of them."""

    kind: str
    currency: str
    amount: Decimal
    tokens: int


class Day(NamedTuple):
    """The sum of the known hours in `[start, until)`, milliseconds since 1970: so many `hours`.

    `priced`: its tokens by price; empty if they had none, or if there are no tokens.
    """

    start: int
    until: int
    hours: int
    values: Values
    priced: Tuple[PricedTokens, ...] = ()

    def cost(self, currency: str) -> Optional[Decimal]:
        """Return the cost in a currency; None if its tokens have no price in it."""
        amounts = [each.amount * each.tokens for each in self.priced if each.currency == currency]
        return sum(amounts, Decimal(0)) / MILLION if amounts or not any(self.values) else None


def put_day(hour_store: HourStore, start: int, until: int, price: Optional[Price], currency: str) -> None:
    """Replace the hours of a window by a day, if any is known. Tokens keep the price that they have now."""
    transaction, series = hour_store.transaction, hour_store.id
    hours, values = hour_store.total(start, until)
    if not hours:
        return
    transaction.run(
        f"INSERT INTO days VALUES ({', '.join('?' * (4 + len(FIELDS)))})", (series, start, until, hours, *values)
    )
    for kind, amount, tokens in price.parts(values[PROMPT_TOKENS], values[COMPLETION_TOKENS]) if price else ():
        if tokens:
            row = (kind, currency, str(amount))
            transaction.run("INSERT OR IGNORE INTO prices (kind, currency, amount) VALUES (?, ?, ?)", row)
            transaction.run(
                "INSERT INTO priced_tokens SELECT ?, ?, id, ? FROM prices "
                "WHERE kind = ? AND currency = ? AND amount = ?",
                (series, start, tokens, *row),
            )
    transaction.run("DELETE FROM hours WHERE series = ? AND start >= ? AND start < ?", (series, start, until))


def days(hour_store: HourStore, start: int, until: int) -> List[Day]:
    """List the days that lie in a window, or reach into it."""
    select, within = hour_store.transaction.select, (hour_store.id, start - MAX_DAY, until)
    priced: Dict[int, List[PricedTokens]] = defaultdict(list)
    for at, kind, currency, amount, tokens in select(
        "SELECT start, kind, currency, amount, tokens FROM priced_tokens JOIN prices ON price = prices.id "
        "WHERE series = ? AND start > ? AND start < ?",
        within,
    ):
        priced[at].append(PricedTokens(kind, currency, Decimal(amount), tokens))
    rows = select(
        f"SELECT start, until, hours, {COLUMNS} FROM days WHERE series = ? AND start > ? AND start < ? ORDER BY start",
        within,
    )
    return [Day(at, end, hours, tuple(values), tuple(priced[at])) for at, end, hours, *values in rows if end > start]


def newest_day_end(hour_store: HourStore) -> int:
    """Return the end of the newest day; 0 without one."""
    row = hour_store.transaction.select_one(
        "SELECT until FROM days WHERE series = ? ORDER BY start DESC LIMIT 1", (hour_store.id,)
    )
    return int(row[0]) if row else 0
