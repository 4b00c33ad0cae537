"""A cloud whose numbers can be added up by hand, and which stays the same from version to version."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any, Dict, List, NamedTuple
from urllib.parse import urlsplit

HOUR = 3_600_000
URL = "https://maas.example.com"
MODEL = "0123456789abcdef0123456789abcdef"
METRICS = ("total_tokens", "prompt_tokens", "completion_tokens", "rpm", "req_count_4xx", "req_count_5xx")
WRONG_ACCESS_KEY = "WRONGACCESSKEY000000"


def tokens(start: int) -> int:
    """Return the tokens of the hour that begins at a time: 1,000 to 5,000."""
    return 1_000 * (1 + start // HOUR % 5)


class Answer(NamedTuple):
    status: int
    headers: Dict[str, str]
    body: bytes


class PlainCloud:
    """Answer about one kind of calls and one model; an hour arrives 2 hours after it began."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.requests: List[str] = []

    def answer(self, url: str, headers: Dict[str, str], body: bytes) -> Answer:
        self.requests.append(urlsplit(url).path)
        if WRONG_ACCESS_KEY in str(headers):
            return self._json(
                401, {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information"}
            )
        if url.split("?")[0].endswith("/metrics"):
            return self._json(200, {"metrics": [_metric(name) for name in METRICS], "meta_data": {"marker": ""}})
        query = json.loads(body)
        if url.endswith("/show-statistics"):
            return self._json(200, self._statistics(query["start_time"], query["end_time"]))
        return self._json(200, {"metrics": [self._values(each["metric_name"], query) for each in query["metrics"]]})

    def _statistics(self, start: int, end: int) -> Dict[str, Any]:
        first = -(-start // HOUR) * HOUR
        total = sum(tokens(at) for at in range(first, end + 1, HOUR) if at + 2 * HOUR <= self.now_ms)
        return {
            "total_token": total / 1000,
            "total_prompt_token": total / 2000,
            "total_completion_token": total / 2000,
            "total_request_count": total // 1000,
            "total_error_count": 0,
        }

    def _values(self, name: str, query: Dict[str, Any]) -> Dict[str, Any]:
        step = HOUR if query["period"] == "3600" else 60_000
        points = []
        for at in range(query["from"] // step * step, query["to"], step):
            value = tokens(at) // (HOUR // step) if "tokens" in name else 1
            value = value // 2 if name in ("prompt_tokens", "completion_tokens") else value
            if "req" not in name and at + step <= self.now_ms:
                points.append({query["filter"]: float(value), "timestamp": at})
        return {**_metric(name), "datapoints": points}

    def _json(self, status: int, body: Dict[str, Any]) -> Answer:
        return Answer(status, {"Date": formatdate(self.now_ms / 1000, usegmt=True)}, json.dumps(body).encode())


def _metric(name: str) -> Dict[str, Any]:
    dimensions = [{"name": "maas_api_id", "value": MODEL}]
    return {"namespace": "SYS.MaaS", "metric_name": name, "unit": "Count", "dimensions": dimensions}
