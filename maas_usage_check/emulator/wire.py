"""HTTP messages of the emulator: a signed request, a reply, and a refusal in the error format of an API."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Callable, Dict, Mapping, Tuple

from msgspec import Struct

ErrorFormat = Callable[[int, str, str], Dict[str, Any]]
"""Makes an error body from status, code and message."""


class SignedRequest(Struct):
    """A request with a valid signature; header names are lower-case."""

    query: Tuple[Tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes


class Reply(Struct):
    """An HTTP response."""

    status: int
    headers: Dict[str, str]
    body: bytes


def gateway_error(status: int, code: str, message: str) -> Dict[str, Any]:
    """Format an error like the API gateway."""
    return {"error_code": code, "error_msg": message}


class Refusal(Exception):
    """Refuse a request with a status, a code and a message."""

    def __init__(self, status: int, code: str, message: str, error_format: ErrorFormat = gateway_error) -> None:
        super().__init__(message)
        self.reply = json_reply(status, error_format(status, code, message))


def json_reply(status: int, body: Any) -> Reply:
    """Make a JSON reply with a request id."""
    content = json.dumps(body).encode()
    request_id = hashlib.blake2b(content, digest_size=16).hexdigest()
    return Reply(status, {"Content-Type": "application/json", "X-Request-Id": request_id}, content)


def read_json_object(request: SignedRequest) -> Dict[str, Any]:
    """Read the body as a JSON object; raise ValueError with the reason if it is none."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise ValueError("Content-Type must be application/json")
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")
    return body
