"""What an instance keeps from cycle to cycle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

from msgspec import Struct

from ..clock import Clock
from ..cloud import Plan, Provider, Source, Transport
from ..config import Instance
from ..scheduling import Priority, Schedulers
from .sources import SOURCES, MakePlanner, SourceEntry

if TYPE_CHECKING:
    from ..ledger import Consumer


class Collector(Struct, eq=False):
    """Run the cycles of one instance, one at a time.

    Attributes:
        schedulers: of all access keys, over the state.
        sources: what it queries.
        consumer: who takes hours or counts; without one they are left alone.
        rate_extension_s: seconds by which waiting for the rate may extend a cycle beyond its deadline.
        priority: of the queries for ranges.
        last_success: seconds since 1970; 0 if none is known.
        cancelled_at: monotonic seconds.
    """

    instance: Instance
    provider: Provider
    transport: Transport
    schedulers: Schedulers
    clock: Clock
    sources: Sequence[SourceEntry] = SOURCES
    consumer: Optional[Consumer] = None
    rate_extension_s: float = 0.0
    priority: Priority = Priority.RANGE
    last_success: float = 0.0
    cancelled_at: float = math.inf

    def plan(self) -> Plan:
        """Plan a cycle that starts now; raise ConfigError where the host's time zone is not known."""
        now_ms = int(self.clock.now() * 1000)
        return Plan.merge([source.plan(self.instance, now_ms) for source, _ in self.active_sources()])

    def active_sources(self) -> List[Tuple[Source, MakePlanner]]:
        """Make the sources that the instance uses, each with the constructor of its planner."""
        made = ((entry.make_source(self.instance), entry.make_planner) for entry in self.sources)
        return [(source, make_planner) for source, make_planner in made if source is not None]

    def cancel(self) -> None:
        """End this cycle with its complete results, and every later one. Sets a flag: safe in signal handlers."""
        self.cancelled_at = min(self.cancelled_at, self.clock.monotonic())

    @property
    def is_cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self.cancelled_at < math.inf
