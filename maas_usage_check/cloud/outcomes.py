"""One table: what follows from each way in which a request can end."""

from __future__ import annotations

from typing import Dict, Union

from msgspec import Struct

from ..errors import QueryError, Result

KEY, API, PROXY = "key", "api", "proxy"
"""What the circuit breaker opens for: the whole access key, one API of it, or a proxy."""


class Effect(Struct, frozen=True):
    """The consequences of one result.

    Attributes:
        retry: another try within the cycle may succeed.
        verifies: the cloud accepted the signature.
        opens: the circuit breaker opens for the access key, for one API, for a proxy, or not.
        stops_source: the other background queries of the source would end alike.
        deferred: nothing was sent for want of rate; the query goes first in the next cycle.
    """

    retry: bool = False
    verifies: bool = False
    opens: str = ""
    stops_source: bool = True
    deferred: bool = False

    @property
    def allows_fallback(self) -> bool:
        """True if another query may succeed where this one failed."""
        return self.retry or not self.stops_source


_REFUSED = Effect(opens=KEY)
EFFECTS: Dict[Result, Effect] = {
    Result.OK: Effect(verifies=True, stops_source=False),
    Result.PARTIAL: Effect(),
    Result.NO_CREDENTIALS: Effect(),
    Result.KEY_REFUSED: _REFUSED,
    Result.KEY_LOCKED: _REFUSED,
    Result.BACKING_OFF: Effect(),
    Result.CLOCK_OFF: _REFUSED,
    Result.CREDENTIALS_EXPIRED: _REFUSED,
    Result.PERMISSION_DENIED: Effect(),  # a 403 may come before the signature is checked
    Result.NO_PROJECT: Effect(verifies=True),
    Result.NOT_FOUND: Effect(verifies=True),
    Result.THROTTLED: Effect(opens=API),
    Result.OVER_RATE: Effect(stops_source=False, deferred=True),
    Result.TIMED_OUT: Effect(retry=True),
    Result.PROXY_REFUSED: Effect(opens=PROXY),
    Result.NETWORK: Effect(retry=True, stops_source=False),
    Result.SERVER_ERROR: Effect(retry=True, stops_source=False),
    Result.REQUEST_REJECTED: Effect(verifies=True, stops_source=False),
    Result.BAD_ANSWER: Effect(stops_source=False),  # something else may have answered
    Result.NOTHING_KEPT: Effect(),
    Result.INTERNAL: Effect(),
}


def effect_of(outcome: object) -> Effect:
    """Look up the consequences of an answer or an error."""
    return EFFECTS[outcome.result if isinstance(outcome, QueryError) else Result.OK]


Outcome = Union[object, QueryError]
