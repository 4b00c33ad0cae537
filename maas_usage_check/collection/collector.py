"""What an instance keeps from cycle to cycle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Callable, List, Optional, Sequence, Tuple

from msgspec import Struct

from ..clock import Clock
from ..cloud import Plan, Provider, Source, Statistics, Transport
from ..config import Instance
from ..scheduling import Priority, Schedulers
from .batch import Batch
from .cycle import Cycle
from .last_success import instance_name

if TYPE_CHECKING:
    from ..ledger import BackgroundSource, Consumer

SOURCES: Tuple[Source, ...] = (Statistics(),)


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
        self.name = instance_name(self.instance)
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

    def new_cycle(
        self,
        timeout: Optional[float] = None,
        progress: Callable[[], None] = lambda: None,
        now: Optional[float] = None,
    ) -> Cycle:
        """Plan a cycle; raise ConfigError where the host's time zone is not known.

        Args:
            timeout: seconds, instead of the instance's deadline.
            progress: called after each query for a range.
            now: the cycle's own time, in seconds since 1970, where several instances share it.
        """
        timeout = self.instance.deadline if timeout is None else timeout
        return Cycle(self, timeout, progress, self.clock.now() if now is None else now)

    def cycle(
        self,
        timeout: Optional[float] = None,
        progress: Callable[[], None] = lambda: None,
        now: Optional[float] = None,
    ) -> Batch:
        """Run a cycle to its end; see `new_cycle`."""
        cycle = self.new_cycle(timeout, progress, now)
        cycle.start()
        cycle.end_queries()
        return cycle.result()
