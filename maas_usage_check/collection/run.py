"""One cycle of all instances at once."""

from __future__ import annotations

from functools import partial
from typing import Callable, Dict, List, Optional, Sequence

from ..cloud import Provider
from ..watchdog import STATE_STOP_S, Watched, is_interrupt
from .batch import Batch
from .collector import Collector
from .cycle import Cycle

EMIT_S = 3.0
"""Seconds that the state may take after the deadline."""


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
        except BaseException as error:
            if is_interrupt(error):
                raise
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
