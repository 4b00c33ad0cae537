"""One cycle's conversation with the cloud: the key, its gate, the project, and signed calls tried again."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set

from msgspec.structs import replace

from ..clock import Clock
from ..cloud.credentials import Credentials, Provider
from ..cloud.project import find_project
from ..cloud.redaction import Redact, redact_body, redactor
from ..cloud.signing import sign_request
from ..cloud.source import Api, Call, Outcome, Query, Send
from ..cloud.transport import Transport
from ..config import Instance, is_project_id
from ..errors import RETRYABLE, QueryError, Result
from .gates import Gates
from .passes import Pass
from .rate_limiter import tenth

PAUSES = (0.5, 1.0)
"""Seconds between tries, each spread by half, so that many agents do not come back together."""


class Session:
    """Connect once, ask many times, stop, close. Made in the cycle's thread, used in its workers.

    `sent` holds the queries of `ask` that left.

    Args:
        instance: whom to ask, and with which options.
        provider: fetches the key.
        transport: carries requests.
        gates: hold back the key's requests.
        clock: tells the time.
        give_up: monotonic seconds; no request goes after them.
        turns: names each query from cycle to cycle.
        pauses: seconds before each further try of what may pass.
        late: the error of a request that would have been awaited longer, but for `give_up`.
        not_sent: the error of a request that could not be sent before `give_up`.
    """

    def __init__(
        self,
        instance: Instance,
        provider: Provider,
        transport: Transport,
        gates: Gates,
        clock: Clock,
        give_up: float,
        turns: Mapping[Query, str],
        pauses: Sequence[float] = PAUSES,
        late: str = "no answer before the time was up: raise timeout",
        not_sent: str = "not sent: earlier requests used up the time; check whether the cloud is slow",
    ) -> None:
        self._instance = instance
        self._provider = provider
        self._transport = transport
        self._preconnect = getattr(transport, "preconnect", None)  # where the transport keeps connections
        self._gates = gates
        self._clock = clock
        self._give_up = give_up
        self._turns = turns
        self._pauses = pauses
        self._late = late
        self._not_sent = not_sent
        self.sent: Set[Query] = set()
        self._methods: List[str] = []  # the method of each request: to append is one step, whatever the threads
        self._key: Optional[Credentials] = None
        self._redact: Redact = str
        self._pass: Optional[Pass] = None
        self._learned: Dict[str, str] = {}
        self.project_id = instance.project_id or ""
        self.key_name = ""

    def connect(self) -> None:
        """Fetch the key, pass its gate and find the project; raise QueryError."""
        instance = self._instance
        self._key = self._provider()
        self._redact = redactor(self._key.secrets())
        gate = self._gates.of(self._key)
        # Another cycle of this instance may begin within the minute, and its ranges go first.
        self._pass = gate.begin(str(instance.api_tags), len(self._turns) + 1, self._not_sent)
        self.key_name = gate.name
        where = instance.project_query_key
        remembered = self._pass.projects.get(where, "")
        if not self.project_id and is_project_id(remembered):
            self.project_id = remembered
        if not self.project_id:
            self.project_id = self._learned[where] = find_project(instance.region, self._sender(where))

    def ask(self, source: Api, query: Query) -> Outcome:
        """Ask one query of a source; raise QueryError when no try brought an answer.

        One that was not planned has the turn of the lookup.
        """
        turn = self._turns.get(query, self._instance.project_query_key)
        return source.ask(query, self._sender(turn, partial(self.sent.add, query)))

    def ask_spare(self, source: Api, query: Any, goes: Callable[[], None] = lambda: None) -> Any:
        """Ask what can wait for a later cycle, as far as the rate leaves room; raise QueryError.

        `goes` is called as its request leaves the gate, and may be called again.
        """
        return source.ask(query, self._sender(None, goes))

    @property
    def http_requests(self) -> int:
        """Count the requests that went out."""
        return len(self._methods)

    @property
    def is_connected(self) -> bool:
        """Tell whether there is somebody to ask, and about whom."""
        return self._pass is not None and bool(self.project_id)

    def is_crowded(self) -> bool:
        """Tell whether one request at a time is enough, for many others of the same key wait too."""
        return self._pass is not None and self._pass.is_crowded()

    def not_sent(self) -> QueryError:
        """Make the error of a request that could not be sent in time."""
        return QueryError(Result.TIMED_OUT, self._not_sent, is_consequence=True)

    def stop(self) -> None:
        """Let no more requests go."""
        self._give_up = float("-inf")

    def close(self, outcomes: Sequence[Outcome]) -> None:
        """Leave in the store what the next run needs."""
        if self._pass is None:
            return
        errors = [outcome.result for outcome in outcomes if isinstance(outcome, QueryError)]
        strange = {Result.NOT_FOUND, Result.PERMISSION_DENIED} & set(errors)
        # All queries failed, one with 403 or 404: forget the project id.
        forgotten = {self._instance.project_query_key: ""} if strange and len(errors) == len(outcomes) else {}
        self._pass.end({**self._learned, **forgotten})

    def _sender(self, turn: Optional[str], goes: Callable[[], None] = lambda: None) -> Send:
        return partial(self._send, turn, goes)

    def _send(self, turn: Optional[str], goes: Callable[[], None], call: Call) -> bytes:
        try:
            return self._try(turn, goes, call)
        except QueryError as error:
            failed = error
        for pause in self._pauses:
            if failed.result not in RETRYABLE:
                break
            import random

            spread = pause * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            if self._clock.monotonic() + spread >= self._give_up:
                break
            self._clock.sleep(spread)
            try:
                return self._try(turn, goes, call)
            except QueryError as error:
                if error.is_consequence:  # the retry was not sent: what failed is still the try before it
                    break
                failed = error
        raise failed

    def _try(self, turn: Optional[str], goes: Callable[[], None], call: Call) -> bytes:
        instance, gate = self._instance, self._pass
        assert gate is not None, "connect comes first"
        per_minute, at_once = instance.max_requests_per_minute, instance.max_concurrency
        # Ranges leave a tenth of the rate to hours and models; these leave what the ranges of the next cycle may take.
        kept = gate.in_demand() if turn is None else tenth(per_minute) if instance.hourly or instance.models else 0
        meanwhile = self._preconnect and partial(self._connect_ahead, self._preconnect, call)
        ticket = gate.admit(per_minute, self._give_up, turn, at_once, call.api, kept, meanwhile)
        failure: Optional[QueryError] = QueryError(Result.INTERNAL, "the request was broken off")
        try:
            goes()
            answer = self._exchange(call)
            failure = None
            return answer
        except QueryError as error:
            failure = error
            raise
        finally:
            gate.settle(ticket, failure, call.api)

    def _connect_ahead(self, preconnect: Callable[[str, float], None], call: Call) -> None:
        left = self._give_up - self._clock.monotonic()
        if left > 0:
            preconnect(getattr(self._instance, call.endpoint_key), min(self._instance.timeout, left))

    def _exchange(self, call: Call) -> bytes:
        key = self._key
        assert key is not None
        give_up = self._give_up
        left = give_up - self._clock.monotonic()
        if left <= 0:  # the cycle was ended while this waited at the gate
            raise self.not_sent()
        url = getattr(self._instance, call.endpoint_key) + call.path.replace("{project_id}", self.project_id)
        request = sign_request(call.method, url, key, self._clock.now(), call.query, call.body)
        request = replace(request, max_bytes=call.max_bytes)
        self._methods.append(call.method)
        try:
            response = self._transport(request, min(self._instance.timeout, left))
        except QueryError as error:
            if error.result == Result.TIMED_OUT and self._clock.monotonic() >= give_up:
                raise QueryError(Result.TIMED_OUT, self._late) from None
            # What stands between here and the cloud may quote what was sent to it.
            error.args = (self._redact_error(str(error)),)
            raise
        if response.status == 200:
            return redact_body(response.body, self._redact)
        from ..cloud.error_responses import response_error

        raise response_error(response, call.permission, self._clock.now(), self._redact_error)

    def _redact_error(self, text: str) -> str:
        # Labels are secret too where they are no tag. In an answer they may be part of a number.
        labels = () if self._instance.per_api_key else self._instance.api_keys or ()
        return redactor(labels)(self._redact(text))
