"""An emulator of IAM, MaaS and Cloud Eye: one method from request to reply, without a network.

It is as strict as the cloud is known to be. It verifies the signature, refuses a wrong clock, requests that an API
does not accept and more than 200 requests a minute, locks an access key after more than five refusals in a row, and
uses the cloud's error messages. Assumptions: refusals are forgotten after five minutes without one; usage arrives as
late as `usage` and `models` say; an unknown body field is an error.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Set, Tuple
from urllib.parse import parse_qsl, urlsplit

from .cloud_eye_api import cloud_eye_error, list_metric_data, list_metrics
from .signature import canonical_request, parse_authorization, signature_error
from .simulated_models import SimulatedModels
from .simulated_usage import SimulatedUsage
from .statistics_api import show_statistics
from .traffic import Ms
from .wire import ErrorFormat, Refusal, Reply, SignedRequest, gateway_error, json_reply

PROJECT_ID = "d3m0" * 8
REGION = "cn-southwest-2"
MAX_REFUSALS = 5
LOCKOUT_S = 5 * 60
REQUESTS_PER_MINUTE = 200


ROUTES = {
    "iam:projects:get": ("GET", "/v3/projects"),
    "modelarts:monitoring:get": ("POST", "/v1/([a-z0-9]+)/maas/monitoring/show-statistics"),
    "ces:metrics:list": ("GET", "/V1.0/([a-z0-9]+)/metrics"),
    "ces:metricData:list": ("POST", "/V1.0/([a-z0-9]+)/batch-query-metric-data"),
}
"""Method and path by the permission that each needs."""
DENIED: Dict[str, Tuple[str, ErrorFormat]] = {
    "iam": ("IAM.0403", gateway_error),
    "modelarts": ("ModelArts.0403", gateway_error),
    "ces": ("ces.0015", cloud_eye_error),
}
"""The error for a missing permission, by service."""


class Emulator:
    """Answer requests as the cloud would.

    Args:
        secret_keys: throw-away secret keys by access key.
        usage: what MaaS reports, hour by hour.
        now: seconds since 1970.
        tokens: security tokens by access key, for temporary keys.
        requests_per_minute: the rate limit.
        models: what Cloud Eye reports of each model, minute by minute.
    """

    def __init__(
        self,
        secret_keys: Mapping[str, str],
        usage: Optional[SimulatedUsage] = None,
        now: Callable[[], float] = time.time,
        tokens: Mapping[str, str] = {},
        requests_per_minute: int = REQUESTS_PER_MINUTE,
        models: Optional[SimulatedModels] = None,
    ) -> None:
        self.secret_keys = dict(secret_keys)
        self.tokens = dict(tokens)
        self.usage = usage or SimulatedUsage()
        self.models = models or SimulatedModels()
        self.projects: List[Dict[str, Any]] = [
            {"id": "5ub0" * 8, "name": f"{REGION}_sub", "enabled": True},
            {"id": PROJECT_ID, "name": REGION, "enabled": True},
        ]
        self.denied_permissions: Set[str] = set()
        """Permissions that every access key lacks, such as `ces:metrics:list`."""
        self.now = now
        self.requests_per_minute = requests_per_minute
        self.lockouts = 0
        self.request_log: Deque[Tuple[float, str]] = deque(maxlen=100_000)
        """Time, in seconds, and path of each request."""
        self._lock = threading.Lock()
        self._refusals: Dict[str, Tuple[int, float]] = {}
        """Refusals in a row, and the time of the last, by access key."""
        self._locked_until: Dict[str, float] = {}

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request; `target` is path and query, header names may be in any case."""
        lower = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            self.request_log.append((self.now(), urlsplit(target).path))
            try:
                self._verify(method, target, lower, body)
                self._limit_rate()
                reply = json_reply(200, self._dispatch(method, target, lower, body))
            except Refusal as refusal:
                reply = refusal.reply
        reply.headers["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(self.now()))
        return reply

    def _dispatch(self, method: str, target: str, headers: Dict[str, str], body: bytes) -> Dict[str, Any]:
        parts = urlsplit(target)
        for permission, route in ROUTES.items():
            path = re.fullmatch(route[1], parts.path)
            if method != route[0] or not path:
                continue
            foreign = set(path.groups()) - {project["id"] for project in self.projects}
            if foreign or permission in self.denied_permissions:
                code, error_format = DENIED[permission.split(":")[0]]
                raise Refusal(403, code, f"policy doesn't allow {permission} to be performed.", error_format)
            query = tuple(parse_qsl(parts.query, keep_blank_values=True))
            return self._handle(permission, SignedRequest(query, headers, body), int(self.now() * 1000))
        raise Refusal(404, "APIGW.0101", "The API does not exist or has not been published in the environment")

    def _handle(self, permission: str, request: SignedRequest, now: Ms) -> Dict[str, Any]:
        if permission == "modelarts:monitoring:get":
            return show_statistics(self.usage, request, now)
        if permission == "ces:metrics:list":
            return list_metrics(self.models, request, now)
        if permission == "ces:metricData:list":
            return list_metric_data(self.models, request, now)
        prefix = dict(request.query).get("name", "")
        projects = [project for project in self.projects if project["name"].startswith(prefix)]
        return {"projects": projects, "links": {"self": "", "next": None, "previous": None}}

    def _verify(self, method: str, target: str, headers: Dict[str, str], body: bytes) -> None:
        authorization = parse_authorization(headers)
        if not authorization:
            raise _unauthorized("no AK/SK signature")
        ak, signed_headers = authorization.access_key, authorization.signed_headers
        now = self.now()
        if now < self._locked_until.get(ak, 0.0):
            raise _unauthorized("AK access failed to reach the limit")
        error: Optional[str] = "ak not exist"
        if ak in self.secret_keys:
            canonical = canonical_request(method, target, signed_headers, headers, body)
            error = signature_error(authorization, self.secret_keys[ak], canonical, headers, now)
            token = headers.get("x-security-token")
            if not error and (token != self.tokens.get(ak) or (token and "x-security-token" not in signed_headers)):
                error = "decrypt token fail"
        if error is None:
            self._refusals.pop(ak, None)
            return
        count, last = self._refusals.get(ak, (0, now))
        count = count + 1 if now - last < LOCKOUT_S else 1
        self._refusals[ak] = (count, now)
        if count > MAX_REFUSALS:
            self._locked_until[ak] = now + LOCKOUT_S
            self.lockouts += 1
        raise _unauthorized(error)

    def requests_since(self, start_s: float) -> int:
        """Count the requests after a time, in seconds."""
        return sum(1 for _ in itertools.takewhile(lambda request: request[0] > start_s, reversed(self.request_log)))

    def _limit_rate(self) -> None:
        may_exceed = len(self.request_log) > self.requests_per_minute  # counting takes long
        if may_exceed and self.requests_since(self.now() - 60) > self.requests_per_minute:
            raise Refusal(429, "APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit")


def _unauthorized(reason: str) -> Refusal:
    return Refusal(401, "APIGW.0301", f"Incorrect IAM authentication information: {reason}")
