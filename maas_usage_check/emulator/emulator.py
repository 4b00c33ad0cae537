"""A stand-in for IAM, MaaS and Cloud Eye: a request in, an answer out, no network of its own.

It is as strict as what is known of the cloud: it works the signature out for itself, refuses a clock that is off,
questions that an API does not take and more than 200 requests a minute, locks a key that is refused more than five
times in a row, and words its errors as the cloud does. What it assumes beyond that: a row of refusals is forgotten
after five minutes without one; use is there as late as its ledger and models say; an unknown body field is an error.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple
from urllib.parse import parse_qsl, urlsplit

from . import cloud_eye_api
from .signature import canonical_request, given, why_wrong
from .simulated_models import SimulatedModels
from .simulated_usage import SimulatedUsage
from .statistics_api import show_statistics
from .wire import Asked, Refusal, Reply, Words, flat, json_reply

PROJECT_ID = "d3m0" * 8
REGION = "cn-southwest-2"
REFUSALS_ALLOWED = 5
LOCK_SECONDS = 5 * 60
REQUESTS_PER_MINUTE = 200


class Route(NamedTuple):
    """Hold where one call is found, what allows it, how it says that nothing does, and what answers it."""

    method: str
    path: str
    permission: str
    denied: str
    words: Words
    answer: Callable[[Asked], Dict[str, Any]]


class Emulator:
    """Answer as the cloud would, and keep count.

    Args:
        keys: secret keys by access key; throw-away ones.
        usage: what was used, hour by hour, as MaaS says it.
        now: seconds since 1970.
        tokens: security tokens by access key, for temporary keys.
        requests_per_minute: how many are answered.
        models: what each model did, minute by minute, as Cloud Eye says it.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        usage: Optional[SimulatedUsage] = None,
        now: Callable[[], float] = time.time,
        tokens: Mapping[str, str] = {},
        requests_per_minute: int = REQUESTS_PER_MINUTE,
        models: Optional[SimulatedModels] = None,
    ) -> None:
        self.keys = dict(keys)
        self.tokens = dict(tokens)
        self.usage = usage or SimulatedUsage()
        self.models = models or SimulatedModels()
        self.projects: List[Dict[str, Any]] = [
            {"id": "5ub0" * 8, "name": f"{REGION}_sub", "enabled": True},
            {"id": PROJECT_ID, "name": REGION, "enabled": True},
        ]
        self.denied_permissions: Set[str] = set()
        """Permissions that the keys lack, such as `ces:metrics:list`."""
        self.now = now
        self.requests_per_minute = requests_per_minute
        self.times_locked = 0
        self.request_log: Deque[Tuple[float, str]] = deque(maxlen=100_000)
        self._busy = threading.Lock()
        self._row: Dict[str, Tuple[int, float]] = {}
        self._locked_until: Dict[str, float] = {}
        statistics = "/v1/([a-z0-9]+)/maas/monitoring/show-statistics"
        ces = "/V1.0/([a-z0-9]+)"
        self._routes = (
            Route("GET", "/v3/projects", "iam:projects:get", "IAM.0403", flat, self._list_projects),
            Route("POST", statistics, "modelarts:monitoring:get", "ModelArts.0403", flat, self._show_statistics),
            Route("GET", f"{ces}/metrics", "ces:metrics:list", "ces.0015", cloud_eye_api.words, self._list_metrics),
            Route(
                "POST",
                f"{ces}/batch-query-metric-data",
                "ces:metricData:list",
                "ces.0015",
                cloud_eye_api.words,
                self._list_metric_data,
            ),
        )

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request; `target` is path and query, `headers` may be in any case."""
        lower = {name.lower(): value for name, value in headers.items()}
        with self._busy:
            self.request_log.append((self.now(), urlsplit(target).path))
            try:
                self._verify(method, target, lower, body)
                self._throttle()
                answer = json_reply(200, self._answer(method, target, lower, body))
            except Refusal as refusal:
                answer = refusal.reply
        answer.headers["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(self.now()))
        return answer

    def _answer(self, method: str, target: str, headers: Dict[str, str], body: bytes) -> Dict[str, Any]:
        parts = urlsplit(target)
        for route in self._routes:
            path = re.fullmatch(route.path, parts.path)
            if method != route.method or not path:
                continue
            foreign = set(path.groups()) - {project["id"] for project in self.projects}
            if foreign or route.permission in self.denied_permissions:
                why = f"policy doesn't allow {route.permission} to be performed."
                raise Refusal(403, route.denied, why, route.words)
            return route.answer(Asked(tuple(parse_qsl(parts.query, keep_blank_values=True)), headers, body))
        raise Refusal(404, "APIGW.0101", "The API does not exist or has not been published in the environment")

    def _list_projects(self, asked: Asked) -> Dict[str, Any]:
        wanted = dict(asked.query).get("name", "")
        found = [project for project in self.projects if project["name"].startswith(wanted)]
        return {"projects": found, "links": {"self": "", "next": None, "previous": None}}

    def _show_statistics(self, asked: Asked) -> Dict[str, Any]:
        return show_statistics(self.usage, asked, int(self.now() * 1000))

    def _list_metrics(self, asked: Asked) -> Dict[str, Any]:
        return cloud_eye_api.list_metrics(self.models, asked, int(self.now() * 1000))

    def _list_metric_data(self, asked: Asked) -> Dict[str, Any]:
        return cloud_eye_api.list_metric_data(self.models, asked, int(self.now() * 1000))

    def _verify(self, method: str, target: str, headers: Dict[str, str], body: bytes) -> None:
        signature = given(headers)
        if not signature:
            raise Refusal(401, "APIGW.0301", "Incorrect IAM authentication information: no AK/SK signature")
        ak, names, _ = signature
        now = self.now()
        if now < self._locked_until.get(ak, 0.0):
            raise Refusal(
                401, "APIGW.0301", "Incorrect IAM authentication information: AK access failed to reach the limit"
            )
        why: Optional[str] = "ak not exist"
        if ak in self.keys:
            canonical = canonical_request(method, target, names, headers, body)
            why = why_wrong(signature, self.keys[ak], canonical, headers, now)
            token = headers.get("x-security-token")
            if not why and (token != self.tokens.get(ak) or (token and "x-security-token" not in names)):
                why = "decrypt token fail"
        if why is None:
            self._row.pop(ak, None)
            return
        count, last = self._row.get(ak, (0, now))
        count = count + 1 if now - last < LOCK_SECONDS else 1
        self._row[ak] = (count, now)
        if count > REFUSALS_ALLOWED:
            self._locked_until[ak] = now + LOCK_SECONDS
            self.times_locked += 1
        raise Refusal(401, "APIGW.0301", f"Incorrect IAM authentication information: {why}")

    def requests_since(self, at: float) -> int:
        """Count the requests that came after a moment."""
        return sum(1 for _ in itertools.takewhile(lambda request: request[0] > at, reversed(self.request_log)))

    def _throttle(self) -> None:
        if self.requests_since(self.now() - 60) > self.requests_per_minute:
            raise Refusal(429, "APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit")
