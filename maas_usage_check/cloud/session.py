"""One cycle's conversation with the cloud: the key, its gate, the project, and another try where one may help."""

from __future__ import annotations

from typing import Callable, Dict, Mapping, Optional, TypeVar

from ..access.credentials import Provider
from ..access.gate import Gate, Gates
from ..clock import Clock
from ..config.instance import Instance
from ..errors import PASSING, QueryError, Result
from ..store.store import Change
from .client import Answer, Client
from .statistics import Query
from .transport import Transport

PAUSES = (0.5, 1.0)
"""Seconds between tries, each spread by half, so that many agents do not come back together."""

T = TypeVar("T")


class Session:
    """Connect once, ask many times, close. Made in the cycle's thread, used in its workers."""

    def __init__(
        self,
        instance: Instance,
        provider: Provider,
        transport: Transport,
        gates: Gates,
        clock: Clock,
        give_up: float,
        turns: Mapping[Query, str],
    ) -> None:
        self._instance = instance
        self._provider = provider
        self._transport = transport
        self._gates = gates
        self._clock = clock
        self._give_up = give_up
        self._turns = turns
        self._client: Optional[Client] = None
        self._gate: Optional[Gate] = None
        self._learned: Dict[str, str] = {}
        self._answered = self._strange = False
        self._where = instance.lookup
        self.project_id = instance.project_id or ""

    def connect(self) -> None:
        """Fetch the key, pass its gate and find the project; raise QueryError."""
        credentials = self._provider()
        self._gate = self._gates.of(credentials)
        projects = self._gate.begin()
        client = self._client = Client(
            self._instance, credentials, self._transport, self._gate, self._clock, lambda: self._give_up
        )
        self.project_id = self.project_id or projects.get(self._where, "")
        if not self.project_id:
            self.project_id = self._learned[self._where] = self._persist(lambda: client.project_id(self._where))

    def ask(self, query: Query) -> Answer:
        """Ask one question; raise QueryError when no try brought an answer."""
        client = self._client
        assert client is not None, "connect comes first"
        try:
            answer = self._persist(lambda: client.statistics(query, self.project_id, self._turns[query]))
        except QueryError as error:
            self._strange = self._strange or error.result in (Result.NOT_FOUND, Result.PERMISSION_DENIED)
            raise
        self._answered = True
        return answer

    def close(self, also: Change) -> int:
        """Let no more requests go, leave what the next run needs, and return how many requests went."""
        self._give_up = float("-inf")
        if self._gate is None:
            self._gates.state.update(also)
        else:
            # The project may be another one now: then it is looked up next time.
            forgotten = {self._where: ""} if self._strange and not self._answered else {}
            self._gate.end({**self._learned, **forgotten}, also)
        return self._client.http_requests if self._client else 0

    def _persist(self, ask: Callable[[], T]) -> T:
        for pause in PAUSES:
            try:
                return ask()
            except QueryError as error:
                import random

                spread = pause * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
                if error.result not in PASSING or self._clock.monotonic() + spread >= self._give_up:
                    raise
            self._clock.sleep(spread)
        return ask()
