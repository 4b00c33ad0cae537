"""Which hours a reader knows: the final ones, those that were answered, and those in which the cloud has use."""

from __future__ import annotations

from datetime import timezone
from typing import Any, Dict, Sequence, Tuple

import pytest

from maas_usage_check.cloud.source import HourSeries
from maas_usage_check.cloud.usage import Usage
from maas_usage_check.config.prices import Price
from maas_usage_check.config.ranges import Window
from maas_usage_check.ledger.compaction import OldHours, compact
from maas_usage_check.ledger.hour_values import HOURS_KEPT
from maas_usage_check.ledger.known_usage import KnownUsage, Span, hour_span, no_usage
from maas_usage_check.ledger.usage_reader import add_usage

from .memory_ledger import DAY, HOUR, START, MemoryLedger, Values, make_values
from .test_period_sums import PRICE, member

ZEROS: Values = (0, 0, 0, 0, 0)
WINDOWS = (Window(START - 6 * HOUR, START),)


def put(ledger: MemoryLedger, name: str, *hours: Tuple[int, Values]) -> None:
    """Store hours of a series, by hours ago. They are final after 3 hours."""
    ledger.hour_store(name).put_each([(START - back * HOUR, values) for back, values in hours])


def read(
    ledger: MemoryLedger, names: str = "ab", windows: Sequence[Window] = WINDOWS, price: Any = None, **options: Any
) -> KnownUsage:
    series: Dict[Any, HourSeries] = {name: member(MemoryLedger(), name, price=price).series for name in names}
    found = no_usage(series)
    add_usage(found, ledger.transaction, series, windows, **options)
    return found


def hours_ago(found: KnownUsage, name: str) -> Dict[int, int]:
    """Return the known tokens of a series by hours ago."""
    return {(START - span.start) // HOUR: usage.total_tokens for span, usage in found.spans[name].items()}


@pytest.mark.parametrize(("unsettled", "known"), [(False, [4, 5]), (True, [1, 2, 3, 4, 5])])
def test_hours_with_use(ledger: MemoryLedger, unsettled: bool, known: Sequence[int]) -> None:
    """Hours that may still change are known only where it is asked for."""
    put(ledger, "a", *((back, make_values(back)) for back in range(1, 6)))
    assert hours_ago(read(ledger, unsettled=unsettled), "a") == {back: back for back in known}


@pytest.mark.parametrize(("later_ms", "known"), [(5 * HOUR - 1, [1]), (5 * HOUR, [])])
def test_hours_left_behind(ledger: MemoryLedger, later_ms: int, known: Sequence[int]) -> None:
    """The part of an hour that was stored before the collection stopped is not known for ever."""
    put(ledger, "a", (1, make_values(1)))
    ledger.now_ms = START + later_ms
    assert sorted(hours_ago(read(ledger, unsettled=True), "a")) == known


@pytest.mark.parametrize("field", range(5))
def test_use_of_another_series(ledger: MemoryLedger, field: int) -> None:
    """Where the cloud has any use in an hour, a zero of another series in it is known too; alone it is not."""
    some: Any = tuple(int(number == field) for number in range(5))
    put(ledger, "a", (1, ZEROS), (2, some), (3, ZEROS), (4, ZEROS))
    put(ledger, "b", (1, ZEROS), (2, ZEROS), (4, some))
    found = read(ledger, unsettled=True)
    assert {name: sorted(hours_ago(found, name)) for name in "ab"} == {"a": [2, 4], "b": [2, 4]}
    assert found.spans["a"][hour_span(START - 2 * HOUR)] == Usage(*some)
    assert hours_ago(read(ledger, "b", unsettled=True), "b") == {4: some[0]}


def test_answered(ledger: MemoryLedger) -> None:
    """An answer is known as it is, of its series only."""
    for name in "ab":
        put(ledger, name, (1, ZEROS), (2, ZEROS))
    found = read(ledger, answered={("a", START - HOUR)})
    assert (hours_ago(found, "a"), hours_ago(found, "b")) == ({1: 0}, {})


def test_windows(ledger: MemoryLedger) -> None:
    """The first and the last hour of each window are known, those beside are not."""
    put(ledger, "a", *((back, make_values(back)) for back in range(4, 30)))
    windows = [Window(START - 20 * HOUR, START - 18 * HOUR), Window(START - 10 * HOUR, START - 9 * HOUR)]
    assert sorted(hours_ago(read(ledger, windows=windows), "a")) == [10, 19, 20]
    assert read(ledger, windows=[Window(START, START)]).spans == {"a": {}, "b": {}}


def test_two_stores(ledger: MemoryLedger) -> None:
    """Of several stores the later one counts."""
    other = MemoryLedger()
    put(ledger, "a", (5, make_values(50)), (4, make_values(40)))
    put(other, "a", (4, make_values(41)))
    series: Dict[Any, HourSeries] = {"a": member(MemoryLedger(), "a").series}
    found = no_usage(series)
    for each in (ledger, other):
        add_usage(found, each.transaction, series, WINDOWS)
    assert hours_ago(found, "a") == {5: 50, 4: 41}


def test_unknown_series(ledger: MemoryLedger) -> None:
    """A series that the ledger lacks has no hours, and is not inserted."""
    assert read(ledger, unsettled=True).spans == {"a": {}, "b": {}}
    assert ledger.transaction.select("SELECT name FROM series") == []


@pytest.mark.parametrize("price", [None, PRICE])
def test_prices(ledger: MemoryLedger, price: Price) -> None:
    """The tokens of each hour have their price; hours without use have none."""
    put(ledger, "a", (5, make_values(100)), (4, ZEROS))
    found = read(ledger, "a", price=price)
    tokens = [each for priced in found.priced["a"].values() for each in priced]
    assert [(each.price, each.total) for each in tokens] == ([(PRICE, 100)] if price else [])
    assert len(found.priced["a"]) == (2 if price else 0)


@pytest.mark.parametrize("length", [0, 1, DAY])
def test_days(ledger: MemoryLedger, length: int) -> None:
    """Hours older than 62 days are kept as days: one that reaches into a window is known by its day."""
    first = (START - HOURS_KEPT) // DAY * DAY - 2 * DAY
    ledger.hour_store("a").put_each([(first + i * HOUR, make_values(i)) for i in range(48)])
    stored = OldHours(ledger.hour_store("a"), None, "")
    compact(ledger.transaction, "test", [stored], lambda: timezone.utc)
    day = Span(first, first + DAY, 24)
    window = Window(first, first + length)
    assert list(read(ledger, "a", [window]).spans["a"]) == ([day] if length else [])
    whole = read(ledger, "a", [Window(first - DAY, first + DAY)])
    assert whole.spans["a"] == {day: Usage(*map(sum, zip(*(make_values(i) for i in range(24)))))}
