"""The Agent's own HTTP client as the transport: its options hold, and nothing of it spoils a signature."""

from __future__ import annotations

import gzip
import itertools
import json
import ssl
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import pytest
import trustme
from pytest_httpserver import HTTPServer
from werkzeug import Response

from maas_usage_check.config import Instance
from maas_usage_check.config.known_keys import AGENT_INSTANCE_KEYS
from maas_usage_check.standin.emulator import PROJECT_ID, Emulator

from ..conftest import AK, SK, Cloud, FixedClock
from ..faults.server import Server, always, drip
from .conftest import need_library

need_library("datadog_checks.base")
need_library("datadog_checks.dev")
pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning"
)  # the base library's

Make = Callable[..., Any]
CODE = "huawei_maas.api.result_code"
BAD_ANSWER, TIMED_OUT, NETWORK = 17, 13, 14
IN_TIME = "did not answer in time"


def outcome(check: Any, aggregator: Any) -> tuple[float, str]:
    """Run a check; return its result code and what it raised."""
    report = check.run()
    (metric,) = aggregator.metrics(CODE)
    return metric.value, json.loads(report)[0]["message"] if report else ""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure_cloud(authority: trustme.CA, clock: FixedClock) -> Iterator[Cloud]:
    """The cloud behind TLS, with a certificate that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with HTTPServer(ssl_context=context) as server:
        yield Cloud(server, Emulator({AK: SK}, now=clock.now))


def test_a_netrc_does_not_overwrite_the_signature(
    cloud: Cloud, make_check: Make, aggregator: Any, tmp_path: Path
) -> None:
    # The home folder is the test's own, see clean_environment.
    for name in (".netrc", "_netrc"):
        (tmp_path / name).write_text(
            "machine 127.0.0.1 login root password x\nmachine localhost login root password x\n"
        )
        (tmp_path / name).chmod(0o600)
    assert outcome(make_check(cloud.entry()), aggregator) == (0, "")
    assert {request.headers["Authorization"].split()[0] for request in cloud.seen} == {"SDK-HMAC-SHA256"}


def test_headers_of_the_configuration_do_not_spoil_the_signature(
    cloud: Cloud, make_check: Make, aggregator: Any
) -> None:
    entry = cloud.entry(
        extra_headers={"Authorization": "Bearer x", "X-Sdk-Date": "19700101T000000Z", "X-Team": "search"},
        username="root",
        password="x",
    )
    assert outcome(make_check(entry), aggregator) == (0, "")
    assert cloud.seen[0].headers["X-Team"] == "search"
    assert cloud.seen[0].headers["User-Agent"].startswith("maas-usage-check/")


def test_a_temporary_key_sends_its_token(
    cloud: Cloud, make_check: Make, aggregator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HW_SECURITY_TOKEN", "a-token")
    cloud.emulator.tokens[AK] = "a-token"
    assert outcome(make_check(cloud.entry()), aggregator) == (0, "")


def unpacked(names: str = "total_token total_prompt_token total_completion_token total_request_count") -> Response:
    """Compress an answer that would be believed: what is never unpacked cannot fill the memory either."""
    body = json.dumps(dict.fromkeys([*names.split(), "total_error_count"], 1)).encode()
    return Response(gzip.compress(body), 200, {"Content-Encoding": "gzip"})


def dripping() -> Iterator[bytes]:
    while True:
        time.sleep(0.1)
        yield b" "


@pytest.mark.parametrize(
    ("answer", "options", "code", "says"),
    [
        (lambda: Response(b"", 302, {"Location": "/elsewhere"}), {"allow_redirects": True}, BAD_ANSWER, "not followed"),
        (lambda: Response(itertools.repeat(b" " * 65_536, 64), 200), {}, BAD_ANSWER, "longer than 1 MiB"),
        (unpacked, {}, BAD_ANSWER, "the answer is not JSON"),
        # The request's own timeout, not the deadline of the cycle.
        (lambda: Response(dripping(), 200, {"Content-Length": "4000"}), {"timeout": 0.5}, TIMED_OUT, IN_TIME),
        (lambda: Response(dripping(), 200, {"Content-Length": "4000"}), {"read_timeout": 0.05}, TIMED_OUT, IN_TIME),
    ],
    ids=["redirect", "without end", "compressed", "dripping", "the Agent's read_timeout"],
)
def test_an_answer_that_is_not_believed(
    cloud: Cloud, make_check: Make, aggregator: Any, answer: Callable[[], Response], options: Dict[str, Any],
    code: int, says: str,
) -> None:  # fmt: skip
    cloud.always = lambda request: answer()
    check = make_check(cloud.entry(ranges=["last_7d"], **{"deadline": 60, **options}))
    found, said = outcome(check, aggregator)
    assert (found, says in said) == (code, True), said
    assert code == TIMED_OUT or len(cloud.seen) == 1


def test_headers_that_drip_end_at_the_timeout_too(make_check: Make, aggregator: Any) -> None:
    server = Server(Emulator({AK: SK}))
    server.fault = always(*drip(b"HTTP/1.1 200 X\r\nX-Slow: " + b"x" * 400))
    entry = {"endpoint": server.url, "iam_endpoint": server.url, "project_id": PROJECT_ID, "ranges": ["last_7d"]}
    code, said = outcome(make_check({**entry, "timeout": 0.3, "deadline": 60}), aggregator)
    server.stop()
    assert code == TIMED_OUT
    assert IN_TIME in said


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:1", "127.0.0.1:1: no connection (Connection refused)"),
        ("https://maas.invalid", "maas.invalid: no such host"),
    ],
)
def test_no_connection_is_told_in_one_line(make_check: Make, aggregator: Any, url: str, says: str) -> None:
    code, said = outcome(make_check({"endpoint": url, "iam_endpoint": url}), aggregator)
    assert (code, says in said) == (NETWORK, True), said


def test_plain_http_to_this_machine_goes_by_no_proxy(
    cloud: Cloud, make_check: Make, aggregator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    entry = cloud.entry(proxy={"http": "http://127.0.0.1:1"})
    assert outcome(make_check(entry), aggregator) == (0, "")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tls_verify": False, "proxy": {"https": "http://127.0.0.1:1"}}, "no connection"),
        ({}, "the TLS certificate was not believed"),
    ],
)
def test_the_agents_proxy_and_the_certificates_hold(
    secure_cloud: Cloud, make_check: Make, aggregator: Any, options: Dict[str, Any], says: str
) -> None:
    code, said = outcome(make_check(secure_cloud.entry(ranges=["last_7d"], **options)), aggregator)
    assert (code, secure_cloud.seen, says in said) == (NETWORK, [], True), said


def test_the_agents_tls_ca_cert_is_believed(
    secure_cloud: Cloud, authority: trustme.CA, make_check: Make, aggregator: Any, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    check = make_check(secure_cloud.entry(tls_ca_cert=str(tmp_path / "ca.pem")))
    assert outcome(check, aggregator) == (0, "")


def test_every_http_option_of_the_base_library_may_be_configured() -> None:
    from datadog_checks.base.utils.http import STANDARD_FIELDS

    assert set(STANDARD_FIELDS) <= {*AGENT_INSTANCE_KEYS, *Instance.__struct_fields__}
