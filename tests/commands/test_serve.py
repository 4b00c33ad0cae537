"""`serve`: its collection loop and pages in this process; its HTTP, TLS and signals as a process."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest
from prometheus_client.parser import text_string_to_metric_families
from werkzeug import Request, Response
from werkzeug.test import Client

from maas_usage_check import __version__
from maas_usage_check.clock import Clock
from maas_usage_check.commands.serve.exporter_pages import make_application
from maas_usage_check.commands.serve.serve_command import is_loopback
from maas_usage_check.commands.serve.server import MAX_CONNECTIONS, Server
from maas_usage_check.commands.serve.snapshot import Snapshot
from maas_usage_check.emulator.emulator import PROJECT_ID

from ..conftest import Cloud, FixedClock, Program, wait_for
from ..program import only_line
from .exporter import Authority, Exporter, running_exporter, samples

TOTAL = "huawei_maas_usage_total_tokens"
UP = "huawei_maas_api_up"
COUNTER = "huawei_maas_consumed_tokens_total"
HOURLY = "hourly: true\nbackfill_days: 0\n"


class InProcess:
    """`serve` without its HTTP server: runs a step after each cycle, and stops after the last step."""

    def __init__(self, program: Program, clock: FixedClock) -> None:
        self.program = program
        self.clock = clock

    def step(self, snapshot: Snapshot) -> None:
        self.client = Client(make_application(snapshot))
        if self.steps:
            self.steps.pop(0)()
            self.clock.sleep(300)
        else:
            signal.raise_signal(signal.SIGTERM)

    def run(self, config: str, *steps: Callable[[], Any]) -> None:
        """Collect once, and again 5 minutes after each step."""
        self.steps = list(steps)
        done = self.program("serve", "--config", config, "--listen", "127.0.0.1:0")
        assert done.returncode == 0
        self.log = done.stderr.splitlines()[1:]

    def get(self, path: str = "/metrics") -> Any:
        return self.client.get(path)

    def samples(self, name: str) -> Dict[str, float]:
        return samples(self.get().text, name)


@pytest.fixture
def serving(program: Program, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcess]:
    serving, replace, handler = InProcess(program, clock), Snapshot.replace, signal.getsignal(signal.SIGHUP)
    monkeypatch.setattr(
        Snapshot, "replace", lambda snapshot, points: [replace(snapshot, points), serving.step(snapshot)]
    )
    monkeypatch.setattr(Server, "start", Server.server_close)
    yield serving
    signal.signal(signal.SIGHUP, handler)


@pytest.fixture
def exporter(cloud: Cloud, program: Program) -> Iterator[Exporter]:
    with running_exporter(program, program.cloud_config(cloud, HOURLY)) as exporter:
        exporter.wait_until_ready()
        yield exporter


def describe(text: str) -> Dict[str, Any]:
    """Map each metric to its type, help text and sample names."""
    return {
        family.name: (family.type, family.documentation, {sample.name for sample in family.samples})
        for family in text_string_to_metric_families(text)
    }


def refuse(request: Request) -> Response:
    return Response(b'{"error_msg": "no"}', 400)


def test_same_metrics_as_the_textfile(cloud: Cloud, program: Program, serving: InProcess) -> None:
    config = program.cloud_config(cloud, HOURLY)
    serving.run(config)
    done = program("collect", "--config", config, "--format", "prometheus")
    assert serving.get().headers["Content-Type"].startswith("text/plain; version=")
    assert describe(serving.get().text) == describe(done.stdout)
    assert serving.samples(TOTAL) == samples(done.stdout, TOTAL) != {}
    assert serving.samples(COUNTER) == samples(done.stdout, COUNTER) != {}


def test_intervals(cloud: Cloud, program: Program, serving: InProcess) -> None:
    """Each instance is collected at its own interval."""
    entry = f"endpoint: '{cloud.url}', project_id: {PROJECT_ID}"
    instances = "".join(
        f"  - {{{entry}, ranges: [last_{days}d], tags: ['n:{days}'], min_collection_interval: {interval}}}\n"
        for days, interval in ((1, 300), (2, 3600))
    )
    serving.run(program.config(f"instances:\n{instances}"), *[lambda: None] * 12)
    days = [(each["end_time"] - each["start_time"]) // 86_400_000 for each in cloud.statistics()]
    assert (days.count(1), days.count(2)) == (13, 2)
    assert set(serving.samples(TOTAL)) == {"last_1d", "last_2d"}, "points of an instance that is not due are served"


def test_failed_cycle_keeps_counters(cloud: Cloud, program: Program, serving: InProcess) -> None:
    def fail() -> None:
        assert len(serving.samples(TOTAL)) == 3
        assert serving.samples(COUNTER)
        cloud.responder = refuse

    def recover() -> None:
        assert serving.samples(UP) == {"cn-southwest-2": 0}
        assert serving.samples(TOTAL) == {}
        assert serving.samples(COUNTER)
        assert serving.samples("huawei_maas_api_last_success_timestamp_seconds")["cn-southwest-2"] > 0
        assert serving.get("/-/healthy").status_code == serving.get("/-/ready").status_code == 200
        cloud.responder = None

    serving.run(program.cloud_config(cloud, HOURLY), fail, recover)
    assert len(serving.samples(TOTAL)) == 3
    assert [line[:2] for line in serving.log] == ["I!", "E!", "I!"], serving.log
    assert serving.log[-1].endswith(": recovered")


def test_problem_of_an_instance_that_is_not_due(cloud: Cloud, program: Program, serving: InProcess) -> None:
    """A problem lasts, without a recovery, while other instances are collected."""
    cloud.responder = lambda request: refuse(request) if request.get_json()["service_type"] == 1 else None
    instances = "".join(
        f"  - {{endpoint: '{cloud.url}', project_id: {PROJECT_ID}, service_types: [{kind}], {more}}}\n"
        for kind, more in (("preset", ""), ("my_service", "min_collection_interval: 3600, tags: ['a:b']"))
    )
    serving.run(program.config(f"instances:\n{instances}"), *[lambda: None] * 3)
    assert [line[:2] for line in serving.log] == ["E!"]


def test_pages(cloud: Cloud, program: Program, serving: InProcess) -> None:
    """All pages answer GET and HEAD, and none queries the cloud."""
    serving.run(program.cloud_config(cloud))
    queries = len(cloud.requests)
    index = serving.get("/")
    assert __version__ in index.text
    paths = re.findall('href="(.+?)"', index.text)
    assert set(paths) == {"/metrics", "/-/ready", "/-/healthy"}
    for path in paths:
        head = serving.client.head(path)
        assert (serving.get(path).status_code, head.status_code, head.data) == (200, 200, b"")
    assert serving.get("/metrics/").status_code == 404
    for response in (serving.client.post("/metrics"), serving.client.delete("/")):
        assert (response.status_code, response.text) == (405, "only GET and HEAD\n")
    assert len(cloud.requests) == queries


def test_requests_are_not_logged(exporter: Exporter) -> None:
    """Neither requests nor clients that do not speak HTTP are logged."""
    exporter.get("/secret?token=one")
    host, _, port = exporter.url.partition("//")[2].partition(":")
    for data in (b"", b"\x16\x03\x01 nonsense\r\n\r\n", b"GET /metrics HTTP/1.1\r\n", b"GET " + b"a" * 70_000):
        with socket.create_connection((host, int(port)), 10) as client:
            client.sendall(data)
    assert exporter.get().status == 200
    assert exporter.stop() == 0
    assert not [line for line in exporter.log if not line.startswith(("I! serving", "I! cn-southwest-2: "))]


def test_sigterm_during_the_first_cycle(cloud: Cloud, program: Program) -> None:
    cloud.block()
    with running_exporter(program, program.cloud_config(cloud)) as exporter:
        wait_for(lambda: cloud.requests, "the first cycle")
        assert exporter.get("/-/ready").status == 503
        assert exporter.get("/-/healthy").status == 200
        assert (exporter.get().status, exporter.get().body) == (200, b"")
        assert exporter.stop() == 0
    assert len(exporter.log) == 1, exporter.log


def test_sighup_reloads_the_configuration(cloud: Cloud, program: Program, exporter: Exporter) -> None:
    """The old points are served until the first cycle of the new configuration ends."""
    counters, ranges = exporter.samples(COUNTER), {"last_7d", "last_14d", "last_30d"}
    config = program.cloud_config(cloud, "ranges: [last_0d]")
    exporter.process.send_signal(signal.SIGHUP)
    wait_for(lambda: exporter.problems, "the error")
    (line,) = exporter.problems
    assert line.startswith(f"E! {config}: instances[0].ranges[0]: ")
    assert line.endswith("; the previous configuration stays in use")
    assert set(exporter.samples(TOTAL)) == ranges
    release, queries = cloud.block(), len(cloud.requests)
    program.cloud_config(cloud, f"{HOURLY}ranges: [last_3d]")
    exporter.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(cloud.requests) > queries, "the first cycle of the new configuration")
    assert set(exporter.samples(TOTAL)) == ranges
    release.set()
    wait_for(lambda: set(exporter.samples(TOTAL)) == {"last_3d"}, "the new range")
    assert exporter.samples(COUNTER) == counters != {}
    assert exporter.get("/-/ready").status == 200
    assert exporter.stop() == 0
    assert not list(program.folder.rglob("*-wal")), "the state is closed"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_tls_client_authority(cloud: Cloud, program: Program, authority: Authority) -> None:
    options = [*authority.issue(), "--tls-client-ca", authority.file]
    with running_exporter(program, program.cloud_config(cloud), *options, context=authority.client()) as exporter:
        assert exporter.url.startswith("https://127.0.0.1:")
        host, _, port = exporter.url.partition("//")[2].partition(":")
        silent = [socket.create_connection((host, int(port)), 10) for _ in range(8)]
        exporter.wait_until_ready()
        for client in silent:
            client.close()
        assert exporter.samples(UP) == {"cn-southwest-2": 1}
        exporter.context = authority.client(with_certificate=False)
        with pytest.raises(OSError, match=r"(?i)certificate required|reset|EOF|closed|broken pipe"):
            exporter.get()
        with socket.create_connection((host, int(port)), 10) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert b"huawei" not in client.recv(4096)
        assert exporter.stop() == 0
    assert len(exporter.log) == 1, exporter.log


def test_sighup_reloads_the_certificate(cloud: Cloud, program: Program, authority: Authority) -> None:
    context = authority.client(with_certificate=False)
    with running_exporter(program, program.cloud_config(cloud), *authority.issue(), context=context) as exporter:
        exporter.wait_until_ready()
        other = Authority(authority.folder)
        exporter.context = other.client(with_certificate=False)
        with pytest.raises(OSError, match=r"(?i)verify failed"):
            exporter.get()
        other.issue()
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "I! configuration reloaded" in exporter.log, "the reload")
        assert exporter.get().status == 200
        Path(authority.folder / "127.0.0.1.key").write_text("nothing")
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: exporter.problems, "the error")
        assert exporter.problems[0].startswith("E! --tls-cert, --tls-key: ")
        assert exporter.get().status == 200


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--listen", "16227"], "--listen: must be HOST:PORT, such as 127.0.0.1:16227"),
        (["--listen", "::1"], "--listen: must be HOST:PORT, such as 127.0.0.1:16227 or [::1]:16227"),
        (["--listen", "127.0.0.1:65536"], "--listen: must be a port, 0 to 65535"),
        (
            ["--listen", "127.0.0.1:{port}"],
            "--listen: cannot listen on 127.0.0.1:{port} (Address already in use); choose a free port of this host",
        ),
        (["--listen", "a..b:1"], "--listen: cannot listen on a..b:1 ("),
        (["--tls-cert", "c.pem"], "--tls-cert: needs both --tls-cert and --tls-key"),
        (["--tls-key", "k.pem"], "--tls-key: needs both --tls-cert and --tls-key"),
        (["--tls-client-ca", "ca.pem"], "--tls-client-ca: needs both"),
        (["--tls-cert", "no", "--tls-key", "no"], "--tls-cert: no cannot be read (No such file or directory)"),
        (["--tls-cert", "{conf}", "--tls-key", "{conf}"], "--tls-cert, --tls-key: {conf} and {conf} must be a cert"),
    ],
)
def test_wrong_arguments(cloud: Cloud, program: Program, options: List[str], text: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        values = {"conf": program.cloud_config(cloud), "port": used.getsockname()[1]}
        done = program("serve", "--config", values["conf"], *(option.format(**values) for option in options))
    assert only_line(done, 2).startswith(f"E! {text.format(**values)}")
    assert cloud.requests == []


def test_wrong_client_authority(cloud: Cloud, program: Program, authority: Authority) -> None:
    *options, key = authority.issue()
    done = program("serve", "--config", program.cloud_config(cloud), *options, key, "--tls-client-ca", key)
    assert only_line(done, 2).startswith(f"E! --tls-client-ca: {key} must contain certificates as PEM")


def test_ipv6(cloud: Cloud, program: Program) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    with running_exporter(program, program.cloud_config(cloud), "--listen", "[::1]:0") as exporter:
        assert re.match(r"http://\[::1\]:\d+$", exporter.url)
        exporter.wait_until_ready()


def test_host_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """All addresses are those of IPv4 then."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with Server("", 0, make_application(Snapshot(Clock()))) as server:
        assert server.url == f"http://0.0.0.0:{server.server_port}"


