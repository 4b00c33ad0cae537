"""What the cloud says when it does not answer a question, told apart, each with what to do about it.

Bodies come flat (`error_code`, `error_msg`), nested (`error: {code, message}`) or not as JSON at all.
"""

from __future__ import annotations

import email.utils
import re
import time
from calendar import timegm
from typing import Dict, Optional, Tuple

from ..clock import CLOCK_TOLERANCE
from ..errors import QueryError, Result
from .json_body import read_object
from .redaction import Redact
from .transport import Response

EXCERPT = 160
NEVER_ARRIVED = (
    "the request did not arrive in time; it is tried again, and next cycle: check whether the network is slow"
)
NOT_READY = (
    "the request met a server that does not take it; it is tried again, and next cycle: check endpoint and proxy"
)
NO_SUCH_API = "the cloud knows no such API there: check region, endpoint and project_id"
BLOCKED = "something between here and the cloud blocked the request: check firewall, proxy and endpoint"
BY_STATUS: Dict[int, Tuple[Result, str]] = {
    404: (Result.NOT_FOUND, NO_SUCH_API),
    405: (Result.NOT_FOUND, NO_SUCH_API),
    407: (Result.BAD_ANSWER, "a proxy asked for a password in the cloud's place: check proxy and endpoint"),
    408: (Result.TIMED_OUT, NEVER_ARRIVED),
    410: (Result.NOT_FOUND, NO_SUCH_API),
    418: (Result.BAD_ANSWER, BLOCKED),
    421: (Result.SERVER_ERROR, NOT_READY),
    425: (Result.SERVER_ERROR, NOT_READY),
    451: (Result.BAD_ANSWER, BLOCKED),
    499: (Result.TIMED_OUT, NEVER_ARRIVED),
    511: (Result.BAD_ANSWER, BLOCKED),
}
"""What needs no look at the answer: 418 and 451 are of firewalls, 511 of a network that wants a login."""
TIMES = re.compile(r"signature time: ?(\d{8}t\d{6}z), ?server time: ?(\d{8}t\d{6}z)", re.ASCII)
"""How the gateway names both clocks (the SDK's issue tracker, and the gateway's page on errors)."""


def response_error(response: Response, asked: str, now: float, redact: Redact) -> QueryError:
    """Tell which way the cloud refused.

    Args:
        response: an answer with a status other than 200.
        asked: the permission that the request needs, such as `modelarts:monitoring:get`.
        now: seconds since 1970, held against the cloud's own Date header.
        redact: blanks secrets in the cloud's text; a signature failure echoes the signed request.
    """
    status = response.status
    code, message = _read(response)
    request_id = redact(response.headers.get("X-Request-Id") or "")[:64]
    seen = " ".join(
        part for part in (str(status), redact(code)[:40], f"request {request_id}" if request_id else "") if part
    )
    lower = message.lower()

    def error(result: Result, text: str, retry_after: Optional[float] = None) -> QueryError:
        return QueryError(result, f"{text} [{seen}]", retry_after)

    if "policy doesn't allow" in lower or status == 403:
        return error(
            Result.PERMISSION_DENIED,
            f"the key's user lacks a permission: allow `{asked}` in an IAM policy (README, Permissions)",
        )
    if status == 401:
        return _refused_key(lower, response.headers.get("Date"), now, seen)
    if status == 429:
        return error(
            Result.THROTTLED,
            "the cloud's request limit was reached: lower max_requests_per_minute, or ask less often",
            _retry_after(response.headers.get("Retry-After"), now),
        )
    if status in BY_STATUS:
        return error(*BY_STATUS[status])
    if 500 <= status < 600:
        return error(Result.SERVER_ERROR, "the cloud had a fault of its own; it is tried again, and next cycle")
    if 300 <= status < 400:
        return error(Result.BAD_ANSWER, "the answer was a redirect, which is not followed: check endpoint and proxy")
    if not 400 <= status < 500:
        return error(Result.BAD_ANSWER, "the answer was of a kind that the API does not give: check endpoint and proxy")
    said = " ".join(redact(message).split())[:EXCERPT]
    return error(Result.REQUEST_REJECTED, f"the cloud rejected the request (`{said}`): check the configuration")


def _refused_key(message: str, date: Optional[str], now: float, seen: str) -> QueryError:
    stated = _stated_seconds_off(message)
    known = clock_offset_s(date, now) if stated is None else stated
    off = known or 0.0

    def error(result: Result, text: str) -> QueryError:
        return QueryError(result, f"{text} [{seen}]", clock_off=known)

    if "reach the limit" in message:
        return error(
            Result.KEY_LOCKED,
            "the access key is locked for 5 minutes after too many refusals: find who uses a wrong key",
        )
    if "ak not exist" in message:
        return error(Result.KEY_REFUSED, "the cloud knows no such access key: check HW_ACCESS_KEY")
    if stated is not None or abs(off) > CLOCK_TOLERANCE:
        where = "ahead of" if off > 0 else "behind"
        return error(
            Result.CLOCK_OFF,
            f"this machine's clock is {abs(off) / 60:.0f} minutes {where} the cloud's, 15 are allowed: set it",
        )
    if "expired" in message or "decrypt token fail" in message:
        return error(
            Result.CREDENTIALS_EXPIRED, "the temporary credentials ran out: get new ones, or use `source: sdk`"
        )
    return error(Result.KEY_REFUSED, "the signature was refused: check that the secret key belongs to the access key")


def _read(response: Response) -> Tuple[str, str]:
    """Read code and message out of an error body of any shape; a body that is none is its own message."""
    text = response.body.decode("utf-8", "replace")
    try:
        body = read_object(response.body)
    except QueryError:
        return "", text
    inner = body.get("error")
    error = inner if isinstance(inner, dict) else body
    code = next((error[name] for name in ("error_code", "code") if isinstance(error.get(name), str)), "")
    message = next((error[name] for name in ("error_msg", "message") if isinstance(error.get(name), str)), text)
    return code, message


def _retry_after(value: Optional[str], now: float) -> Optional[float]:
    if value and re.fullmatch("[0-9]+", value):
        return float(value[:6])
    off = clock_offset_s(value, now)
    return None if off is None else max(0.0, -off)


def clock_offset_s(date: Optional[str], now: float) -> Optional[float]:
    """Say by how many seconds a clock is ahead of a Date header; None where there is no date."""
    try:
        return now - email.utils.parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _stated_seconds_off(message: str) -> Optional[float]:
    """Say by how many seconds the signature's clock was ahead, where the cloud names both times."""
    found = TIMES.search(message)
    if found is None:
        return None
    try:
        signature, server = (timegm(time.strptime(text, "%Y%m%dt%H%M%Sz")) for text in found.groups())
    except ValueError:  # a 13th month
        return None
    return float(signature - server)
