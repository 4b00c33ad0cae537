"""When no request is sent: after a refusal of an access key or of a proxy's password, and after a 429 of an API.

More than five refused signatures in a row lock a key for five minutes, for everybody who uses it. A proxy's account may
be locked as well.
"""

from __future__ import annotations

from math import ceil

from ..clock import CLOCK_TOLERANCE
from ..cloud.outcomes import API, EFFECTS, KEY, PROXY, Outcome, effect_of
from ..errors import QueryError, Result
from .key_state import KeyEntry

FIRST_WAIT_S = 300.0
LONGEST_WAIT_S = 3600.0
DEFAULT_THROTTLE_S = 60.0
CAUSES = frozenset(result for result, effect in EFFECTS.items() if effect.opens in (KEY, PROXY))
REPLACED_KEY = "a replaced key is tried in the next cycle"
UNKNOWN = "the cloud refused the access key; the reason was not stored"


def record(entry: KeyEntry, api: str, outcome: Outcome, now: float, monotonic: float, refuser: str = KEY) -> None:
    """Record how a request to an API ended, at `now` by the wall clock and `monotonic` by the other.

    `refuser`: whose refusals the entry counts, KEY or PROXY.
    """
    effect = effect_of(outcome)
    if isinstance(outcome, QueryError) and effect.opens == refuser:
        if now >= entry.not_before:  # else it was in flight when another was refused: one refusal, one wait
            entry.refusals += 1
            entry.not_before = now + min(FIRST_WAIT_S * 2 ** min(entry.refusals - 1, 10), LONGEST_WAIT_S)
        entry.cause, entry.why = int(outcome.result), str(outcome)
        entry.clock_off, entry.clock_zero = outcome.clock_off, now - monotonic
    elif isinstance(outcome, QueryError) and effect.opens == API:
        wait_s = DEFAULT_THROTTLE_S if outcome.retry_after is None else outcome.retry_after
        entry.throttled[api] = max(entry.throttled.get(api, 0.0), now + min(wait_s, LONGEST_WAIT_S))
    elif effect.verifies and now >= entry.not_before:  # an answer to a request sent before a refusal does not undo it
        entry.refusals, entry.not_before, entry.cause, entry.why = 0, 0.0, 0, ""


def reset_if_clock_fixed(entry: KeyEntry, now: float, monotonic: float) -> None:
    """End a wait that a wrong clock caused, once the clock was set right.

    Cut a wait longer than the longest: the clock was set back since.
    """
    longest = now + LONGEST_WAIT_S
    set_by = now - monotonic - entry.clock_zero
    if entry.clock_off is None:  # the cloud's time is not known: a clock that was set by so much may have been wrong
        fixed = abs(set_by) > CLOCK_TOLERANCE
    else:
        fixed = abs(entry.clock_off) > CLOCK_TOLERANCE >= abs(entry.clock_off + set_by)
    entry.not_before = 0.0 if fixed else min(entry.not_before, longest)
    entry.throttled = {api: min(until, longest) for api, until in entry.throttled.items() if until > now}


def raise_if_open(entry: KeyEntry, api: str, now: float, throttled: bool = False) -> None:
    """Raise QueryError while no request may be sent; `throttled`: a 429 has ended the cycle's calls of this API."""
    if now < entry.not_before:
        result = Result(entry.cause) if entry.cause in CAUSES else Result.BACKING_OFF  # a state from elsewhere
        replaced = "another password is tried at once" if result == Result.PROXY_REFUSED else REPLACED_KEY
        wait = ceil((entry.not_before - now) / 60)
        raise QueryError(
            result,
            f"{entry.why or UNKNOWN}. Retrying in {wait} min to avoid a lockout; {replaced}",
            is_consequence=True,
            clock_off=entry.clock_off,
        )
    until = entry.throttled.get(api, 0.0)
    if throttled or now < until:
        raise QueryError(
            Result.THROTTLED,
            f"the cloud's rate limit was reached: no requests in this cycle and for {max(0.0, until - now):.0f} s: "
            "lower max_requests_per_minute if others use this account's quota too",
            is_consequence=True,
        )
