"""Simulated days of hours, with late data, restatements, outages, restarts and a clock that jumps."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from maas_usage_check.cloud import Request, Response
from maas_usage_check.cycle import Batch, Collector
from maas_usage_check.history import COUNTERS, HOURS, INCREMENTS, Consumer
from maas_usage_check.metrics import CONSUMED, HOURLY
from maas_usage_check.standin.emulator import Emulator, reply
from maas_usage_check.standin.ledger import API_KEYS, Ledger

from ..conftest import AK, NOW, SK
from .world import World

HOUR = 3_600_000
DAY = 24 * HOUR
CONSUMERS = (Consumer("telegraf", HOURS), Consumer("prometheus", COUNTERS), Consumer("agent", INCREMENTS))
INTERVAL = 1800.0
FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
Values = Tuple[int, ...]


class Month:
    """Run three consumers over one state, and keep what each was given."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.world = World(folder)
        self.world.emulator = Emulator({AK: SK}, ledger, now=lambda: NOW + self.world.seconds)
        self.random = random.Random(10)
        self.began = int(NOW * 1000)
        self.first = -(-(self.began - 29 * DAY) // HOUR) * HOUR
        self.hours: Dict[int, Values] = {}
        self.settled: Dict[int, int] = {}
        self.counter: Values = (0,) * 5
        self.submitted: Values = (0,) * 5
        self.most: Values = (0,) * 5
        self.collectors: List[Collector] = []
        self.sizes: List[int] = []

    @property
    def now(self) -> int:
        return int((NOW + self.world.seconds) * 1000)

    def restart(self) -> None:
        self.collectors = [
            self.world.collectors(consumer=consumer, hourly=True, ranges=["last_1d"], max_concurrency=1)[0]
            for consumer in CONSUMERS
        ]

    def cycle(self) -> List[Batch]:
        batches = [collector.cycle() for collector in self.collectors]
        for batch in batches:
            for point in batch.points:
                values = tuple(int(value) for value in point.fields.values())
                if point.measurement == HOURLY:
                    self.hours[point.time // 1_000_000] = values[:5]
                    self.settled[point.time // 1_000_000] = values[5]
                elif point.measurement == CONSUMED and batch is batches[1]:
                    assert all(new >= old for new, old in zip(values, self.counter))
                    self.counter = values
                elif point.measurement == CONSUMED:
                    self.submitted = tuple(map(sum, zip(self.submitted, values)))
        self.most = tuple(map(max, self.most, self.consumed()))
        self.sizes.append(sum(path.stat().st_size for path in self.world.folder.iterdir()))
        return batches

    def truth(self, at: int) -> Values:
        hour = self.world.emulator.ledger.hour(2, "real_time", list(API_KEYS), at, self.now)
        tokens = hour.prompt_tokens + hour.completion_tokens + hour.other_tokens
        return (tokens, hour.prompt_tokens, hour.completion_tokens, hour.requests, hour.errors)

    def over(self) -> range:
        """List the hours that are over and can still be asked."""
        oldest = -(-(self.now - 29 * DAY) // HOUR) * HOUR
        return range(max(self.first, oldest), self.now // HOUR * HOUR, HOUR)

    def consumed(self) -> Values:
        """Add up what was told of the hours that ended after the history began."""
        since = self.began // HOUR * HOUR
        return tuple(map(sum, zip((0,) * 5, *(values for at, values in self.hours.items() if at >= since))))


class Weather:
    """Strew outages: hours in which the cloud answers badly or not at all, and single faults."""

    def __init__(self, month: Month, days: int) -> None:
        self.month = month
        starts = month.random.sample(range(36, days * 24 - 36, 30), days // 2)
        self.spells = {start: month.random.choice([1, 3, 9]) for start in starts}

    def is_bad(self) -> bool:
        hour = self.month.world.seconds / 3600
        return any(start <= hour < start + length for start, length in self.spells.items())

    def __call__(self, request: Request) -> Optional[Response]:
        def answer(status: int, body: Any) -> Response:
            made = reply(status, body)
            return Response(made.status, made.headers, made.body)

        if self.is_bad():
            kinds = [(503, {}), (403, {"error_msg": "policy doesn't allow"}), (200, []), (400, {"error_msg": "no"})]
            return answer(*kinds[int(self.month.world.seconds // 86_400) % len(kinds)])
        if self.month.random.random() < 0.01:
            return answer(503, {})
        return None


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("inclusive_end", [False, True])
def test_every_hour_and_count_is_the_clouds_to_the_token(tmp_path: Path, days: int, inclusive_end: bool) -> None:
    month = Month(tmp_path, Ledger(late=True, restating=True, inclusive_end=inclusive_end))
    weather = Weather(month, days)
    month.restart()
    changed: Dict[int, Tuple[Values, int]] = {}
    back = month.now
    cycles = int(days * 86_400 / INTERVAL)
    for number in range(cycles):
        quiet = number > cycles - 20  # at last the cloud says what it said hours ago
        month.world.instead = (lambda request: None) if quiet else weather
        # A clock that is a day off is refused; it comes back, and nothing of that is left.
        jumped = not quiet and number % 211 in (100, 101, 102)
        month.world.off = (86_400.0 if number % 2 else -86_400.0) if jumped else 0.0
        if number % 97 == 50:
            month.restart()
        month.cycle()
        if weather.is_bad() or jumped:
            back = month.now + 3_600_000 * jumped  # a refusal is waited out
        if number % (2 if days > 31 else 12) == 0 and number * INTERVAL > 12 * 3600:
            for at in month.over():
                truth = month.truth(at)
                if changed.get(at, ((), 0))[0] != truth:
                    changed[at] = (truth, month.now)
                told = month.hours.get(at)
                since = month.now - max(changed[at][1], back)
                if since > 60 * 60_000 + 2 * INTERVAL * 1000 and told != truth:
                    # Of the last hours those without use are not told before they are settled.
                    assert told is None
                    assert not any(truth)
                    assert at > month.now - 5 * HOUR
        month.world.seconds += INTERVAL
        month.world.emulator.requests.clear()
    for at in month.over():
        if at + 4 * HOUR <= month.now - INTERVAL * 1000:
            assert (month.hours[at], month.settled[at]) == (month.truth(at), 1)
    assert month.submitted == month.counter
    assert month.counter == month.most
    with sqlite3.connect(next(month.world.folder.glob("*.sqlite3"))) as connection:
        (kept,) = connection.execute("SELECT COUNT(*) FROM hours").fetchone()
    assert kept <= 29 * 24
    if days > 32:
        after_31_days = len(month.sizes) * 31 // days
        assert max(month.sizes[after_31_days:]) <= 1.05 * max(month.sizes[:after_31_days])
