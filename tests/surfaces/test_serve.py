"""The exporter as Prometheus, Kubernetes and systemd see it: a process of its own, scraped over real HTTP."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
import trustme
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from werkzeug import Request, Response

from maas_usage_check import __version__
from maas_usage_check.surfaces.serve.command import is_open

from ..conftest import Cloud, Program, wait_for
from .exporter import Exporter, exporting

OFTEN = "min_collection_interval: 0.2"
TOTAL = "huawei_maas_usage_total_tokens"
UP = "huawei_maas_api_up"
COUNTER = "huawei_maas_consumed_tokens_total"


@pytest.fixture
def exporter(cloud: Cloud, program: Program) -> Iterator[Exporter]:
    with exporting(program, program.for_cloud(cloud, "hourly: true\nbackfill_days: 0")) as exporter:
        exporter.until_ready()
        yield exporter


def described(text: str) -> Dict[str, Any]:
    return {
        family.name: (family.type, family.documentation, {sample.name for sample in family.samples})
        for family in text_string_to_metric_families(text)
    }


def test_it_serves_the_metrics_that_the_textfile_holds_under_the_same_names(
    cloud: Cloud, program: Program, exporter: Exporter
) -> None:
    config = program.for_cloud(cloud, "hourly: true\nbackfill_days: 0")
    done = program("collect", "--config", config, "--format", "prometheus")
    assert described(exporter.get().text) == described(done.stdout)
    assert f"{COUNTER}{{" in done.stdout
    for before in text_string_to_metric_families(done.stdout):
        if before.name == TOTAL:
            assert exporter.samples(TOTAL) == {sample.labels["range"]: sample.value for sample in before.samples}


def test_it_is_not_ready_before_the_first_cycle_has_ended_but_answers_and_lives(cloud: Cloud, program: Program) -> None:
    release = cloud.hold()
    with exporting(program, program.for_cloud(cloud)) as exporter:
        wait_for(lambda: cloud.seen, "the first cycle, which starts at once")
        assert exporter.get("/-/ready").status == 503
        assert exporter.get("/-/healthy").status == 200
        assert (exporter.get().status, exporter.get().body) == (200, b"")
        release.set()
        exporter.until_ready()
        assert exporter.samples(UP) == {"cn-southwest-2": 1}


def test_no_scrape_asks_the_cloud(cloud: Cloud, exporter: Exporter) -> None:
    before = len(cloud.seen)
    for _ in range(30):
        assert exporter.get().status == 200
    assert len(cloud.seen) == before


def test_it_collects_every_interval_each_instance_at_its_own(cloud: Cloud, program: Program) -> None:
    instances = "".join(
        f"  - {{endpoint: '{cloud.url}', project_id: {'d3m0' * 8}, ranges: [last_{days}d], tags: ['n:{days}'], {interval}}}\n"  # noqa: E501
        for days, interval in ((1, OFTEN), (2, "min_collection_interval: 3600"))
    )

    def asked() -> List[int]:
        return [(each["end_time"] - each["start_time"]) // 86_400_000 for each in cloud.statistics()]

    with exporting(program, program.config(f"instances:\n{instances}")) as exporter:
        wait_for(lambda: asked().count(1) >= 5, "five rounds of the one")
        assert asked().count(2) == 1
        assert set(exporter.samples(TOTAL)) == {"last_1d", "last_2d"}, "those of the other are still served"


def test_what_the_last_cycle_did_not_get_is_not_served_but_counters_are(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, f"hourly: true\nbackfill_days: 0\n{OFTEN}")
    with exporting(program, config) as exporter:
        wait_for(lambda: len(exporter.samples(TOTAL)) == 3 and exporter.samples(COUNTER), "the whole")
        cloud.always = lambda request: Response(b'{"error_msg": "no"}', 400)
        wait_for(lambda: exporter.samples(UP) == {"cn-southwest-2": 0}, "the failure")
        assert exporter.samples(TOTAL) == {}
        assert exporter.samples(COUNTER)
        assert exporter.samples("huawei_maas_api_last_success_timestamp_seconds")["cn-southwest-2"] > 0
        assert exporter.get("/-/healthy").status == exporter.get("/-/ready").status == 200
        cloud.always = None
        wait_for(lambda: len(exporter.samples(TOTAL)) == 3, "the recovery")
        assert exporter.ended() == 0
    levels = [line[:2] for line in exporter.troubles]
    # The cycle in which the cloud changed its mind may be partial, at either end.
    assert [level for level in levels if level != "W!"] == ["E!", "I!"], exporter.said
    assert levels[-1] == "I!", exporter.said


def test_the_trouble_of_an_instance_is_not_over_because_another_had_its_turn(cloud: Cloud, program: Program) -> None:
    def refuse(request: Request) -> Any:
        asked = json.loads(request.get_data())
        return Response(b'{"error_msg": "no"}', 400) if asked["service_type"] == 1 else None

    cloud.always = refuse
    instances = "".join(
        f"  - {{endpoint: '{cloud.url}', project_id: {'d3m0' * 8}, service_types: [{kind}], {interval}}}\n"
        for kind, interval in (("preset", OFTEN), ("my_service", "min_collection_interval: 3600, tags: ['a:b']"))
    )
    with exporting(program, program.config(f"instances:\n{instances}")) as exporter:
        wait_for(lambda: len(cloud.statistics()) > 18, "some rounds")
        assert exporter.ended() == 0
    assert [line[:2] for line in exporter.troubles] == ["E!"], exporter.said


def test_open_metrics_and_compression_are_given_to_those_who_take_them(exporter: Exporter) -> None:
    plain = exporter.get()
    assert plain.headers["Content-Type"].startswith("text/plain; version=")
    taken = exporter.get(Accept="application/openmetrics-text; version=1.0.0")
    assert taken.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    (counter,) = [each for each in open_metrics(taken.text) if each.name == COUNTER[: -len("_total")]]
    assert counter.type == "counter"
    packed = exporter.get(Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 5


def test_the_front_page_leads_to_the_others_and_everything_else_is_refused(exporter: Exporter) -> None:
    front = exporter.get("/")
    assert __version__ in front.text
    assert set(re.findall('href="(.+?)"', front.text)) == {"/metrics", "/-/ready", "/-/healthy"}
    for path in re.findall('href="(.+?)"', front.text):
        assert exporter.get(path).status == exporter.get(path, "HEAD").status == 200
    assert exporter.get("/metrics/").status == 404
    assert exporter.get("/metrics", "POST").status == exporter.get("/", "DELETE").status == 405


def test_no_request_and_no_client_that_speaks_no_http_leaves_a_line(exporter: Exporter) -> None:
    exporter.get("/secret?token=one")
    host, _, port = exporter.url.partition("//")[2].partition(":")
    for words in (b"", b"\x16\x03\x01 nonsense\r\n\r\n", b"GET /metrics HTTP/1.1\r\n", b"GET " + b"a" * 70_000):
        with socket.create_connection((host, int(port)), 10) as client:
            client.sendall(words)
    assert exporter.get().status == 200
    assert exporter.ended() == 0
    assert not [line for line in exporter.said if not line.startswith(("I! serving", "I! cn-southwest-2: "))]


def test_sigterm_cuts_the_running_cycle_and_is_no_failure(cloud: Cloud, program: Program) -> None:
    cloud.hold()
    with exporting(program, program.for_cloud(cloud)) as exporter:
        wait_for(lambda: cloud.seen, "the cycle")
        began = time.monotonic()
        assert exporter.ended() == 0
        assert time.monotonic() - began < 5
    assert len(exporter.said) == 1, exporter.said


def test_sigterm_while_nothing_runs_ends_it_with_0(exporter: Exporter) -> None:
    assert exporter.ended() == 0


def test_sighup_reads_the_configuration_again_and_a_wrong_one_changes_nothing(
    cloud: Cloud, program: Program, exporter: Exporter
) -> None:
    before = exporter.samples(COUNTER)
    config = program.for_cloud(cloud, "ranges: [last_0d]")
    exporter.process.send_signal(signal.SIGHUP)
    wait_for(lambda: exporter.troubles, "the complaint")
    (said,) = exporter.troubles
    assert said.startswith(f"E! {config}: instances[0].ranges[0]: ")
    assert said.endswith("; what was read before stays in use")
    assert set(exporter.samples(TOTAL)) == {"last_7d", "last_14d", "last_30d"}
    program.for_cloud(cloud, "hourly: true\nbackfill_days: 0\nranges: [last_3d]")
    exporter.process.send_signal(signal.SIGHUP)
    wait_for(lambda: set(exporter.samples(TOTAL)) == {"last_3d"}, "the new range")
    assert exporter.samples(COUNTER) == before != {}
    assert exporter.get("/-/ready").status == 200
    assert exporter.ended() == 0
    assert not list(program.folder.rglob("*-wal")), "the state that is in use last is closed too"


def test_the_numbers_of_before_are_served_until_the_new_configuration_has_its_own(
    cloud: Cloud, program: Program, exporter: Exporter
) -> None:
    release, asked = cloud.hold(), len(cloud.seen)
    program.for_cloud(cloud, "ranges: [last_3d]")
    exporter.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(cloud.seen) > asked, "the first cycle of the new one")
    assert set(exporter.samples(TOTAL)) == {"last_7d", "last_14d", "last_30d"}
    release.set()
    wait_for(lambda: set(exporter.samples(TOTAL)) == {"last_3d"}, "the new range")


class Authority:
    """A throw-away CA, whose certificates lie in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str = "127.0.0.1") -> Dict[str, str]:
        issued = self.ca.issue_cert(name)
        cert, key = str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")
        Path(cert).write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return {"certfile": cert, "keyfile": key}

    def client(self, known: bool = True) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.file)
        if known:
            context.load_cert_chain(**self.issue("client.example.org"))
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def tls(files: Dict[str, str]) -> List[str]:
    return ["--tls-cert", files["certfile"], "--tls-key", files["keyfile"]]