def test_connections_above_the_limit_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server calls `service_actions` while it waits for a free slot; here that call releases the first slot."""
    waited = threading.Event()

    def application(_: Dict[str, Any], start_response: Callable[[str, List[Any]], Any]) -> List[bytes]:
        assert waited.wait(60)
        start_response("200 OK", [])
        return []

    with Server("127.0.0.1", 0, application) as server, contextlib.ExitStack() as opened:
        monkeypatch.setattr(server, "service_actions", waited.set)
        clients = []
        for _ in range(MAX_CONNECTIONS + 1):
            assert not waited.is_set()
            clients.append(opened.enter_context(socket.create_connection(server.server_address, 60)))
            clients[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
            server.handle_request()
        assert waited.is_set()
        assert all(client.recv(12) == b"HTTP/1.0 200" for client in clients)


def test_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "192.0.2.1", "fe80::1%eth0")))


def test_missing_extra(cloud: Cloud, program: Program) -> None:
    code = "import sys; sys.modules['prometheus_client'] = None; from maas_usage_check.cli import run; run()"
    program.command = [sys.executable, "-c", code]
    line = only_line(program.process("serve", "--config", program.cloud_config(cloud)), 2)
    assert line == "E! serve: needs the extra `serve`: pip install 'maas-usage-check[serve]'"
