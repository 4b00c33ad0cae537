"""The access of one cycle to the cloud: credentials, the access key's scheduler, the project."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, Hashable, Iterable, Optional, Sequence, Set, Tuple

from ..cloud import Api, Client, Credentials
from ..cloud.outcomes import Outcome
from ..config import is_project_id
from ..errors import QueryError, Result
from ..scheduling import Group, Priority, Request, Scheduler
from .collector import Collector

NOT_SENT = "not sent: earlier requests used up the {:g} s deadline; check whether the cloud is slow"
LATE = "no answer within the deadline of {:g} s: check the network, ask less, or raise deadline and timeout"


class Session:
    """Open, find the project, send many queries, close.

    Args:
        collector: the instance's.
        timeout: seconds.

    Attributes:
        group: the limits, the deadline and the tries of its requests.
        late: the text of the error of a request that the deadline cut short.
        is_over: set at the end: nothing more is sent.
        sent: the queries that were sent.
        failure: why all queries without an answer have none; None where each has a reason of its own.
        project_id: empty while it is not known.
        key_name: the digest of the access key; empty while there is none.
        client: None while there is no access key.
    """

    def __init__(self, collector: Collector, timeout: float) -> None:
        instance, deadline = collector.instance, collector.clock.monotonic() + timeout
        self.collector = collector
        self.group = Group(
            instance.max_requests_per_minute,
            instance.max_concurrency,
            deadline,
            last_deadline=deadline + collector.rate_extension_s,
            request_s=instance.timeout,
            is_cancelled=lambda: collector.is_cancelled or self.is_over,
            not_sent=NOT_SENT.format(timeout),
        )
        self.late = LATE.format(timeout)
        self.is_over = False
        self.sent: Set[Hashable] = set()
        self.failure: Optional[QueryError] = None
        self.project_id = instance.project_id or ""
        self.key_name = ""
        self.client: Optional[Client] = None
        self._scheduler: Optional[Scheduler] = None
        self._projects: Dict[str, str] = {}

    def open(self, scheduler: Scheduler, credentials: Credentials) -> None:
        """Begin to use an access key."""
        collector, instance = self.collector, self.collector.instance
        client = Client(
            instance, credentials, collector.transport, collector.clock, lambda: self.group.deadline, self.late
        )
        scheduler.open(self.group)
        self._scheduler, self.client, self.key_name = scheduler, client, scheduler.key.name
        if self.group.is_cancelled():  # the cycle ended while the credentials were fetched
            scheduler.close(self.group, {})
        stored = scheduler.key.entry.projects.get(instance.project_query_key, "")
        client.project_id = self.project_id = self.project_id or (stored if is_project_id(stored) else "")

    def use_project(self, project_id: str) -> None:
        """Use a project that was looked up, and store it at the end."""
        assert self.client is not None
        self.client.project_id = self.project_id = project_id
        self._projects = {self.collector.instance.project_query_key: project_id}

    def request(
        self,
        source: Api,
        query: Hashable,
        on_end: Callable[[Outcome], Iterable[Request]],
        priority: Tuple[int, ...] = (Priority.RANGE,),
        query_key: str = "",
        is_dropped: Callable[[], bool] = lambda: False,
    ) -> Request:
        """Make the request of a query; see Request."""
        client, scheduler = self.client, self._scheduler
        assert client is not None, "open comes first"
        assert scheduler is not None

        def run() -> Any:
            if not self.sent and not scheduler.key.is_verified():  # connect for the requests that may follow
                client.preconnect(source.endpoint_key, min(self.group.pending, self.group.concurrency) - 1)
            self.sent.add(query)
            return source.ask(query, partial(client.send, source.endpoint_key))

        return Request(self.group, priority, source.name, run, on_end, query_key, is_dropped)

    def send(self, requests: Sequence[Request]) -> None:
        """Send requests; wait until they and what follows from them have ended, until the deadline at the latest."""
        assert self._scheduler is not None, "open comes first"
        self._scheduler.submit(requests)
        self._scheduler.wait(self.group)

    def unanswered(self, query: Hashable) -> QueryError:
        """Make the error of a query that has no answer at the end."""
        if self.failure is not None:
            return self.failure
        return QueryError(Result.TIMED_OUT, self.late) if query in self.sent else self.group.not_sent_error()

    def drops(self, outcome: Outcome) -> bool:
        """Return true if an outcome comes too late: after the end of the cycle, or a failure after a stop."""
        return self.is_over or (isinstance(outcome, QueryError) and self.group.is_cancelled())

    def close(self, outcomes: Sequence[Outcome] = ()) -> None:
        """Store what the next cycle needs; the project is looked up again where all queries lacked a permission."""
        if self._scheduler is None:
            return
        results = {outcome.result if isinstance(outcome, QueryError) else Result.OK for outcome in outcomes}
        if results & {Result.NOT_FOUND, Result.PERMISSION_DENIED} and Result.OK not in results:
            self._projects = {self.collector.instance.project_query_key: ""}
        self._scheduler.close(self.group, self._projects)