def test_over_tls_only_clients_with_a_certificate_of_the_named_authority_are_answered(
    cloud: Cloud, program: Program, authority: Authority
) -> None:
    options = [*tls(authority.issue()), "--tls-client-ca", authority.file]
    with exporting(program, program.for_cloud(cloud), *options, context=authority.client()) as exporter:
        assert exporter.url.startswith("https://127.0.0.1:")
        exporter.until_ready()
        assert exporter.samples(UP) == {"cn-southwest-2": 1}
        exporter.context = authority.client(known=False)
        with pytest.raises(OSError, match=r"(?i)certificate required|reset|EOF|closed|broken pipe"):
            exporter.get()
        host, _, port = exporter.url.partition("//")[2].partition(":")
        with socket.create_connection((host, int(port)), 10) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert b"huawei" not in client.recv(4096)
        assert exporter.ended() == 0
    assert len(exporter.said) == 1, exporter.said


def test_a_client_that_is_silent_does_not_hold_up_the_others_handshakes(
    cloud: Cloud, program: Program, authority: Authority
) -> None:
    with exporting(
        program, program.for_cloud(cloud), *tls(authority.issue()), context=authority.client(known=False)
    ) as exporter:
        host, _, port = exporter.url.partition("//")[2].partition(":")
        silent = [socket.create_connection((host, int(port)), 10) for _ in range(8)]
        began = time.monotonic()
        exporter.until_ready()
        assert time.monotonic() - began < 8
        for client in silent:
            client.close()


