"""An access key, its queue, and requests whose outcomes the test decides."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple, Union

from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Group, Priority, Request
from maas_usage_check.scheduling.key_state import KeyState
from maas_usage_check.scheduling.request_queue import RequestQueue
from maas_usage_check.state import Store

from ..fixed_clock import FixedClock


class Account:
    """The queue of one access key in one process, and what ended how."""

    def __init__(self, clock: FixedClock, store: Optional[Store] = None, rate: int = 100, concurrency: int = 4) -> None:
        self.clock = clock
        self.key = KeyState("key", store or Store(), clock.clock)
        self.queue = RequestQueue(self.key, clock.clock)
        self.rate, self.concurrency = rate, concurrency
        self.ended: List[Tuple[str, Any]] = []

    def group(self, seconds: float = 25.0, rate: Optional[int] = None, extension_s: float = 0.0, **keys: Any) -> Group:
        """Begin a cycle."""
        deadline = self.clock.clock.monotonic() + seconds
        group = Group(rate or self.rate, self.concurrency, deadline, deadline + extension_s, **keys)
        self.queue.open(group)
        return group

    def request(
        self, group: Group, name: str, priority: Priority = Priority.RANGE, order: float = 0, api: str = "statistics"
    ) -> Request:
        """Make a request that is called by a name."""

        def on_end(outcome: Any) -> List[Request]:
            self.ended.append((name, outcome))
            return []

        return Request(group, (priority, order), api, lambda: name, on_end, query_key=name)

    def submit(self, group: Group, *names: str, priority: Priority = Priority.RANGE, api: str = "statistics") -> None:
        self.queue.submit(self.request(group, name, priority, i, api) for i, name in enumerate(names))

    def next(self) -> Optional[Request]:
        """Return the request that goes now; end those that cannot go any more."""
        while True:
            decision = self.queue.next()
            if decision is None:
                return None
            request, error = decision
            if error is None:
                return request
            request.on_end(error)
            self.queue.finish(request)

    def end(self, request: Request, result: Union[Result, QueryError] = Result.OK) -> None:
        """End a request in flight."""
        outcome: Any = "answer"
        if result != Result.OK:
            outcome = result if isinstance(result, QueryError) else QueryError(result, "x")
        if self.queue.record(request, outcome):
            request.on_end(outcome)
            self.queue.finish(request)

    def send(self, result: Union[Result, QueryError] = Result.OK) -> Optional[str]:
        """Send the next request and end it; return its name."""
        request = self.next()
        if request is None:
            return None
        self.end(request, result)
        return request.query_key

    def errors(self) -> List[Result]:
        return [outcome.result for _, outcome in self.ended if isinstance(outcome, QueryError)]
