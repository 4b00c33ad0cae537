"""A stand-in for IAM and MaaS: a request in, an answer out, no network of its own.

It is as strict as what is known of the cloud: it works the signature out for itself, refuses a clock that is off,
windows that are too long and more than 200 requests a minute, locks a key that is refused more than five times in
a row, and words its errors as the cloud does. What it assumes beyond that: a row of refusals is forgotten after
five minutes without one; use is there as late as its ledger says; an unknown body field is an error.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
import threading
import time
from calendar import timegm
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Tuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from msgspec import Struct

from .arrivals import DAY
from .ledger import INFER_TYPES, SERVICE_TYPES, Ledger

AUTHORIZATION = re.compile(r"SDK-HMAC-SHA256 Access=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})")
PROJECT_ID = "d3m0" * 8
REGION = "cn-southwest-2"
CLOCK_TOLERANCE = 15 * 60
REFUSALS_ALLOWED = 5
LOCK_SECONDS = 5 * 60
REQUESTS_PER_MINUTE = 200
LONGEST = 29 * DAY
"""The page says 30 days; Huawei's script asks for 29 at most, so that more may be refused."""
BODY_FIELDS = {"service_type", "start_time", "end_time", "infer_type", "timezone", "api_keys", "ips"}


class Reply(Struct):
    """Hold an answer as it goes over the wire."""

    status: int
    headers: Dict[str, str]
    body: bytes


class Refusal(Exception):
    """Say no, with a status, a code and a text."""

    def __init__(self, status: int, code: str, message: str, headers: Optional[Dict[str, str]] = None) -> None:
        super().__init__(message)
        self.reply = reply(status, {"error_code": code, "error_msg": message}, headers)


