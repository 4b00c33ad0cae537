"""Each known error response, in each body format."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any, Callable, Dict, Optional

import pytest

from maas_usage_check.cloud import Response
from maas_usage_check.cloud.error_responses import response_error
from maas_usage_check.cloud.redaction import redactor
from maas_usage_check.errors import QueryError, Result

from ..conftest import NOW

KINDS = [
    (401, "APIGW.0301", "verify ak sk signature fail", Result.KEY_REFUSED, "secret key belongs to the access key"),
    (401, "APIGW.0301", "AK access failed to reach the limit, forbidden", Result.KEY_LOCKED, "locked for 5 minutes"),
    (401, "APIGW.0301", "ak not exist", Result.KEY_REFUSED, "access key does not exist"),
    (401, "APIGW.0301", "signature expired", Result.CREDENTIALS_EXPIRED, "expired"),
    (401, "APIGW.0301", "decrypt token fail", Result.CREDENTIALS_EXPIRED, "expired"),
    (401, "ModelArts.1", "policy doesn't allow x", Result.PERMISSION_DENIED, "`modelarts:monitoring:get`"),
    (403, "ModelArts.1", "Policy doesn't allow x", Result.PERMISSION_DENIED, "`modelarts:monitoring:get`"),
    (403, "", "", Result.PERMISSION_DENIED, "`modelarts:monitoring:get`"),
    (403, "ces.0015", "", Result.PERMISSION_DENIED, "a new permission takes effect after 15 to 30 minutes"),
    *(
        (status, code, "The throttling threshold has been reached", Result.THROTTLED, "lower max_requests_per_minute")
        for status in (400, 401, 403, 404, 429, 500, 503)
        for code in ("ces.0429", "APIGW.0308", "APIG.0308")
    ),
    (400, "ces.04290", "limit ces.0014", Result.REQUEST_REJECTED, "check the configuration"),
    (404, "APIGW.0101", "The API does not exist", Result.NOT_FOUND, "check region"),
    (504, "APIGW.0201", "Backend timeout", Result.SERVER_ERROR, "the request is retried"),
    (500, "", "", Result.SERVER_ERROR, "the request is retried"),
    (400, "ModelArts.4", "service_type must be one of [1 2 4]", Result.REQUEST_REJECTED, "must be one of [1 2 4]"),
]
SHAPES: Dict[str, Callable[[str, str], bytes]] = {
    "flat": lambda code, text: json.dumps({"error_code": code, "error_msg": text, "request_id": "r"}).encode(),
    "nested": lambda code, text: json.dumps({"error": {"code": code, "message": text}}).encode(),
    "Cloud Eye": lambda code, text: json.dumps({"http_code": 1, "message": {"code": code, "details": text}}).encode(),
    "text": lambda code, text: f"{code} {text}".encode(),
    "html": lambda code, text: f"<html><body>{code} {text}</body></html>".encode(),
}


def classify(status: int, body: bytes, headers: Optional[Dict[str, str]] = None) -> QueryError:
    return response_error(Response(status, headers or {}, body), "modelarts:monitoring:get", NOW, redactor([""]))


@pytest.mark.parametrize(("status", "code", "text", "result", "remedy"), KINDS)
def test_known_errors(status: int, code: str, text: str, result: Result, remedy: str) -> None:
    """Each known error is classified in each body format."""
    for shape in SHAPES.values():
        error = classify(status, shape(code, text), {"X-Request-Id": "id-1"})
        assert error.result == result
        assert all(words in str(error) for words in (remedy, str(status), "request id-1"))
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 400


@pytest.mark.parametrize("body", [
    b"", b"[]", b'{"error": "x"}', b'{"error_code": 1, "error_msg": []}', b"\xff\xfe", b'{"message": {}}',
    b'{"error": "x", "message": {"code": 7, "details": null}}',
])  # fmt: skip
def test_unknown_body(body: bytes) -> None:
    assert classify(401, body).result == Result.KEY_REFUSED
    assert len(str(classify(400, body)).splitlines()) == 1


@pytest.mark.parametrize("date", ["yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_invalid_date(date: str) -> None:
    """An invalid Date header is not reported as a wrong clock."""
    assert classify(401, b"verify ak sk signature fail", {"Date": date}).result == Result.KEY_REFUSED


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), (formatdate(NOW + 90, usegmt=True), 90.0), (formatdate(NOW - 90, usegmt=True), 0.0),
     *((text, None) for text in (None, "soon", "-5", "\u00b2", "\u0663", "1.5", "")), ("9" * 400, 999999.0)],
)  # fmt: skip
def test_retry_after(value: Any, seconds: Any) -> None:
    headers = {} if value is None else {"Retry-After": value}
    assert classify(429, b"", headers).retry_after == seconds


def test_control_characters() -> None:
    error = classify(400, json.dumps({"error_msg": "a\x1b[31m\n\x00b\u2028c"}).encode())
    assert str(error).isprintable()


def test_stated_clocks() -> None:
    """The offset is read from the message, with or without blanks."""
    for blank in ("", " "):
        text = f"calc aksk signature fail:signature expired, signature time:{blank}20211217T064303Z,"
        error = classify(401, SHAPES["flat"]("APIGW.0301", f"{text}{blank}server time:{blank}20211217T065904Z"))
        assert (error.result, error.clock_off) == (Result.CLOCK_OFF, -961)
        assert "16 minutes behind" in str(error)


def test_clock_offset() -> None:
    """A wrong clock explains an expired signature too; every refusal has the offset."""
    date = {"Date": formatdate(NOW - 3600, usegmt=True)}
    for text in ("signature expired", "decrypt token fail", "verify ak sk signature fail"):
        error = classify(401, SHAPES["flat"]("APIGW.0301", text), date)
        assert error.result == Result.CLOCK_OFF
        assert error.clock_off == 3600
    for text in ("ak not exist", "AK access failed to reach the limit"):
        assert classify(401, SHAPES["flat"]("APIGW.0301", text), date).clock_off == 3600


def test_rejection_by_cloud_eye() -> None:
    """Code and details are read from its own format."""
    error = classify(400, SHAPES["Cloud Eye"]("ces.0014", "period must be 1"))
    assert str(error) == "the cloud rejected the request (`period must be 1`): check the configuration [400 ces.0014]"


def test_code_in_a_message() -> None:
    """Only an error's own code makes it a 429, not one that its message quotes."""
    error = classify(401, SHAPES["flat"]("APIGW.0301", "verify ak sk signature fail: GET /ces.0429"))
    assert error.result == Result.KEY_REFUSED
