"""Parse the cloud's answers as JSON objects, and report invalid ones."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Dict, NoReturn

from ..errors import QueryError, Result


def read_object(body: bytes) -> Dict[str, Any]:
    """Parse a JSON object with its numbers as Decimal; raise QueryError (BAD_ANSWER) for anything else."""
    try:
        answer = json.loads(
            body.decode("utf-8"), parse_float=Decimal, parse_int=Decimal, parse_constant=_reject_constant
        )
    except (ValueError, ArithmeticError, RecursionError):
        start = body.lstrip()[:1]
        kind = "HTML" if start == b"<" else "an empty body" if not start else "a broken body"
        raise QueryError(
            Result.BAD_ANSWER,
            f"the answer is not JSON but {kind}; a proxy or another server answered instead of the cloud: "
            "check endpoint and proxy",
        ) from None
    if not isinstance(answer, dict):
        raise bad_answer("it is not a JSON object")
    return answer


def undecodable(body: bytes, reason: str) -> QueryError:
    """Return the error of an answer that a decoder rejected: it is no JSON object, or else `reason`."""
    try:
        read_object(body)
    except QueryError as error:
        return error
    return bad_answer(reason)


def bad_answer(reason: str) -> QueryError:
    """Return the error (BAD_ANSWER) of an invalid answer."""
    return QueryError(
        Result.BAD_ANSWER,
        f"invalid answer from the cloud: {reason}; report it if it persists, the API may have changed",
    )


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
