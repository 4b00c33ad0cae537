"""A cycle of all instances side by side, as the command line runs it."""

from __future__ import annotations

import queue
import signal
import threading
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

from .collector import Batch, Collector
from .credentials import provider, readable_by_others
from .gate import Clock, Gates
from .instance import Instance, Source
from .plan import over_rate
from .state import Warn, open_state
from .transport import DirectTransport


def make_collectors(instances: Sequence[Instance], warn: Warn) -> List[Collector]:
    """Make a collector for each instance. They share one state: those of one key must pass one gate."""
    clock = Clock()
    folder = next((instance.state_dir for instance in instances if instance.state_dir), None)
    gates = Gates(open_state(folder, warn), clock)
    return [
        Collector(instance, provider(instance.credentials), DirectTransport(instance), gates, clock)
        for instance in instances
    ]


def forewarn(collectors: Sequence[Collector], warn: Warn, deadline: Optional[float] = None) -> None:
    """Say before anything is asked what can be known to go wrong; `deadline` is seconds, instead of the instances'."""
    sources: Dict[Source, List[Collector]] = {}
    for collector in collectors:
        sources.setdefault(collector.instance.credentials, []).append(collector)
    for source, sharing in sources.items():
        instances = [collector.instance for collector in sharing]
        too_many = over_rate(instances, sum(len(collector.plan().queries) for collector in sharing), deadline)
        if too_many:
            warn(f"{', '.join(dict.fromkeys(instance.region for instance in instances))}: {too_many}")
        others = source.path and readable_by_others(source.path)
        if others:
            warn(f"credentials file {source.path}: {others}")


def run_cycle(
    collectors: Sequence[Collector],
    deadline: Optional[float] = None,
    progress: Callable[[], None] = lambda: None,
    now: Optional[float] = None,
) -> List[Batch]:
    """Run one cycle of every collector at once, all at one time; return their batches in the collectors' order."""
    at = collectors[0].now() if now is None else now
    done: queue.SimpleQueue[Tuple[int, Union[Batch, Exception]]] = queue.SimpleQueue()

    def run(index: int) -> None:
        try:
            done.put((index, collectors[index].cycle(deadline, progress, at)))
        except Exception as error:  # raised again where it can be told
            done.put((index, error))

    for index in range(len(collectors)):
        threading.Thread(target=run, args=(index,), daemon=True).start()
    batches: Dict[int, Batch] = {}
    while len(batches) < len(collectors):
        index, outcome = done.get()
        if isinstance(outcome, Exception):
            raise outcome
        batches[index] = outcome
    return [batches[index] for index in sorted(batches)]


def on_sigterm(collectors: Sequence[Collector], also: Callable[[], None] = lambda: None) -> None:
    """Let SIGTERM end the running cycle with what is complete, instead of ending the process."""

    def handle(number: int, frame: object) -> None:
        for collector in collectors:
            collector.cancel()
        also()

    signal.signal(signal.SIGTERM, handle)
