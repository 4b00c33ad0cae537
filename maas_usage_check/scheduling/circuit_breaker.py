"""How long nobody asks with a key: after a refusal, and after a 429. All of it works on the key's entry."""

from __future__ import annotations

from math import ceil
from typing import Optional

from ..clock import CLOCK_TOLERANCE
from ..errors import QueryError, Result
from .key_state import KeyEntry

FIRST_WAIT = 300.0
LONGEST_WAIT = 3600.0
UNTOLD_THROTTLE = 60.0
UNKNOWN = "the cloud refused the key, and why is not known any more"

REFUSALS = frozenset({Result.KEY_REFUSED, Result.KEY_LOCKED, Result.CLOCK_OFF, Result.CREDENTIALS_EXPIRED})


def note(entry: KeyEntry, api: str, failure: Optional[QueryError], proven: bool, now: float, monotonic: float) -> None:
    """Take note of how a request ended: of a refusal, of a 429, or that the key was proven right."""
    if failure is not None and failure.result in REFUSALS:
        if now >= entry.not_before:  # else it was under way when another was refused: one refusal, one wait
            entry.refusals += 1
            entry.not_before = now + min(FIRST_WAIT * 2 ** min(entry.refusals - 1, 10), LONGEST_WAIT)
        entry.cause, entry.why = int(failure.result), str(failure)
        entry.clock_off, entry.clock_zero = failure.clock_off, now - monotonic
    elif failure is not None and failure.result == Result.THROTTLED:
        told = UNTOLD_THROTTLE if failure.retry_after is None else failure.retry_after
        until = now + min(told, LONGEST_WAIT)
        entry.throttled[api] = max(entry.throttled.get(api, 0.0), until)
    elif proven and now >= entry.not_before:  # an answer to what left before a refusal came does not undo it
        entry.refusals, entry.not_before, entry.cause, entry.why = 0, 0.0, 0, ""


def mend_clock(entry: KeyEntry, now: float, monotonic: float) -> None:
    """End a wait that a wrong clock began, whatever the refusal was called, once the clock was set right.

    A wait longer than the longest is cut: the clock was set back since.
    """
    longest = now + LONGEST_WAIT
    set_by = now - monotonic - entry.clock_zero
    if entry.clock_off is None:  # nobody told the cloud's time: a clock that was set by so much may have been wrong
        mended = abs(set_by) > CLOCK_TOLERANCE
    else:
        mended = abs(entry.clock_off) > CLOCK_TOLERANCE >= abs(entry.clock_off + set_by)
    if mended:
        entry.not_before = 0.0
    entry.not_before = min(entry.not_before, longest)
    entry.throttled = {api: min(until, longest) for api, until in entry.throttled.items() if until > now}


def raise_if_shut(entry: KeyEntry, api: str, now: float, closed: bool) -> None:
    """Raise QueryError while nobody may ask an API; `closed` says that a 429 of it has ended this cycle."""
    if now < entry.not_before:
        raise QueryError(
            _cause(entry),
            f"{entry.why or UNKNOWN}. Retrying in {ceil((entry.not_before - now) / 60)} min to avoid a lockout; "
            "a replaced key is tried in the next cycle",
            is_consequence=True,
            clock_off=entry.clock_off,
        )
    until = entry.throttled.get(api, 0.0)
    if closed or now < until:
        raise QueryError(
            Result.THROTTLED,
            "the cloud asked to slow down, nothing more is asked in this cycle and for "
            f"{max(0.0, until - now):.0f} s: lower max_requests_per_minute if others use this account's quota too",
            is_consequence=True,
        )


def _cause(entry: KeyEntry) -> Result:
    try:
        return Result(entry.cause or Result.BACKING_OFF)
    except ValueError:  # a state from elsewhere
        return Result.BACKING_OFF
