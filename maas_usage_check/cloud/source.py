"""The interface of a source of statistics: it plans queries and sends them. The cycle knows no API by name."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Any, Callable, Dict, Hashable, List, Optional, Protocol, Sequence, Tuple, Union

from msgspec import Struct

from ..config import Instance
from ..errors import MaasError, QueryError, Result, internal_error
from ..metrics import Number
from .transport import MAX_BODY_BYTES

if TYPE_CHECKING:
    from ..config.model_prices import ModelPrices

Query = Hashable
"""One query; equal queries are sent once."""
Outcome = Union[Any, QueryError]
"""The source's answer to a query, or the error."""


class Call(Struct, frozen=True):
    """Describe one call of an API before it is signed. The repr shows no labels.

    Args:
        permission: the IAM permission that a refusal names, such as `modelarts:monitoring:get`.
        method: GET or POST.
        path: `{project_id}` in it is filled in.
        query: names and values.
        body: sent as JSON.
        max_bytes: the longest body that is accepted.
    """

    permission: str
    method: str
    path: str
    query: Optional[List[Tuple[str, str]]] = None
    body: Optional[Dict[str, Any]] = None
    max_bytes: int = MAX_BODY_BYTES

    def __repr__(self) -> str:
        return f"Call({self.method} {self.path})"


Send = Callable[[Call], bytes]
"""Send a call and return the body of a 200; QueryError is the only error."""


class RangePoint(Protocol):
    """One point that a cycle will emit."""

    @property
    def measurement(self) -> str:
        """Return the measurement's name."""

    @property
    def tags(self) -> Dict[str, str]:
        """Return the tags that identify the series within its measurement."""

    @property
    def queries(self) -> Tuple[Query, ...]:
        """Return the queries that the point needs; if one fails, there is no point."""

    @property
    def name(self) -> str:
        """Return the series' name in logs."""

    def fields(self, answers: Sequence[Any]) -> Dict[str, Number]:
        """Compute the point's fields from the answers, in the order of `queries`."""

    def warning(self, fields: Dict[str, Number]) -> str:
        """Return a warning about implausible fields, or an empty string."""


class Plan(Struct, frozen=True):
    """Hold a source's plan for one cycle: its points, each distinct query once, and the names of expired ranges."""

    series: Tuple[RangePoint, ...] = ()
    queries: Tuple[Query, ...] = ()
    expired: Tuple[str, ...] = ()

    @classmethod
    def merge(cls, plans: Sequence[Plan]) -> Plan:
        """Merge the plans of several sources."""
        parts = (tuple(itertools.chain(*(getattr(plan, name) for plan in plans))) for name in cls.__struct_fields__)
        return cls(*parts)


class Measurements(Struct, frozen=True):
    """The measurements of a series; empty where it has none."""

    hourly: str
    consumed: str
    cost_hourly: str = ""
    cost_consumed: str = ""


class HourSeries(Struct, frozen=True):
    """One series of hours.

    Attributes:
        name: in the ledger: a digest of all that decides its numbers, so that no label is stored.
        subject: what its source queries; the source's own.
        tags: besides the project's.
        settled_after_ms: an hour is final so many milliseconds after its end.
        prices: of its tokens, in `currency`; None if it has no cost.
    """

    name: str
    subject: Any
    measurements: Measurements
    tags: Dict[str, str]
    settled_after_ms: int
    prices: Optional[ModelPrices] = None
    currency: str = ""


def series_name(*identity: object) -> str:
    """Make the name of a series. The ledger keeps it for ever: what `repr` writes of each part must never change."""
    return hashlib.blake2b(repr(identity).encode(), digest_size=16).hexdigest()


class Api(Protocol):
    """An API that can be queried.

    Attributes:
        name: a 429 pauses all calls to the API of this name.
        endpoint_key: the configuration key whose URL the calls go to.
    """

    name: str
    endpoint_key: str

    def ask(self, query: Any, send: Send) -> Any:
        """Send one query; raise QueryError without a valid answer."""


class Source(Api, Protocol):
    """An API as a source of points. One that has hours also offers what its planner in the ledger asks of it."""

    def plan(self, instance: Instance, now_ms: int) -> Plan:
        """Plan a cycle; `now_ms` is in milliseconds since 1970."""


def as_query_error(error: BaseException) -> QueryError:
    """Convert any exception of a worker into a QueryError: a bug must not look like a timeout."""
    if isinstance(error, QueryError):
        return error
    if isinstance(error, MaasError):
        return QueryError(Result.INTERNAL, str(error))
    return internal_error(error)