class Emulator:
    """Answer as the cloud would, and keep count.

    Args:
        keys: secret keys by access key; throw-away ones.
        ledger: what was used, hour by hour.
        now: seconds since 1970.
        tokens: security tokens by access key, for temporary keys.
        requests_per_minute: how many are answered.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        ledger: Optional[Ledger] = None,
        now: Callable[[], float] = time.time,
        tokens: Mapping[str, str] = {},
        requests_per_minute: int = REQUESTS_PER_MINUTE,
    ) -> None:
        self.keys = dict(keys)
        self.tokens = dict(tokens)
        self.ledger = ledger or Ledger()
        self.projects: List[Dict[str, Any]] = [
            {"id": "5ub0" * 8, "name": f"{REGION}_sub", "enabled": True},
            {"id": PROJECT_ID, "name": REGION, "enabled": True},
        ]
        self.now = now
        self.requests_per_minute = requests_per_minute
        self.times_locked = 0
        self.requests: Deque[Tuple[float, str]] = deque(maxlen=100_000)
        self._busy = threading.Lock()
        self._row: Dict[str, Tuple[int, float]] = {}
        self._locked_until: Dict[str, float] = {}

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request; `target` is path and query, `headers` may be in any case."""
        lower = {name.lower(): value for name, value in headers.items()}
        with self._busy:
            self.requests.append((self.now(), urlsplit(target).path))
            try:
                answer = self._answer(method, target, lower, body)
            except Refusal as refusal:
                answer = refusal.reply
        answer.headers["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(self.now()))
        return answer

    def _answer(self, method: str, target: str, headers: Dict[str, str], body: bytes) -> Reply:
        parts = urlsplit(target)
        self._verify(method, target, headers, body)
        self._throttle()
        if (method, parts.path) == ("GET", "/v3/projects"):
            wanted = dict(parse_qsl(parts.query)).get("name", "")
            found = [project for project in self.projects if project["name"].startswith(wanted)]
            return reply(200, {"projects": found, "links": {"self": "", "next": None, "previous": None}})
        path = re.fullmatch(r"/v1/([a-z0-9]+)/maas/monitoring/show-statistics", parts.path)
        if method != "POST" or not path:
            raise Refusal(404, "APIGW.0101", "The API does not exist or has not been published in the environment")
        if path[1] not in [project["id"] for project in self.projects]:
            raise Refusal(403, "ModelArts.0403", "policy doesn't allow modelarts:monitoring:get to be performed")
        return reply(200, self._statistics(headers, body))

    def _verify(self, method: str, target: str, headers: Dict[str, str], body: bytes) -> None:
        given = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if not given:
            raise Refusal(401, "APIGW.0301", "Incorrect IAM authentication information: no AK/SK signature")
        ak, names, signature = given.groups()
        now = self.now()
        if now < self._locked_until.get(ak, 0.0):
            raise Refusal(
                401, "APIGW.0301", "Incorrect IAM authentication information: AK access failed to reach the limit"
            )
        why = self._why_refused(ak, names.split(";"), signature, method, target, headers, body)
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

    def _why_refused(
        self, ak: str, names: List[str], signature: str, method: str, target: str, headers: Dict[str, str], body: bytes
    ) -> Optional[str]:
        if ak not in self.keys:
            return "ak not exist"
        date = headers.get("x-sdk-date", "")
        try:
            sent = timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
        except ValueError:
            sent = 0
        canonical = canonical_request(method, target, names, headers, body)
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"SDK-HMAC-SHA256\n{date}\n{hashed}"
        expected = hmac.new(self.keys[ak].encode(), text.encode(), hashlib.sha256).hexdigest()
        signed = {"host", "x-sdk-date"} <= set(names)
        if abs(self.now() - sent) > CLOCK_TOLERANCE:
            server = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.now()))
            return f"calc aksk signature fail:signature expired, signature time:{date},server time:{server}"
        if not signed or not hmac.compare_digest(expected, signature):
            # The real one echoes the request too: whoever logs it leaks the key.
            return f"verify ak sk signature fail, canonicalRequest:{canonical}, Access={ak}"
        token = headers.get("x-security-token")
        if token != self.tokens.get(ak) or (token and "x-security-token" not in names):
            return "decrypt token fail"
        return None

    def requests_since(self, at: float) -> int:
        """Count the requests that came after a moment."""
        return sum(1 for _ in itertools.takewhile(lambda request: request[0] > at, reversed(self.requests)))

    def _throttle(self) -> None:
        if self.requests_since(self.now() - 60) > self.requests_per_minute:
            raise Refusal(429, "APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit")

    def _statistics(self, headers: Dict[str, str], body: bytes) -> Dict[str, Any]:
        if not headers.get("content-type", "").startswith("application/json"):
            raise _invalid("Content-Type must be application/json")
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            raise _invalid("the body is not JSON") from None
        if not isinstance(asked, dict):
            raise _invalid("the body is not a JSON object")
        unknown = set(asked) - BODY_FIELDS
        if unknown:
            raise _invalid(f"unknown field {sorted(unknown)[0]}")
        if type(asked.get("service_type")) is not int or asked["service_type"] not in SERVICE_TYPES:
            raise _invalid("service_type must be one of [1 2 4]")
        if asked.get("infer_type", "real_time") not in list(INFER_TYPES):  # a list compares what cannot be hashed too
            raise _invalid("infer_type must be one of [real_time batch]")
        start, end = asked.get("start_time"), asked.get("end_time")
        if type(start) is not int or type(end) is not int or not 0 < start <= end:
            raise _invalid("start_time and end_time must be milliseconds, start_time > 0 and start_time <= end_time")
        if end - start > LONGEST:
            raise _invalid("the time range must not exceed the limit")
        for name in ("api_keys", "ips"):
            if name in asked and not (isinstance(asked[name], list) and all(type(item) is str for item in asked[name])):
                raise _invalid(f"{name} must be a list of strings")
        return self.ledger.totals(asked, int(self.now() * 1000))


def canonical_request(method: str, target: str, names: List[str], headers: Mapping[str, str], body: bytes) -> str:
    """Write a request in the form that is hashed and signed (SDK-HMAC-SHA256), from what came over the wire."""
    parts = urlsplit(target)
    path = "/".join(quote(unquote(part), safe="~") for part in parts.path.split("/"))
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    return "\n".join(
        [
            method,
            path if path.endswith("/") else path + "/",
            "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in query),
            *(f"{name}:{headers.get(name, '').strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )


def reply(status: int, body: Any, headers: Optional[Dict[str, str]] = None) -> Reply:
    """Make a JSON answer with a request id."""
    request_id = hashlib.blake2b(json.dumps(body).encode(), digest_size=16).hexdigest()
    return Reply(
        status,
        {"Content-Type": "application/json", "X-Request-Id": request_id, **(headers or {})},
        json.dumps(body).encode(),
    )


def _invalid(message: str) -> Refusal:
    return Refusal(400, "ModelArts.0104", message)
