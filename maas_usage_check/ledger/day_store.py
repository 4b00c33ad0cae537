"""The stored days of one series: sums of hours that are no longer kept, for each price that their tokens had."""

from __future__ import annotations

from decimal import Decimal
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..config.model_prices import ModelPrices
from ..config.prices import Price
from .hour_store import HourStore
from .hour_values import COMPLETION_TOKENS, FIELDS, HOUR, HOURS_KEPT, PROMPT_TOKENS, Values, add
from .priced_hours import PricedSum, priced_sums
from .schema import Transaction

MAX_DAY = 26 * HOUR
"""No day is longer, even if its clocks are set back."""
PRICE_COLUMNS = "prompt, completion, cached_prompt, since, is_off_peak"


class Day(NamedTuple):
    """The sum of the known hours in `[start, until)`, milliseconds since 1970: so many `hours`, with this price.

    `cached` are the prompt tokens that are priced as cached.
    """

    start: int
    until: int
    hours: int
    values: Values
    price: Optional[Price] = None
    currency: str = ""
    cached: int = 0

    def cost(self, currency: str) -> Optional[Decimal]:
        """Return the cost in a currency; None if its tokens had no price in it."""
        if not any(self.values):
            return Decimal(0)
        if self.price is None or self.currency != currency:
            return None
        return self.price.cost(self.values[PROMPT_TOKENS], self.values[COMPLETION_TOKENS], self.cached)


def put_day(hour_store: HourStore, start: int, until: int, prices: Optional[ModelPrices], currency: str) -> None:
    """Replace the hours of a window by a day, if any is final. Its tokens keep the prices that they have now."""
    transaction, within = hour_store.transaction, (hour_store.id, start, until)
    parts: Dict[Optional[Price], PricedSum] = {}
    for _, each in priced_sums(transaction, {hour_store.id: prices}, start, until, settled_only=True):
        before = parts.get(each.price, PricedSum(each.price, 0, (0,) * len(FIELDS), 0))
        values = add(before.values, each.values)
        parts[each.price] = PricedSum(each.price, before.hours + each.hours, values, before.cached + each.cached)
    for price, part in parts.items():
        row = (*within, _price_id(hour_store, price, currency), part.hours, *part.values, part.cached)
        transaction.run(f"INSERT INTO days VALUES ({', '.join('?' * len(row))})", row)
    if parts:
        transaction.run("DELETE FROM hours WHERE series = ? AND start >= ? AND start < ?", within)


def days(hour_store: HourStore, start: int, until: int) -> List[Day]:
    """List the days of a series; see days_of."""
    return days_of(hour_store.transaction, [hour_store.id], start, until).get(hour_store.id, [])


def days_of(transaction: Transaction, series: Sequence[int], start: int, until: int) -> Dict[int, List[Day]]:
    """List the days of series, by id, that lie in a window or reach into it, the oldest first.

    There is a part of a day for each of its prices.
    """
    rows = transaction.select(
        f"SELECT series, start, until, hours, cached_tokens, currency, {PRICE_COLUMNS}, "
        f"{', '.join(f'days.{name}' for name in FIELDS)} FROM days LEFT JOIN prices ON price = id "
        f"WHERE series IN ({', '.join(map(str, series))}) AND start > ? AND start < ? ORDER BY start",
        (start - MAX_DAY, until),
    )
    found: Dict[int, List[Day]] = {}
    for series_id, at, end, hours, cached, currency, *rest in rows:
        if end > start:
            price = stored_price(*rest[:5]) if currency else None
            day = Day(at, end, hours, tuple(rest[5:]), price, currency, cached)
            found.setdefault(series_id, []).append(day)
    return found


def stored_hours(transaction: Transaction, windows: Sequence[Tuple[int, int, int]]) -> List[int]:
    """Count the hours that are stored in each window, as hours or in days; a window is (id of a series, start, end)."""
    values = ", ".join(str((number, *window)) for number, window in enumerate(windows))
    tables = [("hours", "COUNT(*)", "hours.start < up_to")]
    if min(since for _, since, _ in windows) < transaction.now_ms - HOURS_KEPT:
        tables.append(("days", "SUM(hours)", "days.until <= up_to"))
    found = [0] * len(windows)
    for table, hours, is_within in tables:
        for number, count in transaction.select(
            f"WITH windows (number, id, since, up_to) AS (VALUES {values}) SELECT number, {hours} "
            f"FROM windows CROSS JOIN {table} ON series = id AND start >= since AND {is_within} GROUP BY number"
        ):
            found[number] += count
    return found


def stored_price(prompt: str, completion: str, cached_prompt: str, since: str, is_off_peak: int) -> Price:
    """Return a price from its row, as PRICE_COLUMNS."""
    cached = Decimal(cached_prompt) if cached_prompt else None
    return Price(Decimal(prompt), Decimal(completion), cached, since, bool(is_off_peak))


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
    cached = "" if price.cached_prompt is None else str(price.cached_prompt)
    row = (currency, str(price.prompt), str(price.completion), cached, price.since, price.is_off_peak)
    transaction, columns = hour_store.transaction, f"currency, {PRICE_COLUMNS}"
    transaction.run(f"INSERT OR IGNORE INTO prices ({columns}) VALUES (?, ?, ?, ?, ?, ?)", row)
    return int(transaction.select_one(f"SELECT id FROM prices WHERE ({columns}) = (?, ?, ?, ?, ?, ?)", row)[0])
