"""A cycle of all instances at once.

Credentials, files and the state may hang, so cycles run in a thread: one for each source of credentials. Where that
hangs, another one emits.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Sequence

from ..config import CredentialsSource
from ..watchdog import STATE_STOP_S, Watched
from .batch import Batch
from .cycle import Cycle

if TYPE_CHECKING:
    from .collector import Collector

EMIT_S = 3.0
"""Seconds that the state may take after the deadline."""


def run_cycle(
    collectors: Sequence[Collector],
    timeout: Optional[float] = None,
    progress: Callable[[], None] = lambda: None,
    now: Optional[float] = None,
) -> List[Batch]:
    """Run one cycle of every collector, all at one time; return their batches in the collectors' order.

    Args:
        collectors: of all instances. Where one cannot be planned, ConfigError is raised and nothing is sent.
        timeout: seconds, instead of the instances' deadline.
        progress: called after each query for a range.
        now: seconds since 1970.
    """
    clock = collectors[0].clock
    now = clock.now() if now is None else now
    cycles = [Cycle(each, each.instance.deadline if timeout is None else timeout, progress, now) for each in collectors]
    groups: Dict[CredentialsSource, List[Cycle]] = {}
    for collector, cycle in zip(collectors, cycles):
        groups.setdefault(collector.instance.credentials, []).append(cycle)
    runs = [(Watched(partial(_run, group)), group) for group in groups.values()]

    def deadline() -> float:
        return max(cycle.deadline for cycle in cycles)

    def cancelled_at() -> float:
        return min(collector.cancelled_at for collector in collectors)

    emissions = []
    for run, group in runs:
        run.wait(clock, deadline, lambda: cancelled_at() <= clock.monotonic())
        late = [cycle for cycle in group if cycle.freeze()]
        emissions += [run] if len(late) < len(group) else []
        emissions += [Watched(partial(_emit, late))] if late else []
    ended = max(cycle.ended for cycle in cycles)
    for emission in emissions:  # SIGTERM may come while the state hangs
        emission.wait(clock, lambda: min(max(ended + EMIT_S, deadline()), max(ended, cancelled_at()) + STATE_STOP_S))
    return [cycle.batch() for cycle in cycles]


def _run(cycles: Sequence[Cycle]) -> None:
    for cycle in cycles:
        cycle.begin()
    for cycle in cycles:
        cycle.wait()
        if cycle.freeze():
            cycle.emit()


def _emit(cycles: Sequence[Cycle]) -> None:
    for cycle in cycles:
        cycle.emit()
