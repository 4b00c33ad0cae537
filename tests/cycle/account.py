"""Cycles of one configuration over real HTTP against the emulator, whose clock is moved with the collector's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List

from maas_usage_check.access import Gates
from maas_usage_check.clock import Clock
from maas_usage_check.cycle import Batch, Collector
from maas_usage_check.history import HOURS, Consumer
from maas_usage_check.metrics import Point
from maas_usage_check.store import Store

from ..conftest import NOW, Cloud

Make = Callable[..., Collector]
HOUR = 3_600_000


class Account:
    """Run the cycles of one configuration, over one state, by one clock."""

    def __init__(self, cloud: Cloud, make: Make, folder: Path) -> None:
        self.seconds = 0.0
        self.cloud = cloud
        cloud.emulator.now = lambda: NOW + self.seconds
        self.path = folder / "state.sqlite"
        self.clock = Clock(now=cloud.emulator.now, monotonic=lambda: self.seconds, sleep=self.sleep)
        self.make = make
        self.warned: List[str] = []
        self.keys: Dict[str, Any] = {"hourly": True, "backfill_days": 1, "ranges": ["last_7d"]}

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def collector(self, takes: str = HOURS, name: str = "one", **keys: Any) -> Collector:
        gates = Gates(Store(lambda: str(self.path), self.warned.append, self.clock.now), self.clock)
        entry = self.cloud.entry(**{**self.keys, **keys})
        return self.make(entry, clock=self.clock, gates=gates, consumer=Consumer(name, takes))

    def truth(self, start: int, **filters: Any) -> int:
        asked = {"service_type": 2, "start_time": start, "end_time": start + HOUR - 1, **filters}
        return round(self.cloud.emulator.ledger.totals(asked, int(self.clock.now() * 1000))["total_token"] * 1000)


def points(batch: Batch, measurement: str) -> List[Point]:
    return [point for point in batch.points if point.measurement == measurement]


def health(batch: Batch) -> Dict[str, Any]:
    return dict(batch.points[-1].fields)
