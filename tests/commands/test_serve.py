"""The exporter as Prometheus, Kubernetes and systemd see it: its rounds and pages here, its HTTP as a process."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import ssl
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families
from werkzeug import Request, Response
from werkzeug.test import Client

from maas_usage_check import __version__
from maas_usage_check.commands.serve.application import make_application
from maas_usage_check.commands.serve.command import is_open
from maas_usage_check.commands.serve.server import AT_ONCE, Server
from maas_usage_check.commands.serve.snapshot import Latest
from maas_usage_check.emulator.emulator import PROJECT_ID

from ..conftest import Cloud, FixedClock, Program, wait_for
from ..program import only_line
from .exporter import Exporter, exporting, samples

TOTAL = "huawei_maas_usage_total_tokens"
UP = "huawei_maas_api_up"
COUNTER = "huawei_maas_consumed_tokens_total"
HOURLY = "hourly: true\nbackfill_days: 0\n"


class Serving:
    """`serve` in this process, but for its server: after each round it does the next step, and ends after the last."""

    def __init__(self, program: Program, clock: FixedClock) -> None:
        self.program = program
        self.clock = clock

    def step(self, latest: Latest) -> None:
        self.client = Client(make_application(latest))
        if self.steps:
            self.steps.pop(0)()
            self.clock.sleep(300)
        else:
            signal.raise_signal(signal.SIGTERM)

    def run(self, config: str, *steps: Callable[[], Any]) -> None:
        """Collect once, and once more, 5 minutes later, after each step."""
        self.steps = list(steps)
        done = self.program("serve", "--config", config, "--listen", "127.0.0.1:0")
        assert done.returncode == 0
        self.said = done.stderr.splitlines()[1:]

    def get(self, path: str = "/metrics") -> Any:
        return self.client.get(path)

    def samples(self, name: str) -> Dict[str, float]:
        return samples(self.get().text, name)


@pytest.fixture
def serving(program: Program, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    serving, put, handler = Serving(program, clock), Latest.put, signal.getsignal(signal.SIGHUP)
    monkeypatch.setattr(Latest, "put", lambda latest, points: [put(latest, points), serving.step(latest)])
    monkeypatch.setattr(Server, "start", Server.server_close)
    yield serving
    signal.signal(signal.SIGHUP, handler)


@pytest.fixture
def exporter(cloud: Cloud, program: Program) -> Iterator[Exporter]:
    with exporting(program, program.cloud_config(cloud, HOURLY)) as exporter:
        exporter.until_ready()
        yield exporter


def described(text: str) -> Dict[str, Any]:
    return {
        family.name: (family.type, family.documentation, {sample.name for sample in family.samples})
        for family in text_string_to_metric_families(text)
    }


def refused(request: Request) -> Response:
    return Response(b'{"error_msg": "no"}', 400)


def test_same_metrics_as_the_textfile(cloud: Cloud, program: Program, serving: Serving) -> None:
    config = program.cloud_config(cloud, HOURLY)
    serving.run(config)
    done = program("collect", "--config", config, "--format", "prometheus")
    assert serving.get().headers["Content-Type"].startswith("text/plain; version=")
    assert described(serving.get().text) == described(done.stdout)
    assert serving.samples(TOTAL) == samples(done.stdout, TOTAL) != {}
    assert serving.samples(COUNTER) == samples(done.stdout, COUNTER) != {}


def test_it_collects_every_interval_each_instance_at_its_own(cloud: Cloud, program: Program, serving: Serving) -> None:
    entry = f"endpoint: '{cloud.url}', project_id: {PROJECT_ID}"
    instances = "".join(
        f"  - {{{entry}, ranges: [last_{days}d], tags: ['n:{days}'], min_collection_interval: {interval}}}\n"
        for days, interval in ((1, 300), (2, 3600))
    )
    serving.run(program.config(f"instances:\n{instances}"), *[lambda: None] * 12)
    asked = [(each["end_time"] - each["start_time"]) // 86_400_000 for each in cloud.statistics()]
    assert (asked.count(1), asked.count(2)) == (13, 2)
    assert set(serving.samples(TOTAL)) == {"last_1d", "last_2d"}, "those of the other are still served"


def test_failed_cycle_leaves_the_counters(cloud: Cloud, program: Program, serving: Serving) -> None:
    def fail() -> None:
        assert len(serving.samples(TOTAL)) == 3
        assert serving.samples(COUNTER)
        cloud.responder = refused

    def recover() -> None:
        assert serving.samples(UP) == {"cn-southwest-2": 0}
        assert serving.samples(TOTAL) == {}
        assert serving.samples(COUNTER)
        assert serving.samples("huawei_maas_api_last_success_timestamp_seconds")["cn-southwest-2"] > 0
        assert serving.get("/-/healthy").status_code == serving.get("/-/ready").status_code == 200
        cloud.responder = None

    serving.run(program.cloud_config(cloud, HOURLY), fail, recover)
    assert len(serving.samples(TOTAL)) == 3
    assert [line[:2] for line in serving.said] == ["I!", "E!", "I!"]
    assert serving.said[-1].endswith(": recovered")


def test_problem_lasts_while_others_collect(cloud: Cloud, program: Program, serving: Serving) -> None:
    cloud.responder = lambda request: refused(request) if request.get_json()["service_type"] == 1 else None
    instances = "".join(
        f"  - {{endpoint: '{cloud.url}', project_id: {PROJECT_ID}, service_types: [{kind}], {more}}}\n"
        for kind, more in (("preset", ""), ("my_service", "min_collection_interval: 3600, tags: ['a:b']"))
    )
    serving.run(program.config(f"instances:\n{instances}"), *[lambda: None] * 3)
    assert [line[:2] for line in serving.said] == ["E!"]


def test_pages_and_no_query_per_request(cloud: Cloud, program: Program, serving: Serving) -> None:
    serving.run(program.cloud_config(cloud))
    asked = len(cloud.requests)
    front = serving.get("/")
    assert __version__ in front.text
    paths = re.findall('href="(.+?)"', front.text)
    assert set(paths) == {"/metrics", "/-/ready", "/-/healthy"}
    for path in paths:
        head = serving.client.head(path)
        assert (serving.get(path).status_code, head.status_code, head.data) == (200, 200, b"")
    assert serving.get("/metrics/").status_code == 404
    for refused in (serving.client.post("/metrics"), serving.client.delete("/")):
        assert (refused.status_code, refused.text) == (405, "only GET and HEAD\n")
    assert len(cloud.requests) == asked


def test_no_request_and_no_client_that_speaks_no_http_leaves_a_line(exporter: Exporter) -> None:
    exporter.get("/secret?token=one")
    host, _, port = exporter.url.partition("//")[2].partition(":")
    for words in (b"", b"\x16\x03\x01 nonsense\r\n\r\n", b"GET /metrics HTTP/1.1\r\n", b"GET " + b"a" * 70_000):
        with socket.create_connection((host, int(port)), 10) as client:
            client.sendall(words)
    assert exporter.get().status == 200
    assert exporter.ended() == 0
    assert not [line for line in exporter.said if not line.startswith(("I! serving", "I! cn-southwest-2: "))]


def test_first_cycle_and_sigterm(cloud: Cloud, program: Program) -> None:
    cloud.block()
    with exporting(program, program.cloud_config(cloud)) as exporter:
        wait_for(lambda: cloud.requests, "the first cycle, which starts at once")
        assert exporter.get("/-/ready").status == 503
        assert exporter.get("/-/healthy").status == 200
        assert (exporter.get().status, exporter.get().body) == (200, b"")
        assert exporter.ended() == 0
    assert len(exporter.said) == 1, exporter.said


def test_sighup_reads_the_configuration(cloud: Cloud, program: Program, exporter: Exporter) -> None:
    """The numbers of before are served until the new configuration has its own."""
    counters, ranges = exporter.samples(COUNTER), {"last_7d", "last_14d", "last_30d"}
    config = program.cloud_config(cloud, "ranges: [last_0d]")
    exporter.process.send_signal(signal.SIGHUP)
    wait_for(lambda: exporter.troubles, "the complaint")
    (said,) = exporter.troubles
    assert said.startswith(f"E! {config}: instances[0].ranges[0]: ")
    assert said.endswith("; what was read before stays in use")
    assert set(exporter.samples(TOTAL)) == ranges
    release, asked = cloud.block(), len(cloud.requests)
    program.cloud_config(cloud, f"{HOURLY}ranges: [last_3d]")
    exporter.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(cloud.requests) > asked, "the first cycle of the new one")
    assert set(exporter.samples(TOTAL)) == ranges
    release.set()
    wait_for(lambda: set(exporter.samples(TOTAL)) == {"last_3d"}, "the new range")
    assert exporter.samples(COUNTER) == counters != {}
    assert exporter.get("/-/ready").status == 200
    assert exporter.ended() == 0
    assert not list(program.folder.rglob("*-wal")), "the state that is in use last is closed too"


class Authority:
    """A throw-away CA, whose certificates lie in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str = "127.0.0.1") -> List[str]:
        """Issue a certificate; return the options that name it and its key."""
        issued = self.ca.issue_cert(name)
        cert, key = str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")
        Path(cert).write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return ["--tls-cert", cert, "--tls-key", key]

    def client(self, known: bool = True) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.file)
        if known:
            context.load_cert_chain(*self.issue("client.example.org")[1::2])
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_tls_client_authority(cloud: Cloud, program: Program, authority: Authority) -> None:
    options = [*authority.issue(), "--tls-client-ca", authority.file]
    with exporting(program, program.cloud_config(cloud), *options, context=authority.client()) as exporter:
        assert exporter.url.startswith("https://127.0.0.1:")
        host, _, port = exporter.url.partition("//")[2].partition(":")
        silent = [socket.create_connection((host, int(port)), 10) for _ in range(8)]
        exporter.until_ready()
        for client in silent:
            client.close()
        assert exporter.samples(UP) == {"cn-southwest-2": 1}
        exporter.context = authority.client(known=False)
        with pytest.raises(OSError, match=r"(?i)certificate required|reset|EOF|closed|broken pipe"):
            exporter.get()
        with socket.create_connection((host, int(port)), 10) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert b"huawei" not in client.recv(4096)
        assert exporter.ended() == 0
    assert len(exporter.said) == 1, exporter.said


