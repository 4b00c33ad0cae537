"""What an instance keeps from cycle to cycle, and the cycle of all instances at once."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Sequence, Tuple

from msgspec import Struct

from ..clock import Clock
from ..cloud import Plan, Provider, Source, Statistics, Transport
from ..config import Instance
from ..scheduling import Priority, Schedulers
from ..watchdog import STATE_STOP_S, Watched
from .batch import Batch
from .cycle import Cycle

if TYPE_CHECKING:
    from ..ledger import BackgroundSource, Consumer

SOURCES: Tuple[Source, ...] = (Statistics(),)
EMIT_S = 3.0
"""Seconds that the state may take after the deadline."""


class Collector(Struct, eq=False):
    """Run the cycles of one instance, one at a time.

    Attributes:
        schedulers: of all access keys, over the state.
        sources: of ranges.
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
    sources: Sequence[Source] = SOURCES
    consumer: Optional[Consumer] = None
    rate_extension_s: float = 0.0
    priority: Priority = Priority.RANGE
    last_success: float = 0.0
    cancelled_at: float = math.inf
    background: List[BackgroundSource] = []

    def __post_init__(self) -> None:
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

    def cycle(self) -> Batch:
        """Run a cycle to its end; raise ConfigError where the host's time zone is not known."""
        return run_cycle([self])[0]


def run_cycle(
    collectors: Sequence[Collector],
    timeout: Optional[float] = None,
    progress: Callable[[], None] = lambda: None,
    now: Optional[float] = None,
) -> List[Batch]:
    """Run one cycle of every collector, all at one time; return their batches in the collectors' order.

    Credentials, files and the state may hang, so the cycles run in a thread, one for each provider of credentials. The
    provider is called once. Where the thread hangs, another one emits.

    Args:
        collectors: of all instances, over one state. Where one cannot be planned, ConfigError is raised and nothing is
            sent.
        timeout: seconds, instead of the instances' deadline.
        progress: called after each query for a range.
        now: seconds since 1970.
    """
    clock = collectors[0].clock
    now = clock.now() if now is None else now
    cycles = [Cycle(each, each.instance.deadline if timeout is None else timeout, progress, now) for each in collectors]
    groups: Dict[Provider, List[Cycle]] = {}
    for cycle in cycles:
        groups.setdefault(cycle.collector.provider, []).append(cycle)
    runs = [(Watched(partial(_run, group)), group) for group in groups.values()]

    def deadline() -> float:
        return max(cycle.session.group.deadline for cycle in cycles)

    def cancelled_at() -> float:
        return min(collector.cancelled_at for collector in collectors)

    emitters = []
    for run, group in runs:
        run.wait(clock, deadline, lambda: cancelled_at() <= clock.monotonic())
        late = [cycle for cycle in group if cycle.end_queries()]
        emitters += [run] if len(late) < len(group) else []
        emitters += [Watched(partial(_emit, late))] if late else []
    ended = max(cycle.ended for cycle in cycles)
    for emitter in emitters:  # SIGTERM may come while the state hangs
        emitter.wait(clock, lambda: min(max(ended + EMIT_S, deadline()), max(ended, cancelled_at()) + STATE_STOP_S))
    return [cycle.batch() for cycle in cycles]


def _run(cycles: Sequence[Cycle]) -> None:
    """Run the cycles of one provider of credentials."""
    collector, scheduler = cycles[0].collector, None
    begun = [cycle for cycle in cycles if cycle.has_queries]
    if begun:
        try:
            credentials = collector.provider()
            scheduler = collector.schedulers.of(credentials)
            # All at once: a deferred query of the last cycle goes before the others of the first.
            scheduler.submit([request for cycle in begun for request in cycle.begin(scheduler, credentials)])
        except Exception as error:
            for cycle in begun:
                cycle.fail(error)
    for cycle in cycles:
        if scheduler is not None:
            scheduler.wait(cycle.session.group)
        if cycle.end_queries():
            cycle.emit()


def _emit(cycles: Sequence[Cycle]) -> None:
    for cycle in cycles:
        cycle.emit()
