"""Cycles of one configuration against the emulator, in the process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List

from maas_usage_check.collection import Batch, Collector, run_cycle
from maas_usage_check.ledger import HOURS, Consumer
from maas_usage_check.metrics import Point
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import Store

from ..conftest import Cloud, FixedClock

Make = Callable[..., Collector]
HOUR = 3_600_000
DAY = 24 * HOUR


class Account:
    """Run the cycles of one configuration, over one state, by one clock."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, folder: Path) -> None:
        self.cloud, self.clock, self.make = cloud, clock, make
        self.path = folder / "state.sqlite"
        self.keys: Dict[str, Any] = {"hourly": True, "backfill_days": 1, "ranges": ["last_7d"]}

    @property
    def now(self) -> int:
        return int(self.clock.now() * 1000)

    @property
    def hour(self) -> int:
        """The start of the current hour, in ms."""
        return self.now // HOUR * HOUR

    def sleep(self, seconds: float) -> None:
        self.clock.at += seconds

    def collector(self, kind: str = HOURS, name: str = "one", rate_extension_s: float = 0.0, **keys: Any) -> Collector:
        """Make a collector with a scheduler of its own over the common state, as a new process does."""
        schedulers = Schedulers(Store(lambda: str(self.path), now=self.clock.now), self.clock.clock)
        return self.make(
            self.cloud.entry(**{**self.keys, **keys}),
            schedulers=schedulers,
            consumer=Consumer(name, kind),
            rate_extension_s=rate_extension_s,
        )

    def cycle(self, kind: str = HOURS, name: str = "one", **keys: Any) -> Batch:
        """Run one cycle as a process of its own does."""
        return run_cycle([self.collector(kind, name, **keys)])[0]

    def truth(self, start: int, **filters: Any) -> int:
        """Return the total tokens of an hour by the emulator's own data."""
        query = {"service_type": 2, "start_time": start, "end_time": start + HOUR - 1, **filters}
        return round(self.cloud.emulator.usage.totals(query, self.now)["total_token"] * 1000)


def points(batch: Batch, measurement: str) -> List[Point]:
    return [point for point in batch.points if point.measurement == measurement]


def health(batch: Batch) -> Dict[str, Any]:
    return dict(batch.points[-1].fields)


def texts(batch: Batch, level: str = "W") -> List[str]:
    return [problem.text for problem in batch.problems if problem.level == level]