def test_sighup_reads_the_certificate_again_too(cloud: Cloud, program: Program, authority: Authority) -> None:
    context = authority.client(known=False)
    with exporting(program, program.for_cloud(cloud), *tls(authority.issue()), context=context) as exporter:
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
        (["--listen", "192.0.2.1:16227"], "--listen: nothing can listen at 192.0.2.1:16227 (Cannot assign"),
        (["--listen", "a..b:1"], "--listen: nothing can listen at a..b:1 ("),
        (["--tls-cert", "c.pem"], "--tls-cert: means nothing without both --tls-cert and --tls-key"),
        (["--tls-key", "k.pem"], "--tls-key: means nothing without both --tls-cert and --tls-key"),
        (["--tls-client-ca", "ca.pem"], "--tls-client-ca: means nothing without both"),
        (["--tls-cert", "no", "--tls-key", "no"], "--tls-cert: no cannot be read (No such file or directory)"),
        (["--tls-cert", "{conf}", "--tls-key", "{conf}"], "--tls-cert, --tls-key: {conf} and {conf} are no cert"),
        (["--listen-to", "x"], "--listen-to: not known to `serve`"),
    ],
)
def test_a_wrong_argument_is_named_as_it_was_typed(
    cloud: Cloud, program: Program, options: List[str], words: str
) -> None:
    config = program.for_cloud(cloud)
    done = program("serve", "--config", config, *(option.format(conf=config) for option in options))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"E! {words.format(conf=config)}")
    assert len(done.stderr.splitlines()) == 1


def test_a_certificate_that_is_none_of_a_client_authority_is_named(
    cloud: Cloud, program: Program, authority: Authority
) -> None:
    files, config = authority.issue(), program.for_cloud(cloud)
    done = program("serve", "--config", config, *tls(files), "--tls-client-ca", files["keyfile"])
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith(f"E! --tls-client-ca: {files['keyfile']} holds no certificate as PEM")


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(cloud: Cloud, program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = program("serve", "--config", program.for_cloud(cloud), "--listen", address)
    remedy = "(Address already in use); name a free port of this host"
    assert (done.returncode, done.stderr) == (2, f"E! --listen: nothing can listen at {address} {remedy}\n")
    assert cloud.seen == []


def test_a_wrong_configuration_is_exit_code_2_before_anything_listens(program: Program) -> None:
    done = program("serve", "--config", program.config("instances: []"))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_it_listens_at_addresses_of_ipv6_too(cloud: Cloud, program: Program) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    with exporting(program, program.for_cloud(cloud), "--listen", "[::1]:0") as exporter:
        assert re.match(r"http://\[::1\]:\d+$", exporter.url)
        exporter.until_ready()


def test_addresses_that_other_hosts_may_reach_are_told_from_loopback() -> None:
    assert [address for address in ("127.0.0.1", "127.9.9.9", "::1") if is_open(address)] == []
    assert all(map(is_open, ("0.0.0.0", "::", "10.0.0.1", "192.0.2.1", "fe80::1%eth0")))


def test_without_its_extra_one_line_names_it(cloud: Cloud, program: Program) -> None:
    code = "import sys; sys.modules['prometheus_client'] = None; from maas_usage_check.cli import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "--config", program.for_cloud(cloud)],
        capture_output=True, encoding="utf-8", timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "E! serve: needs the extra `serve`: pip install 'maas-usage-check[serve]'\n"
