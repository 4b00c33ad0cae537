"""The access of one cycle to the cloud: credentials, the access key's scheduler, the project."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, Hashable, Iterable, List, Optional, Sequence, Set, Tuple

from ..clock import Clock
from ..cloud import Api, Client, Provider, Transport
from ..cloud.outcomes import Outcome
from ..cloud.project import Iam
from ..config import Instance, is_project_id
from ..errors import QueryError, Result
from ..scheduling import Group, Priority, Request, Scheduler, Schedulers


class Session:
    """Connect once, send many queries, close.

    Args:
        instance: names the cloud's hosts and the limits.
        provider: fetches the credentials.
        transport: carries requests.
        schedulers: of all access keys.
        clock: tells the time.
        group: holds the cycle's deadline and limits.
        late: the text of the error of a request that the deadline cut short.
        on_wait: takes the seconds that a request waits for the rate.
    """

    def __init__(
        self,
        instance: Instance,
        provider: Provider,
        transport: Transport,
        schedulers: Schedulers,
        clock: Clock,
        group: Group,
        late: str = "no answer before the deadline: raise timeout",
        on_wait: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.group = group
        self.project_id = instance.project_id or ""
        self.sent: Set[Hashable] = set()
        self._instance = instance
        self._provider = provider
        self._transport = transport
        self._schedulers = schedulers
        self.clock = clock
        self._late = late
        self._on_wait = on_wait
        self._scheduler: Optional[Scheduler] = None
        self._client: Optional[Client] = None
        self._found: Dict[str, str] = {}

    def connect(self) -> str:
        """Fetch the credentials and find the project; return its id, or raise QueryError."""
        credentials = self._provider()
        scheduler = self._schedulers.of(credentials)
        client = Client(
            self._instance, credentials, self._transport, self.clock, lambda: self.group.deadline, self._late
        )
        scheduler.open(self.group)
        self._scheduler, self._client = scheduler, client
        if self.group.is_cancelled():  # the cycle ended while the credentials were fetched
            scheduler.close(self.group, {})
            raise self.group.not_sent_error()
        where = self._instance.project_query_key
        remembered = scheduler.projects.get(where, "")
        if not self.project_id and is_project_id(remembered):
            self.project_id = remembered
        if not self.project_id:
            self.project_id = self._found[where] = self.query(Iam(), self._instance.region)
        client.project_id = self.project_id
        return self.project_id

    @property
    def key_name(self) -> str:
        """Return the digest of the access key; empty while there is none."""
        return self._scheduler.key_name if self._scheduler else ""

    @property
    def http_requests(self) -> int:
        """Count the requests that were sent."""
        return self._client.http_requests if self._client else 0

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
        client = self._client
        assert client is not None, "connect comes first"

        def run() -> Any:
            self.sent.add(query)
            return source.ask(query, partial(client.send, source.endpoint_key))

        preconnect = partial(client.preconnect, source.endpoint_key)
        return Request(self.group, priority, source.name, run, on_end, query_key, preconnect, is_dropped)

    def run(self, requests: Sequence[Request]) -> None:
        """Send requests and what follows from them; return at the deadline at the latest."""
        assert self._scheduler is not None
        self._scheduler.submit(requests)
        self._scheduler.wait(self.group, self._on_wait)

    def query(self, source: Api, query: Hashable, priority: Priority = Priority.RANGE) -> Any:
        """Send one query; return the answer or raise QueryError."""
        (outcome,) = self.query_all(source, [query], priority)
        if isinstance(outcome, QueryError):
            raise outcome
        return outcome

    def query_all(self, source: Api, queries: Sequence[Hashable], priority: Priority) -> List[Any]:
        """Send queries at once; return of each the answer or the QueryError."""
        outcomes: Dict[int, Outcome] = {}
        self.run(
            [
                self.request(source, query, partial(_store, outcomes, i), (priority, i))
                for i, query in enumerate(queries)
            ]
        )
        late = QueryError(Result.TIMED_OUT, self._late)
        return [outcomes.get(i, late) for i in range(len(queries))]

    def close(self, outcomes: Sequence[Outcome] = ()) -> None:
        """Store what the next cycle needs; the project is looked up again where all queries lacked a permission."""
        if self._scheduler is None:
            return
        results = [outcome.result for outcome in outcomes if isinstance(outcome, QueryError)]
        unknown = {Result.NOT_FOUND, Result.PERMISSION_DENIED} & set(results)
        forgotten = {self._instance.project_query_key: ""} if unknown and len(results) == len(outcomes) else {}
        self._scheduler.close(self.group, {**self._found, **forgotten})


def _store(outcomes: Dict[int, Outcome], place: int, outcome: Outcome) -> Sequence[Request]:
    outcomes[place] = outcome
    return ()
