"""What an instance keeps from cycle to cycle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, List, Optional, Sequence, Tuple

from msgspec import Struct

from ..clock import Clock
from ..cloud import Plan, Provider, Source, Statistics, Transport
from ..config import Instance
from ..scheduling import Priority, Schedulers
from .batch import Batch
from .run import run_cycle

if TYPE_CHECKING:
    from ..ledger import BackgroundSource, Consumer

SOURCES: Tuple[Source, ...] = (Statistics(),)
END_OF_TIME = 2.0**32
"""Seconds, in the year 2106."""


class LastSuccess(Struct, omit_defaults=True):
    """When a query of an instance was last answered, in seconds since 1970, as stored between runs."""

    max_age_s: ClassVar[float] = 40 * 86_400.0

    at: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for a time that no metrics store accepts."""
        if not 0 <= self.at < END_OF_TIME:
            raise ValueError("no time")


class Collector(Struct, eq=False):
    """Run the cycles of one instance, one at a time.

    Attributes:
        schedulers: of all access keys, over the state.
        sources: of ranges.
        consumer: who takes hours or counts; without one they are left alone.
        rate_extension_s: seconds by which waiting for the rate may extend a cycle beyond its deadline.
        priority: of the queries for ranges.
        name: names the instance in the state.
        last_success: seconds since 1970; 0 if none is known.
        cancelled_at: monotonic seconds.
    """

    instance: Instance
    provider: Provider
    transport: Transport
    schedulers: Schedulers
    clock: Clock
    sources: Sequence[Source] = SOURCES
    consumer: Optional[Consumer] = None
    rate_extension_s: float = 0.0
    priority: Priority = Priority.RANGE
    name: str = ""
    last_success: float = 0.0
    cancelled_at: float = math.inf
    background: List[BackgroundSource] = []

    def __post_init__(self) -> None:
        self.name = self.instance.state_name
        # Imported where configured: saves 92 million instructions of a `collect` without hours, and 84 without models.
        if self.consumer is not None and self.instance.hourly:
            from ..ledger.hours_source import HoursSource

            self.background.append(HoursSource(self.instance, self.sources[0], self.schedulers.store, self.consumer))
        if self.consumer is not None and self.instance.models:
            from ..ledger.models.models_source import ModelsSource

            self.background.append(ModelsSource(self.instance, self.schedulers.store, self.consumer))

    def plan(self) -> Plan:
        """Plan a cycle that starts now; raise ConfigError where the host's time zone is not known."""
        now_ms = int(self.clock.now() * 1000)
        return Plan.merge([source.plan(self.instance, now_ms) for source in self.sources])

    def cancel(self) -> None:
        """End this cycle with its complete results, and every later one. Sets a flag: safe in signal handlers."""
        self.cancelled_at = min(self.cancelled_at, self.clock.monotonic())

    @property
    def is_cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self.cancelled_at < math.inf

    def store_success(self, now: float) -> None:
        """Store when a query was last answered; 0 if none was in this cycle."""
        with self.schedulers.store.entry(LastSuccess, self.name) as last:
            self.last_success = last.at = now or last.at

    def cycle(self) -> Batch:
        """Run a cycle to its end; raise ConfigError where the host's time zone is not known."""
        return run_cycle([self])[0]
