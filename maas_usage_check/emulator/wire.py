"""What goes over the wire: what was asked, the reply, and a refusal in an API's own words."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Callable, Dict, Mapping, Tuple

from msgspec import Struct

Words = Callable[[int, str, str], Dict[str, Any]]
"""Makes an error body of a status, a code and a text."""


class Asked(Struct):
    """Hold a request whose signature was right; the headers' names are lower-case."""

    query: Tuple[Tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes


class Reply(Struct):
    """Hold an answer as it goes over the wire."""

    status: int
    headers: Dict[str, str]
    body: bytes


def flat(status: int, code: str, message: str) -> Dict[str, Any]:
    """Word an error as the gateway does."""
    return {"error_code": code, "error_msg": message}


class Refusal(Exception):
    """Say no, with a status, a code and a text."""

    def __init__(self, status: int, code: str, message: str, words: Words = flat) -> None:
        super().__init__(message)
        self.reply = json_reply(status, words(status, code, message))


def json_reply(status: int, body: Any) -> Reply:
    """Make a JSON answer with a request id."""
    content = json.dumps(body).encode()
    request_id = hashlib.blake2b(content, digest_size=16).hexdigest()
    return Reply(status, {"Content-Type": "application/json", "X-Request-Id": request_id}, content)


def read_object(asked: Asked) -> Dict[str, Any]:
    """Read the JSON object that was asked; raise ValueError that says why it is none."""
    if not asked.headers.get("content-type", "").startswith("application/json"):
        raise ValueError("Content-Type must be application/json")
    try:
        read = json.loads(asked.body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(read, dict):
        raise ValueError("the body is not a JSON object")
    return read
