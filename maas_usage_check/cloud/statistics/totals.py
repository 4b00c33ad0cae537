"""The query of a window's totals, and its answer."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Dict, Optional, Tuple

from msgspec import Struct

from ...config import ServiceType
from ...config.ranges import Window
from ..json_body import bad_answer, read_object
from ..source import Call, Send
from ..usage import Usage

MAX_VALUE = 10**14
"""Per window, far above any team's usage. A year of hours at this value fits into a signed 64-bit integer."""

TOKENS = {
    "total_tokens": "total_token",
    "prompt_tokens": "total_prompt_token",
    "completion_tokens": "total_completion_token",
}
COUNTS = {"requests": "total_request_count", "errors": "total_error_count"}
BATCH_COUNTS = {"completed_batch_tasks": "total_completion_tasks", "inferences": "total_infer_count"}


class TotalsQuery(Struct, frozen=True):
    """Query the totals of one window under these filters. The repr shows no labels."""

    window: Window
    service_type: ServiceType
    infer_type: str
    api_keys: Optional[Tuple[str, ...]]
    ips: Optional[Tuple[str, ...]]

    def __repr__(self) -> str:
        return f"TotalsQuery({self.window}, {self.service_type.name}, {self.infer_type})"


class TotalsAnswer(Struct, frozen=True):
    """Hold the usage of a window, and the answer's text."""

    usage: Usage
    text: str


def fetch_totals(query: TotalsQuery, send: Send) -> TotalsAnswer:
    """Fetch the totals of one window."""
    body: Dict[str, Any] = {
        "service_type": int(query.service_type),
        "start_time": query.window.start,
        "end_time": query.window.end,
        "infer_type": query.infer_type,
    }
    if query.api_keys is not None:
        body["api_keys"] = list(query.api_keys)
    if query.ips is not None:
        body["ips"] = list(query.ips)
    path = "/v1/{project_id}/maas/monitoring/show-statistics"
    answer = send(Call("modelarts:monitoring:get", "POST", path, body=body))
    return TotalsAnswer(read_usage(answer), answer.decode("utf-8"))


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
