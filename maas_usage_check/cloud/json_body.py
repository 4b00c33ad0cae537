"""Answers of the cloud as JSON objects: what is none is not believed."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Dict, NoReturn

from ..errors import QueryError, Result


def read_object(body: bytes) -> Dict[str, Any]:
    """Parse a JSON object with its numbers as Decimal; raise QueryError (BAD_ANSWER) for anything else."""
    try:
        answer = json.loads(
            body.decode("utf-8"), parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse_constant
        )
    except (ValueError, ArithmeticError, RecursionError):
        start = body.lstrip()[:1]
        kind = "HTML" if start == b"<" else "an empty body" if not start else "a broken body"
        raise QueryError(
            Result.BAD_ANSWER,
            f"the answer is not JSON but {kind}; something between here and the cloud answered in its place: "
            "check endpoint and proxy",
        ) from None
    if not isinstance(answer, dict):
        raise bad_answer("it is not a JSON object")
    return answer


def undecodable(body: bytes, what: str) -> QueryError:
    """Word why a decoder refused an answer: it is no JSON object, or else `what`."""
    try:
        read_object(body)
    except QueryError as error:
        return error
    return bad_answer(what)


def bad_answer(what: str) -> QueryError:
    """Word what was wrong with an answer."""
    return QueryError(
        Result.BAD_ANSWER,
        f"the cloud's answer was not believed: {what}; report it if it lasts, the API may have changed",
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
