"""The usage of one window as a value object, and its parser."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Dict, Optional

from msgspec import Struct

from .json_body import bad_answer, read_object

MAX_VALUE = 10**14
"""Per window, far above any team's usage. A year of hours at this value fits into a signed 64-bit integer."""

TOKENS = {
    "total_tokens": "total_token",
    "prompt_tokens": "total_prompt_token",
    "completion_tokens": "total_completion_token",
}
COUNTS = {"requests": "total_request_count", "errors": "total_error_count"}
BATCH_COUNTS = {"completed_batch_tasks": "total_completion_tasks", "inferences": "total_infer_count"}


class Usage(Struct, frozen=True):
    """Hold the totals of one window: whole tokens and plain counts.

    The two batch counts are None if the cloud did not send them.
    """

    total_tokens: int
    prompt_tokens: int
    completion_tokens: int
    requests: int
    errors: int
    completed_batch_tasks: Optional[int] = None
    inferences: Optional[int] = None

    def __add__(self, other: Usage) -> Usage:
        sums: Dict[str, Any] = {
            name: _add(getattr(self, name), getattr(other, name)) for name in self.__struct_fields__
        }
        return Usage(**sums)

    @property
    def error_ratio(self) -> Optional[float]:
        """Divide errors by requests, as the console does; 0 without requests.

        None if errors exceed requests: the cloud has two counters, and one may lag behind the other.
        """
        if self.errors > self.requests:
            return None
        return self.errors / self.requests if self.requests else 0.0


def read_usage(body: bytes) -> Usage:
    """Parse an answer of ShowStatistics.

    Token fields arrive in thousands with decimals (source: the API's page) and are converted to whole tokens in decimal
    arithmetic. Raises QueryError (BAD_ANSWER) that names the invalid field.
    """
    answer = read_object(body)
    numbers = {name: _number(answer, field, thousands=True) for name, field in TOKENS.items()}
    numbers.update({name: _number(answer, field) for name, field in COUNTS.items()})
    numbers.update(
        {name: _number(answer, field) for name, field in BATCH_COUNTS.items() if answer.get(field) is not None}
    )
    return Usage(**numbers)


def _number(answer: Dict[str, Any], field: str, thousands: bool = False) -> int:
    if field not in answer:
        raise bad_answer(f"`{field}` is missing")
    value = answer[field]
    if not isinstance(value, Decimal):
        raise bad_answer(f"`{field}` is not a number")
    if value.is_signed() and value:
        raise bad_answer(f"`{field}` is negative")
    # Compared before it is made an int: 1e999999999 would fill the memory.
    if value > (MAX_VALUE // 1000 if thousands else MAX_VALUE):
        raise bad_answer(f"`{field}` is too large to be true")
    whole = (value * 1000 if thousands else value).to_integral_value(ROUND_HALF_UP)
    if not thousands and whole != value:
        raise bad_answer(f"`{field}` is a count but not a whole number")
    return int(whole)


def _add(one: Optional[int], other: Optional[int]) -> Optional[int]:
    return None if one is None and other is None else (one or 0) + (other or 0)
