"""Read the known usage of many series in one snapshot: one query for their hours, and one for their days."""

from __future__ import annotations

from typing import Any, Container, Dict, List, Mapping, Sequence, Tuple

from ..cloud.source import HourSeries
from ..cloud.usage import Usage
from ..config.ranges import Window
from .day_store import days_of
from .hour_store import series_ids
from .hour_values import HOUR, HOURS_KEPT
from .known_usage import KnownUsage, Span, hour_span, price_hour, read_days
from .schema import COLUMNS, Transaction

UNSETTLED_FOR = 2 * HOUR
"""An hour that nobody has queried so long after it became final is not known: its first part would look like a fall."""


def add_usage(
    found: KnownUsage,
    transaction: Transaction,
    series: Mapping[Any, HourSeries],
    windows: Sequence[Window],
    answered: Container[Tuple[Any, int]] = (),
    unsettled: bool = False,
) -> None:
    """Add the usage of series by their key. Fold it once all is added.

    Args:
        found: has these keys.
        transaction: a snapshot of the ledger.
        series: of one source.
        windows: of full hours.
        answered: key and hour of those that are known although they may still change.
        unsettled: the last hours are known too, where the cloud has use of any of these series.
    """
    ids = series_ids(transaction)
    keys = {ids[each.name]: key for key, each in series.items() if each.name in ids}
    settled_after_ms = max((each.settled_after_ms for each in series.values()), default=0)
    changing_since = transaction.now_ms - HOUR - settled_after_ms - UNSETTLED_FOR
    spans: Dict[int, Span] = {}  # shared: a month of 60 series has 45,000 hours
    for window in windows:
        rows = _hour_rows(transaction, list(keys), window)
        reported = {row[1] for row in rows if any(row[3:]) and row[1] > changing_since} if unsettled else ()
        for series_id, at, settled, *values in rows:
            key = keys[series_id]
            if not (settled or at in reported or (key, at) in answered):
                continue
            span = spans.get(at) or spans.setdefault(at, hour_span(at))
            usage = found.spans[key][span] = Usage(*values)
            if series[key].currency:
                found.priced[key][span] = price_hour(series[key].prices, span, usage)
        if window.start < transaction.now_ms - HOURS_KEPT:
            for series_id, days in days_of(transaction, list(keys), window.start, window.end).items():
                key = keys[series_id]
                for span, usage, tokens in read_days(days, series[key].currency):
                    found.spans[key][span], found.priced[key][span] = usage, tokens


def _hour_rows(transaction: Transaction, series: Sequence[int], window: Window) -> List[Tuple[Any, ...]]:
    """Return id, start, settled and the values of each stored hour."""
    return transaction.select(
        f"SELECT series, start, settled, {COLUMNS} FROM hours WHERE series IN ({', '.join(map(str, series))}) "
        "AND start >= ? AND start < ?",  # more series than a statement may have values
        (window.start, window.end),
    )
