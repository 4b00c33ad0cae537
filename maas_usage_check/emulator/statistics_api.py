"""ShowStatistics, as strict about its request as the API's page and Huawei's script."""

from __future__ import annotations

from typing import Any, Dict

from .simulated_usage import SimulatedUsage
from .traffic import DAY, INFER_TYPES, SERVICE_TYPES, Ms
from .wire import Refusal, SignedRequest, read_json_object

MAX_WINDOW = 29 * DAY
"""The page says 30 days; Huawei's script sends at most 29, so more may be refused."""
BODY_FIELDS = {"service_type", "start_time", "end_time", "infer_type", "timezone", "api_keys", "ips"}


def show_statistics(usage: SimulatedUsage, request: SignedRequest, now: Ms) -> Dict[str, Any]:
    """Answer one request; raise Refusal if the API does not accept it."""
    try:
        query = read_json_object(request)
        _validate(query)
    except ValueError as error:
        raise Refusal(400, "ModelArts.0104", str(error)) from None
    return usage.totals(query, now)


def _validate(query: Dict[str, Any]) -> None:
    unknown = set(query) - BODY_FIELDS
    if unknown:
        raise ValueError(f"unknown field {sorted(unknown)[0]}")
    if type(query.get("service_type")) is not int or query["service_type"] not in SERVICE_TYPES:
        raise ValueError("service_type must be one of [1 2 4]")
    if query.get("infer_type", "real_time") not in list(INFER_TYPES):  # a list also compares unhashable values
        raise ValueError("infer_type must be one of [real_time batch]")
    start, end = query.get("start_time"), query.get("end_time")
    if type(start) is not int or type(end) is not int or not 0 < start <= end:
        raise ValueError("start_time and end_time must be milliseconds, start_time > 0 and start_time <= end_time")
    if end - start > MAX_WINDOW:
        raise ValueError("the time range must not exceed the limit")
    for name in ("api_keys", "ips"):
        items = query.get(name, [])
        if not (isinstance(items, list) and all(type(item) is str for item in items)):
            raise ValueError(f"{name} must be a list of strings")