def test_sighup_reads_the_certificate_again_too(cloud: Cloud, program: Program, authority: Authority) -> None:
    context = authority.client(known=False)
    with exporting(program, program.cloud_config(cloud), *authority.issue(), context=context) as exporter:
        exporter.until_ready()
        other = Authority(authority.folder)
        exporter.context = other.client(known=False)
        with pytest.raises(OSError, match=r"(?i)verify failed"):
            exporter.get()
        other.issue()
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "I! the configuration was read again" in exporter.said, "the word")
        assert exporter.get().status == 200
        Path(authority.folder / "127.0.0.1.key").write_text("nothing")
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: exporter.troubles, "the complaint")
        assert exporter.troubles[0].startswith("E! --tls-cert, --tls-key: ")
        assert exporter.get().status == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--listen", "16227"], "--listen: must be HOST:PORT, such as 127.0.0.1:16227"),
        (["--listen", "::1"], "--listen: must be HOST:PORT, such as 127.0.0.1:16227 or [::1]:16227"),
        (["--listen", "127.0.0.1:65536"], "--listen: must be a port, 0 to 65535"),
        (
            ["--listen", "127.0.0.1:{port}"],
            "--listen: nothing can listen at 127.0.0.1:{port} (Address already in use); name a free port of this host",
        ),
        (["--listen", "a..b:1"], "--listen: nothing can listen at a..b:1 ("),
        (["--tls-cert", "c.pem"], "--tls-cert: means nothing without both --tls-cert and --tls-key"),
        (["--tls-key", "k.pem"], "--tls-key: means nothing without both --tls-cert and --tls-key"),
        (["--tls-client-ca", "ca.pem"], "--tls-client-ca: means nothing without both"),
        (["--tls-cert", "no", "--tls-key", "no"], "--tls-cert: no cannot be read (No such file or directory)"),
        (["--tls-cert", "{conf}", "--tls-key", "{conf}"], "--tls-cert, --tls-key: {conf} and {conf} are no cert"),
    ],
)
def test_wrong_arguments(cloud: Cloud, program: Program, options: List[str], words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = {"conf": program.cloud_config(cloud), "port": taken.getsockname()[1]}
        done = program("serve", "--config", given["conf"], *(option.format(**given) for option in options))
    assert only_line(done, 2).startswith(f"E! {words.format(**given)}")
    assert cloud.requests == []


def test_wrong_client_authority(cloud: Cloud, program: Program, authority: Authority) -> None:
    *options, key = authority.issue()
    done = program("serve", "--config", program.cloud_config(cloud), *options, key, "--tls-client-ca", key)
    assert only_line(done, 2).startswith(f"E! --tls-client-ca: {key} holds no certificate as PEM")


def test_it_listens_at_addresses_of_ipv6_too(cloud: Cloud, program: Program) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    with exporting(program, program.cloud_config(cloud), "--listen", "[::1]:0") as exporter:
        assert re.match(r"http://\[::1\]:\d+$", exporter.url)
        exporter.until_ready()


def test_connections_beyond_the_room_wait_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Driven by hand, the server looks for slow connections only while it waits for room; that look frees the first."""
    waited = threading.Event()

    def application(_: Dict[str, Any], start_response: Callable[[str, List[Any]], Any]) -> List[bytes]:
        assert waited.wait(60)
        start_response("200 OK", [])
        return []

    with Server("127.0.0.1", 0, application) as server, contextlib.ExitStack() as opened:
        monkeypatch.setattr(server, "service_actions", waited.set)
        clients = []
        for _ in range(AT_ONCE + 1):
            assert not waited.is_set()
            clients.append(opened.enter_context(socket.create_connection(server.server_address, 60)))
            clients[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
            server.handle_request()
        assert waited.is_set()
        assert all(client.recv(12) == b"HTTP/1.0 200" for client in clients)


def test_addresses_that_other_hosts_may_reach_are_told_from_loopback() -> None:
    assert [address for address in ("127.0.0.1", "127.9.9.9", "::1") if is_open(address)] == []
    assert all(map(is_open, ("0.0.0.0", "::", "10.0.0.1", "192.0.2.1", "fe80::1%eth0")))


def test_without_its_extra_one_line_names_it(cloud: Cloud, program: Program) -> None:
    code = "import sys; sys.modules['prometheus_client'] = None; from maas_usage_check.cli import run; run()"
    program.command = [sys.executable, "-c", code]
    line = only_line(program.process("serve", "--config", program.cloud_config(cloud)), 2)
    assert line == "E! serve: needs the extra `serve`: pip install 'maas-usage-check[serve]'"
