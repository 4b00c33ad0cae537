"""Classify the cloud's error responses, each with a remedy.

Bodies come flat (`error_code`, `error_msg`), nested (`error: {code, message}`, in Cloud Eye `message: {code, details}`)
or not as JSON at all.
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

MAX_EXCERPT = 160
ARRIVED_LATE = (
    "the request did not arrive in time; it is retried, also in the next cycle: check whether the network is slow"
)
WRONG_SERVER = (
    "the server that answered does not accept this request; it is retried, also in the next cycle: "
    "check endpoint and proxy"
)
NO_SUCH_API = "no such API at this address: check region, endpoint and project_id"
BLOCKED = "a firewall or proxy blocked the request: check firewall, proxy and endpoint"
BY_STATUS: Dict[int, Tuple[Result, str]] = {
    404: (Result.NOT_FOUND, NO_SUCH_API),
    405: (Result.NOT_FOUND, NO_SUCH_API),
    407: (Result.BAD_ANSWER, "a proxy requires a password: check proxy and endpoint"),
    408: (Result.TIMED_OUT, ARRIVED_LATE),
    410: (Result.NOT_FOUND, NO_SUCH_API),
    418: (Result.BAD_ANSWER, BLOCKED),
    421: (Result.SERVER_ERROR, WRONG_SERVER),
    425: (Result.SERVER_ERROR, WRONG_SERVER),
    451: (Result.BAD_ANSWER, BLOCKED),
    499: (Result.TIMED_OUT, ARRIVED_LATE),
    511: (Result.BAD_ANSWER, BLOCKED),
}
"""Statuses that need no look at the body: firewalls answer 418 and 451, a network that requires a login 511."""
THROTTLING = re.compile(r"\b(APIGW\.0308|APIG\.0308|ces\.0429)\b", re.ASCII | re.IGNORECASE)
"""The codes of a 429; it may come with another status."""
CLOCKS = re.compile(r"signature time: ?(\d{8}t\d{6}z), ?server time: ?(\d{8}t\d{6}z)", re.ASCII)
"""How the gateway states both clocks (source: the SDK's issue tracker, and the gateway's page on errors)."""


def response_error(response: Response, permission: str, now_s: float, redact: Redact) -> QueryError:
    """Classify an error response.

    Args:
        response: a response with a status other than 200.
        permission: the permission that the request needs, such as `modelarts:monitoring:get`.
        now_s: seconds since 1970, compared with the cloud's Date header.
        redact: blanks secrets in the cloud's text; a signature failure echoes the signed request.
    """
    status = response.status
    code, message = _read(response)
    request_id = redact(response.headers.get("X-Request-Id") or "")[:64]
    details = " ".join(
        part for part in (str(status), redact(code)[:40], f"request {request_id}" if request_id else "") if part
    )
    message_lower = message.lower()

    def error(result: Result, text: str, retry_after: Optional[float] = None) -> QueryError:
        return QueryError(result, f"{text} [{details}]", retry_after)

    if status == 429 or THROTTLING.search(code or message):
        return error(
            Result.THROTTLED,
            "the cloud's request limit was reached: lower max_requests_per_minute, or query less often",
            _retry_after_s(response.headers.get("Retry-After"), now_s),
        )
    if "policy doesn't allow" in message_lower or status == 403:
        return error(
            Result.PERMISSION_DENIED,
            f"the key's user lacks a permission: allow `{permission}` in an IAM policy (README, Permissions); "
            "a new permission takes effect after 15 to 30 minutes",
        )
    if status == 401:
        return _key_error(message_lower, response.headers.get("Date"), now_s, details)
    if status in BY_STATUS:
        return error(*BY_STATUS[status])
    if 500 <= status < 600:
        return error(
            Result.SERVER_ERROR, "the cloud had an internal error; the request is retried, also in the next cycle"
        )
    if 300 <= status < 400:
        return error(Result.BAD_ANSWER, "the answer was a redirect, which is not followed: check endpoint and proxy")
    if not 400 <= status < 500:
        return error(Result.BAD_ANSWER, "the answer has an unexpected status: check endpoint and proxy")
    excerpt = " ".join(redact(message).split())[:MAX_EXCERPT]
    return error(Result.REQUEST_REJECTED, f"the cloud rejected the request (`{excerpt}`): check the configuration")


def _key_error(message: str, date: Optional[str], now_s: float, details: str) -> QueryError:
    stated_offset_s = _stated_offset_s(message)
    offset_s = clock_offset_s(date, now_s) if stated_offset_s is None else stated_offset_s

    def error(result: Result, text: str) -> QueryError:
        return QueryError(result, f"{text} [{details}]", clock_off=offset_s)

    if "reach the limit" in message:
        return error(
            Result.KEY_LOCKED,
            "the access key is locked for 5 minutes after too many refusals: find who uses a wrong key",
        )
    if "ak not exist" in message:
        return error(Result.KEY_REFUSED, "the access key does not exist: check HW_ACCESS_KEY")
    if offset_s is not None and (stated_offset_s is not None or abs(offset_s) > CLOCK_TOLERANCE):
        where = "ahead of" if offset_s > 0 else "behind"
        return error(
            Result.CLOCK_OFF,
            f"this machine's clock is {abs(offset_s) / 60:.0f} minutes {where} the cloud's, 15 are allowed: set it",
        )
    if "expired" in message or "decrypt token fail" in message:
        return error(
            Result.CREDENTIALS_EXPIRED, "the temporary credentials expired: get new ones, or use `source: sdk`"
        )
    return error(Result.KEY_REFUSED, "the signature was refused: check that the secret key belongs to the access key")


def _read(response: Response) -> Tuple[str, str]:
    """Read code and message from an error body of any shape; a body that is not JSON is its own message."""
    text = response.body.decode("utf-8", "replace")
    try:
        body = read_object(response.body)
    except QueryError:
        return "", text
    error = next((body[name] for name in ("error", "message") if isinstance(body.get(name), dict)), body)
    code = next((error[name] for name in ("error_code", "code") if isinstance(error.get(name), str)), "")
    texts = (error[name] for name in ("error_msg", "message", "details") if isinstance(error.get(name), str))
    return code, next(texts, text)


def _retry_after_s(value: Optional[str], now_s: float) -> Optional[float]:
    if value and re.fullmatch("[0-9]+", value):
        return float(value[:6])
    offset_s = clock_offset_s(value, now_s)
    return None if offset_s is None else max(0.0, -offset_s)


def clock_offset_s(date: Optional[str], now_s: float) -> Optional[float]:
    """Return by how many seconds a clock is ahead of a Date header; None without a valid date."""
    try:
        return now_s - email.utils.parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _stated_offset_s(message: str) -> Optional[float]:
    """Return by how many seconds the signature's clock was ahead, if the message states both times."""
    match = CLOCKS.search(message)
    if match is None:
        return None
    try:
        signature, server = (timegm(time.strptime(text, "%Y%m%dt%H%M%Sz")) for text in match.groups())
    except ValueError:  # a 13th month
        return None
    return float(signature - server)
