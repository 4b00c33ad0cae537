"""The Agent's HTTP client as transport: its options apply, and signatures stay valid."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest
import trustme
from pytest_httpserver import HTTPServer

from maas_usage_check.cloud.outcomes import EFFECTS
from maas_usage_check.config import Instance
from maas_usage_check.config.known_keys import AGENT_INSTANCE_KEYS
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.errors import Result

from ..conftest import AK, SK, Cloud, FixedClock
from ..faults.faulty_cloud import Act, Fault, FaultyServer, always, drip, http
from .conftest import need_library

need_library("datadog_checks.base")
need_library("datadog_checks.dev")
pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning"
)  # the base library's

Make = Callable[..., Any]
CODE = "huawei_maas.api.result_code"
NO_SERVER = "http://127.0.0.1:1"


def outcome(check: Any, aggregator: Any) -> Tuple[float, str]:
    """Run a check; return its result code and what it raised."""
    report = check.run()
    (metric,) = aggregator.metrics(CODE)
    return metric.value, json.loads(report)[0]["message"] if report else ""


@pytest.fixture
def secure_cloud(clock: FixedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The cloud behind TLS, with a certificate of an unknown authority, which is in ca.pem."""
    monkeypatch.chdir(tmp_path)
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path("ca.pem")
    authority.issue_cert("localhost").configure_cert(context)
    with HTTPServer(ssl_context=context) as server:
        yield Cloud(server, Emulator({AK: SK}, now=clock.now))


def test_signature(
    cloud: Cloud, make_check: Make, aggregator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signatures stay valid with a netrc, a login, headers and proxies for http; a temporary key's token is sent."""
    for name in (".netrc", "_netrc"):  # the home folder is the test's own, see clean_environment
        (tmp_path / name).write_text("default login root password x\n")
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("http_proxy", NO_SERVER)
    monkeypatch.setenv("HW_SECURITY_TOKEN", "a-token")
    cloud.emulator.tokens[AK] = "a-token"
    headers = {"Authorization": "Bearer x", "X-Sdk-Date": "19700101T000000Z", "X-Team": "search"}
    options = {"username": "root", "password": "x", "extra_headers": headers, "proxy": {"http": NO_SERVER}}
    assert outcome(make_check(cloud.entry(**options)), aggregator) == (0, "")
    assert {request.headers["Authorization"].split()[0] for request in cloud.requests} == {"SDK-HMAC-SHA256"}
    assert cloud.requests[0].headers["X-Team"] == "search"
    assert cloud.requests[0].headers["User-Agent"].startswith("maas-usage-check/")


HEAD = b"HTTP/1.1 200 X\r\nContent-Length: 9999999\r\n\r\n"
SLOW = drip(b"x" * 4000)
"""Takes longer than the test's time limit."""
IN_TIME = "did not answer in time"


@pytest.mark.parametrize(
    ("fault", "options", "code", "says"),
    [
        (always(http(302, Location="/x")), {"allow_redirects": True}, Result.BAD_ANSWER, "not followed"),
        (always(HEAD, *[b" " * 65_536] * 64), {}, Result.BAD_ANSWER, "longer than 1 MiB"),
        # An answer is never decompressed, so it cannot fill the memory.
        (always(http(200, b"{}", Content_Encoding="gzip")), {}, Result.BAD_ANSWER, "`total_token` is missing"),
        (always(b"SSH-2.0-x\r\n"), {}, Result.NETWORK, "answered, but not in HTTP"),
        (always(HEAD[:-2] + b"X-Slow: ", *SLOW), {"timeout": 0.3}, Result.TIMED_OUT, IN_TIME),
        (always(HEAD, *SLOW), {"timeout": 0.5}, Result.TIMED_OUT, IN_TIME),
        (always(HEAD, Act.HANG), {"timeout": 300, "read_timeout": 0.05}, Result.TIMED_OUT, IN_TIME),
    ],
    ids=[
        "redirect",
        "without end",
        "compressed",
        "banner",
        "headers that drip",
        "a body that drips",
        "the Agent's read_timeout",
    ],
)
def test_bad_answer(
    make_check: Make, aggregator: Any, fault: Fault, options: Dict[str, Any], code: Result, says: str
) -> None:
    """Answers that are slow, too long or of another form are failures."""
    server = FaultyServer(Emulator({AK: SK}))
    server.fault = fault
    entry = {"endpoint": server.url, "project_id": PROJECT_ID, "ranges": ["last_7d"], "deadline": 600}
    result_code, error = outcome(make_check({**entry, **options}), aggregator)
    server.stop()
    assert (result_code, says in error) == (code, True), error
    assert EFFECTS[Result(code)].retry or len(server.requests) == 1


def test_unknown_host(make_check: Make, aggregator: Any) -> None:
    """An unknown host is reported in one line."""
    url = "https://maas.invalid"
    code, error = outcome(make_check({"endpoint": url, "iam_endpoint": url}), aggregator)
    assert (code, "maas.invalid: no such host" in error) == (Result.NETWORK, True), error


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ({"tls_verify": False, "proxy": {"https": NO_SERVER}}, Result.NETWORK, "no connection"),
        ({}, Result.NETWORK, "the TLS certificate is not trusted"),
        ({"tls_ca_cert": "ca.pem"}, Result.OK, ""),
    ],
)
def test_proxy_and_certificates(
    secure_cloud: Cloud, make_check: Make, aggregator: Any, options: Dict[str, Any], code: Result, says: str
) -> None:
    """The Agent's options for proxies and certificates apply."""
    result_code, error = outcome(make_check(secure_cloud.entry(ranges=["last_7d"], **options)), aggregator)
    assert (result_code, bool(secure_cloud.requests), bool(error)) == (code, not code, bool(code))
    assert says in error


def test_replaced_authorities(
    secure_cloud: Cloud, make_check: Make, aggregator: Any, tmp_path: Path, clock: FixedClock
) -> None:
    """A replaced `tls_ca_cert` is read by a new client: the Agent's client reads it once."""
    certificate, options = (tmp_path / "ca.pem").read_bytes(), {"ranges": ["last_7d"], "tls_ca_cert": "replaced.pem"}
    trustme.CA().cert_pem.write_to_path("replaced.pem")
    check = make_check(secure_cloud.entry(min_collection_interval=0.1, **options))
    assert outcome(check, aggregator)[0] == Result.NETWORK
    (tmp_path / "replaced.pem").write_bytes(certificate)
    aggregator.reset()
    clock.at += 300
    assert outcome(check, aggregator) == (0, "")


def test_http_options() -> None:
    """Every HTTP option of the base library is accepted."""

    from datadog_checks.base.utils.http import STANDARD_FIELDS

    assert set(STANDARD_FIELDS) <= {*AGENT_INSTANCE_KEYS, *Instance.__struct_fields__}
