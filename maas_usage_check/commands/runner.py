"""A cycle of all instances at once, as the command line runs it."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Callable, List, Optional, Sequence

from msgspec import Struct

from ..clock import Clock
from ..cloud import DirectTransport, Pool, provider
from ..collection import Collector
from ..config import Instance
from ..scheduling import Priority, Schedulers
from ..state import Store, Warn, find_file

if TYPE_CHECKING:
    from ..ledger import Consumer


class Runtime(Struct, frozen=True):
    """The clock of a process and the constructor of its transports. Tests replace both."""

    clock: Clock = Clock()
    connect: Callable[[Instance, Optional[Pool]], DirectTransport] = DirectTransport


REAL = Runtime()


def make_collectors(
    instances: Sequence[Instance],
    store: Store,
    taker: str = "",
    form: Optional[str] = None,
    pool: Optional[Pool] = None,
    runtime: Runtime = REAL,
    rate_extension_s: float = 0.0,
    priority: Priority = Priority.RANGE,
) -> List[Collector]:
    """Make a collector for each instance; those of one access key share its scheduler.

    Args:
        instances: of one file.
        store: the state.
        taker: names who takes their hours or counts.
        form: in which format; None where nobody does.
        pool: keeps their connections from cycle to cycle; its maker closes it.
        runtime: their clock and their transport.
        rate_extension_s: see Collector.
        priority: see Collector.
    """
    clock, pool = runtime.clock, pool or Pool()
    schedulers = Schedulers(store, clock)
    pool.guard = schedulers.proxy_guard
    providers = {source: provider(source) for source in {instance.credentials for instance in instances}}
    return [
        Collector(
            instance,
            providers[instance.credentials],
            runtime.connect(instance, pool),
            schedulers,
            clock,
            consumer=_consumer(f"{taker} {i}", form) if form and (instance.hourly or instance.models) else None,
            rate_extension_s=rate_extension_s,
            priority=priority,
        )
        for i, instance in enumerate(instances)
    ]


def _consumer(name: str, form: str) -> Consumer:
    from ..ledger import COUNTERS, HOURS, Consumer  # saves 76 million instructions of a `collect` of ranges

    return Consumer(f"{form} {name}", COUNTERS if form == "prometheus" else HOURS)


def open_store(instances: Sequence[Instance], warn: Warn, clock: Clock) -> Store:
    """Open the state of a file's instances, which name one folder at most."""
    folder = next((instance.state_dir for instance in instances if instance.state_dir), None)
    return Store(partial(find_file, folder), warn, clock.now)


def log_waits(warn: Warn, instance: Instance) -> Callable[[float], None]:
    """Return a function that logs how long a request waits for the rate limit."""
    used = f"max_requests_per_minute ({instance.max_requests_per_minute}) is used up"
    return lambda seconds: warn(f"rate limit: waiting {seconds:.0f} s, {used}")


def on_sigterm(collectors: Sequence[Collector], then: Callable[[], None] = lambda: None) -> None:
    """Let SIGTERM end the running cycle with the complete results, instead of ending the process."""

    def handle(number: int, frame: object) -> None:
        for collector in collectors:
            collector.cancel()
        then()

    signal.signal(signal.SIGTERM, handle)
