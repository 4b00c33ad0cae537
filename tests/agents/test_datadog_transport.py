"""The Agent's own HTTP client as the transport: its options hold, and nothing of it spoils a signature."""

from __future__ import annotations

import gzip
import itertools
import json
import ssl
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import trustme
from pytest_httpserver import HTTPServer
from werkzeug import Response

from maas_usage_check.config import Instance
from maas_usage_check.config.known_keys import AGENT_INSTANCE_KEYS
from maas_usage_check.standin.emulator import PROJECT_ID, Emulator

from ..conftest import AK, SK, Cloud
from ..faults.server import Server, drip
from .conftest import need_library

need_library("datadog_checks.base")
need_library("datadog_checks.dev")
pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning"
)  # the base library's

Make = Callable[..., Any]
CODE = "huawei_maas.api.result_code"
BAD_ANSWER, TIMED_OUT, NETWORK = 17, 13, 14


def outcome(check: Any, aggregator: Any) -> tuple[float, str]:
    """Run a check; return its result code and what it raised."""
    report = check.run()
    (metric,) = aggregator.metrics(CODE)
    return metric.value, json.loads(report)[0]["message"] if report else ""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure_cloud(authority: trustme.CA) -> Iterator[Cloud]:
    """The cloud behind TLS, with a certificate that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with HTTPServer(ssl_context=context) as server:
        yield Cloud(server, Emulator({AK: SK}))


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


def test_a_redirect_is_not_followed(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    cloud.always = lambda request: Response(b"", 302, {"Location": f"{cloud.url}/elsewhere"})
    code, said = outcome(make_check(cloud.entry(ranges=["last_7d"], allow_redirects=True)), aggregator)
    assert (code, len(cloud.seen)) == (BAD_ANSWER, 1)
    assert "redirect, which is not followed" in said


def test_an_answer_without_end_is_cut_off(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    cloud.always = lambda request: Response(itertools.repeat(b" " * 65_536, 64), 200)
    code, said = outcome(make_check(cloud.entry(ranges=["last_7d"])), aggregator)
    assert code == BAD_ANSWER
    assert "longer than 1 MiB" in said


def test_a_compressed_answer_is_not_unpacked(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    # One that would be believed: what is never unpacked cannot fill the memory either.
    names = "total_token total_prompt_token total_completion_token total_request_count total_error_count"
    packed = gzip.compress(json.dumps(dict.fromkeys(names.split(), 1)).encode())
    cloud.always = lambda request: Response(packed, 200, {"Content-Encoding": "gzip"})
    code, said = outcome(make_check(cloud.entry(ranges=["last_7d"])), aggregator)
    assert code == BAD_ANSWER
    assert "the answer is not JSON" in said


def test_an_answer_that_drips_ends_at_the_timeout(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(40):
            time.sleep(0.1)
            yield b" "

    cloud.always = lambda request: Response(drip(), 200, {"Content-Length": "4000"})
    began = time.monotonic()
    check = make_check(cloud.entry(ranges=["last_7d"], timeout=0.5, deadline=2))
    code, said = outcome(check, aggregator)
    assert time.monotonic() - began < 3
    assert code == TIMED_OUT
    assert "did not answer in time" in said  # the request's own timeout, not the deadline of the cycle


def test_headers_that_drip_end_at_the_timeout_too(make_check: Make, aggregator: Any) -> None:
    server = Server(Emulator({AK: SK}))
    server.fault = drip(b"HTTP/1.1 200 X\r\nX-Slow: " + b"x" * 400)
    entry = {"endpoint": server.url, "iam_endpoint": server.url, "project_id": PROJECT_ID, "ranges": ["last_7d"]}
    began = time.monotonic()
    code, said = outcome(make_check({**entry, "timeout": 0.3, "deadline": 10}), aggregator)
    server.stop()
    assert time.monotonic() - began < 3
    assert code == TIMED_OUT
    assert "did not answer in time" in said


def test_the_agents_read_timeout_holds(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    cloud.always = lambda request: time.sleep(0.6) or Response(b"{}", 200)  # type: ignore[func-returns-value]
    check = make_check(cloud.entry(ranges=["last_7d"], read_timeout=0.2, deadline=5))
    code, said = outcome(check, aggregator)
    assert code == TIMED_OUT
    assert "did not answer in time" in said


def test_a_refused_connection_is_told_in_one_line(make_check: Make, aggregator: Any) -> None:
    entry = {"endpoint": "http://127.0.0.1:1", "iam_endpoint": "http://127.0.0.1:1"}
    code, said = outcome(make_check(entry), aggregator)
    assert code == NETWORK
    assert "127.0.0.1:1: no connection (Connection refused)" in said


def test_an_unknown_host_is_told_as_such(make_check: Make, aggregator: Any) -> None:
    entry = {"endpoint": "https://maas.invalid", "iam_endpoint": "https://maas.invalid"}
    code, said = outcome(make_check(entry), aggregator)
    assert code == NETWORK
    assert "maas.invalid: no such host" in said


def test_plain_http_to_this_machine_goes_by_no_proxy(
    cloud: Cloud, make_check: Make, aggregator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    entry = cloud.entry(proxy={"http": "http://127.0.0.1:1"})
    assert outcome(make_check(entry), aggregator) == (0, "")


def test_the_agents_proxy_option_holds(secure_cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    entry = secure_cloud.entry(tls_verify=False, ranges=["last_7d"], proxy={"https": "http://127.0.0.1:1"})
    code, said = outcome(make_check(entry), aggregator)
    assert (code, secure_cloud.seen) == (NETWORK, [])
    assert "no connection" in said


def test_an_unknown_certificate_is_not_believed(secure_cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    code, said = outcome(make_check(secure_cloud.entry(ranges=["last_7d"])), aggregator)
    assert (code, secure_cloud.seen) == (NETWORK, [])
    assert "the TLS certificate was not believed" in said


def test_the_agents_tls_ca_cert_is_believed(
    secure_cloud: Cloud, authority: trustme.CA, make_check: Make, aggregator: Any, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    check = make_check(secure_cloud.entry(tls_ca_cert=str(tmp_path / "ca.pem")))
    assert outcome(check, aggregator) == (0, "")


def test_every_http_option_of_the_base_library_may_be_configured() -> None:
    from datadog_checks.base.utils.http import STANDARD_FIELDS

    assert set(STANDARD_FIELDS) <= {*AGENT_INSTANCE_KEYS, *Instance.__struct_fields__}
