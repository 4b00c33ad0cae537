"""What a source of statistics is: it says what it would ask, and asks it. The cycle knows no API by name."""

from __future__ import annotations

from typing import Any, Callable, Dict, Hashable, List, Optional, Protocol, Sequence, Tuple, Union

from msgspec import Struct

from ..config import Instance
from ..errors import MaasError, QueryError, Result
from ..metrics import Number
from .transport import MAX_BODY_BYTES

Query = Hashable
"""One question; two that are equal are asked once."""
Outcome = Union[Any, QueryError]
"""The source's answer to a query, or why there is none."""


class Call(Struct, frozen=True):
    """Hold one call of an API before it is signed.

    Args:
        api: the API that a 429 pauses.
        permission: what a refusal names, such as `modelarts:monitoring:get`.
        method: GET or POST.
        endpoint_key: the configuration key whose URL the call goes to.
        path: `{project_id}` in it is filled in.
        query: names and values.
        body: sent as JSON; its labels are not printed.
        max_bytes: the longest body that is accepted.
    """

    api: str
    permission: str
    method: str
    endpoint_key: str
    path: str
    query: Optional[List[Tuple[str, str]]] = None
    body: Optional[Dict[str, Any]] = None
    max_bytes: int = MAX_BODY_BYTES

    def __repr__(self) -> str:
        return f"Call({self.method} {self.path})"


Send = Callable[[Call], bytes]
"""Send a call and return the body of a 200; QueryError is the only error."""


class Series(Protocol):
    """One point to come."""

    @property
    def measurement(self) -> str:
        """Name the measurement."""

    @property
    def tags(self) -> Dict[str, str]:
        """Tell it from others of the measurement."""

    @property
    def queries(self) -> Tuple[Query, ...]:
        """List the questions whose answers make it; without one of them there is no point."""

    @property
    def name(self) -> str:
        """Name it to a person."""

    def fields(self, answers: Sequence[Any]) -> Dict[str, Number]:
        """Make its values of the answers, in the queries' order."""

    def warning(self, fields: Dict[str, Number]) -> str:
        """Say what is strange about its values, if anything."""


class Plan(Struct, frozen=True):
    """Hold what a source would ask in one cycle: its series, each distinct query once, and ranges that are gone."""

    series: Tuple[Any, ...]
    queries: Tuple[Query, ...]
    expired: Tuple[str, ...] = ()


class Api(Protocol):
    """One API that can be asked."""

    def ask(self, query: Any, send: Send) -> Any:
        """Ask one query; raise QueryError where there is no believable answer."""


class Source(Api, Protocol):
    """One API as a source of series."""

    def plan(self, instance: Instance, now: int) -> Plan:
        """Plan a cycle at one moment, in milliseconds since 1970."""


def as_query_error(error: Exception) -> QueryError:
    """Turn whatever a thread met into a failed query: a fault of ours must not look like a time-out."""
    if isinstance(error, QueryError):
        return error
    if isinstance(error, MaasError):
        return QueryError(Result.INTERNAL, str(error))
    return QueryError(Result.INTERNAL, f"a fault in this plugin ({type(error).__name__}): please report it")
