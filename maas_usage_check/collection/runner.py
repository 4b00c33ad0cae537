"""A cycle of all instances side by side, as the command line runs it."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional, Sequence

from ..clock import Clock
from ..cloud import DirectTransport, Pool, Source, provider
from ..config import Instance
from ..scheduling import Gates
from ..scheduling.worker_pool import Crew
from ..state import Store, Warn, find_file
from .collector import SOURCES, Batch, Collector

if TYPE_CHECKING:
    from ..ledger import Consumer


class Runtime(NamedTuple):
    """Hold the clock of a process and the constructor of its transports. Tests replace both."""

    clock: Clock = Clock()
    connect: Callable[[Instance, Optional[Pool]], DirectTransport] = DirectTransport


REAL = Runtime()


def make_collectors(
    instances: Sequence[Instance],
    store: Store,
    taker: str = "",
    form: Optional[str] = None,
    sources: Sequence[Source] = (),
    pool: Optional[Pool] = None,
    runtime: Runtime = REAL,
) -> List[Collector]:
    """Make a collector for each instance. They share one store: those of one key must pass one gate.

    Args:
        instances: of one file.
        store: where they leave what outlives them.
        taker: names who takes their hours or counts.
        form: in which format; None where nobody does.
        sources: what is asked for the first instances; the others ask for all that is known of.
        pool: keeps their connections from cycle to cycle; whoever made it closes it.
        runtime: their clock and their transport.
    """
    clock, pool = runtime.clock, pool or Pool()
    gates = Gates(store, clock)
    return [
        Collector(
            instance,
            provider(instance.credentials),
            runtime.connect(instance, pool),
            gates,
            clock,
            sources[i : i + 1] or SOURCES,
            consumer=_consumer(f"{taker} {i}", form) if form and (instance.hourly or instance.models) else None,
        )
        for i, instance in enumerate(instances)
    ]


def _consumer(name: str, form: str) -> Consumer:
    from ..ledger import COUNTERS, HOURS, Consumer

    return Consumer(f"{form} {name}", COUNTERS if form == "prometheus" else HOURS)


def open_store(instances: Sequence[Instance], warn: Warn, clock: Clock) -> Store:
    """Open the store of a file's instances, which name one folder at most."""
    folder = next((instance.state_dir for instance in instances if instance.state_dir), None)
    return Store(partial(find_file, folder), warn, clock.now)


def run_cycle(
    collectors: Sequence[Collector],
    deadline: Optional[float] = None,
    progress: Callable[[], None] = lambda: None,
    now: Optional[float] = None,
) -> List[Batch]:
    """Run one cycle of every collector at once, all at one time; return their batches in the collectors' order."""
    at = collectors[0].now() if now is None else now
    cycles = {i: partial(collector.cycle, deadline, progress, at) for i, collector in enumerate(collectors)}
    batches: List[Batch] = []
    for _, ended in sorted(Crew(Clock()).do(cycles, workers=len(cycles)).items()):
        if isinstance(ended, Exception):
            raise ended
        batches.append(ended)
    return batches


def on_sigterm(collectors: Sequence[Collector], also: Callable[[], None] = lambda: None) -> None:
    """Let SIGTERM end the running cycle with what is complete, instead of ending the process."""

    def handle(number: int, frame: object) -> None:
        for collector in collectors:
            collector.cancel()
        also()

    signal.signal(signal.SIGTERM, handle)
