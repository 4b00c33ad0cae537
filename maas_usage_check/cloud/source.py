"""What a source of statistics is: it says what it would ask, and asks it. The cycle knows no API by name."""

from __future__ import annotations

from typing import Any, Callable, Dict, Hashable, List, Optional, Protocol, Sequence, Tuple, Union

from msgspec import Struct

from ..config import Instance
from ..errors import MaasError, QueryError, Result
from ..metrics import Number
from .transport import LARGEST_BODY

Query = Hashable
"""One question; two that are equal are asked once."""
Outcome = Union[Any, QueryError]
"""The source's answer to a query, or why there is none."""


class Call(Struct, frozen=True):
    """Hold one call of an API before it is signed.

    `host` names the key of the instance that says where it goes; `{project_id}` in `path` is filled in. A 429 closes
    `api`, and `permission` is what a refusal names; `largest` is how many bytes an answer may have. Labels are not
    printed.
    """

    api: str
    permission: str
    method: str
    host: str
    path: str
    query: Optional[List[Tuple[str, str]]] = None
    body: Optional[Dict[str, Any]] = None
    largest: int = LARGEST_BODY

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

    def doubt(self, fields: Dict[str, Number]) -> str:
        """Say what is strange about its values, if anything."""


class Plan(Struct, frozen=True):
    """Hold what a source would ask in one cycle: its series, each distinct query once, and ranges that are gone."""

    series: Tuple[Any, ...]
    queries: Tuple[Query, ...]
    expired: Tuple[str, ...] = ()


class Asks(Protocol):
    """One API that can be asked."""

    def ask(self, query: Any, send: Send) -> Any:
        """Ask one query; raise QueryError where there is no believable answer."""


class Source(Asks, Protocol):
    """One API as a source of series."""

    def plan(self, instance: Instance, now: int) -> Plan:
        """Plan a cycle at one moment, in milliseconds since 1970."""


def failure(error: Exception) -> QueryError:
    """Turn whatever a thread met into a failed query: a fault of ours must not look like a time-out."""
    if isinstance(error, QueryError):
        return error
    if isinstance(error, MaasError):
        return QueryError(Result.INTERNAL, str(error))
    return QueryError(Result.INTERNAL, f"a fault in this plugin ({type(error).__name__}): please report it")
