"""ShowStatistics, as strict about what is asked as its page and Huawei's script."""

from __future__ import annotations

from typing import Any, Dict

from .arrivals import DAY
from .simulated_usage import INFER_TYPES, SERVICE_TYPES, SimulatedUsage
from .wire import Asked, Refusal, read_object

LONGEST = 29 * DAY
"""The page says 30 days; Huawei's script asks for 29 at most, so that more may be refused."""
BODY_FIELDS = {"service_type", "start_time", "end_time", "infer_type", "timezone", "api_keys", "ips"}


def show_statistics(usage: SimulatedUsage, asked: Asked, now: int) -> Dict[str, Any]:
    """Answer one question at a moment, milliseconds; raise Refusal for one that the API does not take."""
    try:
        question = read_object(asked)
        _check(question)
    except ValueError as why:
        raise Refusal(400, "ModelArts.0104", str(why)) from None
    return usage.totals(question, now)


def _check(question: Dict[str, Any]) -> None:
    unknown = set(question) - BODY_FIELDS
    if unknown:
        raise ValueError(f"unknown field {sorted(unknown)[0]}")
    if type(question.get("service_type")) is not int or question["service_type"] not in SERVICE_TYPES:
        raise ValueError("service_type must be one of [1 2 4]")
    if question.get("infer_type", "real_time") not in list(INFER_TYPES):  # a list compares what cannot be hashed too
        raise ValueError("infer_type must be one of [real_time batch]")
    start, end = question.get("start_time"), question.get("end_time")
    if type(start) is not int or type(end) is not int or not 0 < start <= end:
        raise ValueError("start_time and end_time must be milliseconds, start_time > 0 and start_time <= end_time")
    if end - start > LONGEST:
        raise ValueError("the time range must not exceed the limit")
    for name in ("api_keys", "ips"):
        items = question.get(name, [])
        if not (isinstance(items, list) and all(type(item) is str for item in items)):
            raise ValueError(f"{name} must be a list of strings")
