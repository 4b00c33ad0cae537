"""A real Prometheus that scrapes `serve` over TLS with a client certificate, as examples/prometheus/scrape.yml says.

The test simulates twelve hours with an outage of the cloud, a kill and a reload, and compares the counters with the
simulated usage.
"""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pytest
import trustme

from maas_usage_check.emulator.loopback_server import serve_emulator

from .. import shifted_clock
from ..commands.exporter import Exporter, running_exporter
from ..conftest import NOW, Cloud, Program, wait_for
from .demo_account import AK, REGION, SK
from .expected_hours import COUNTS, HOUR, HourlyUsage, ServiceCounts, SignatureTimeEmulator, Usage
from .programs import PROMETHEUS, ROOT, environ, find, free_port, get, prometheus, replaced, rows, wait

pytestmark = pytest.mark.timeout(180)
EXAMPLE = (ROOT / "examples" / "prometheus" / "scrape.yml").read_text(encoding="utf-8")
CONFIG = """\
instances:
  - endpoint: {url}
    iam_endpoint: {url}
    state_dir: {folder}/state
    hourly: true
    backfill_days: 0
    ranges: [last_1d]
    service_types: [preset, custom_endpoint]
    max_requests_per_minute: 86400
    min_collection_interval: 0.5
"""
BEGAN = int(NOW * 1000) + HOUR // 6
STEP, STEPS = HOUR // 2, 24
DOWN, KILLED, RELOADED = range(6, 9), 12, 17
SERVICES = {"preset": 2, "custom_endpoint": 4}
TOKENS = "huawei_maas_consumed_tokens_total"


class Days:
    """Simulated time, the exporter, its expected counts, and the Prometheus at `store` that scrapes it."""

    store = ""

    def __init__(self, folder: Path, cloud: SignatureTimeEmulator, options: List[str], context: ssl.SSLContext) -> None:
        self.folder, self.cloud, self.options, self.context = folder, cloud, options, context
        self.address = f"127.0.0.1:{free_port()}"
        self.truth = {name: ServiceCounts(cloud.usage, BEGAN, service_type=number) for name, number in SERVICES.items()}
        self.counts_per_step: List[Dict[str, Usage]] = []
        """Expected counts at each step."""
        self.shift(0)
        self.exporter = self.start()

    def shift(self, step: int) -> int:
        at = BEGAN + step * STEP
        shifted_clock.write_shift(str(self.folder / "shift"), at / 1000 - time.time())
        return at

    def command(self, *arguments: str) -> Dict[str, Any]:
        """Return the arguments for subprocess that run the program on simulated time."""
        program = [sys.executable, shifted_clock.__file__, str(self.folder / "shift"), *arguments]
        keys = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "PYTHONPATH": str(ROOT)}
        config = ["--config", str(self.folder / "conf.yaml")]
        return {"args": [*program, *config], "env": environ(self.folder, **keys), "cwd": self.folder}

    def start(self) -> Exporter:
        command = self.command("serve", "--listen", self.address, *self.options)
        return Exporter(subprocess.Popen(**command, stderr=subprocess.PIPE), self.context)

    def run_step(self, step: int) -> None:
        at = self.shift(step)
        self.cloud.is_down = step in DOWN
        if step == KILLED:
            self.exporter.stop(signal.SIGKILL)
            self.exporter = self.start()
        if step == RELOADED:
            self.exporter.process.send_signal(signal.SIGHUP)
        if not self.cloud.is_down:
            for truth in self.truth.values():
                truth.update(at)
        self.counts_per_step.append({service: truth.maximum for service, truth in self.truth.items()})
        up = {REGION: float(not self.cloud.is_down)}
        wait_for(
            lambda: (
                self.exporter.samples("huawei_maas_api_up") == up
                and counts_in(self.exporter.get().text) == self.counts_per_step[-1]
            ),
            f"the counts of step {step}",
        )

    def rows(self, query: str, at: Optional[float] = None) -> List[Dict[str, Any]]:
        return rows(self.store, query, at)

    def scraped(self, metric: str, service: str) -> List[Tuple[float, int]]:
        """Return the time and value of each sample of a counter."""
        (row,) = self.rows(f'{metric}{{service_type="{service}"}}[1h]')
        return [(float(at), int(value)) for at, value in row["values"]]


def counts_in(text: str) -> Dict[str, Usage]:
    lines = [re.findall(rf'^huawei_maas_consumed_{count}_total.*="(\w+)"}} (.+)$', text, re.M) for count in COUNTS]
    return {
        service: tuple(int(float(dict(found)[service])) for found in lines if service in dict(found))
        for service in SERVICES
    }


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    find("prometheus", PROMETHEUS)  # skip before the slow part
    folder = tmp_path_factory.mktemp("serve")
    ca, cloud = trustme.CA(), SignatureTimeEmulator(HourlyUsage())
    cloud.requests_per_minute = 1_000_000  # a simulated half hour takes a second
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, host in (("server", "127.0.0.1"), ("client", "prometheus.example.org")):
        issued = ca.issue_cert(host)
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
    options = ["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "ca.pem"]
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(str(folder / "client.pem"), str(folder / "client.key"))
    with serve_emulator(cloud) as url:
        (folder / "conf.yaml").write_text(CONFIG.format(url=url, folder=folder))
        days = Days(folder, cloud, options, context)
        places = {
            "127.0.0.1:16227": days.address,
            "60s": "200ms",
            "/etc/prometheus/maas-usage-check-ca.pem": "ca.pem",
            "/etc/prometheus/maas-usage-check-client": "client",
        }
        with_tls = re.sub(r"^    # (?=scheme|tls_config|  \w+_file)", "    ", EXAMPLE, flags=re.MULTILINE)
        try:
            with prometheus(folder, replaced(with_tls, places)) as days.store:
                wait(lambda: days.rows(TOKENS), "the first scrape")
                for step in range(STEPS):
                    days.run_step(step)
                last = days.counts_per_step[-1]["preset"][0]
                wait(lambda: days.scraped(TOKENS, "preset")[-1][1] == last, "the last")
                yield days
        finally:
            days.exporter.process.kill()
            days.exporter.process.wait(10)


def test_increase(days: Days) -> None:
    """`increase` equals the growth of the usage over an outage, a kill and a reload."""
    for i, count in enumerate(COUNTS):
        metric = f"huawei_maas_consumed_{count}_total"
        for service in SERVICES:
            (first, _), *_, (last, _) = days.scraped(metric, service)
            # A window from sample to sample is not stretched.
            query = f'increase({metric}{{service_type="{service}"}}[{round((last - first) * 1000)}ms])'
            (row,) = days.rows(query, last)
            assert float(row["value"][1]) == days.truth[service].reported(BEGAN + (STEPS - 1) * STEP)[i]
    assert days.truth["preset"].maximum[0] > 0


def test_samples(days: Days) -> None:
    """Every sample is the count of some step, and none falls."""
    for service in SERVICES:
        values = [value for _, value in days.scraped(TOKENS, service)]
        assert values == sorted(values)
        assert set(values) <= {known[service][0] for known in days.counts_per_step}
    assert len({value for _, value in days.scraped(TOKENS, "preset")}) > 5
    # The kill started no second series.
    labels = [row["metric"] for row in days.rows(f"count_over_time({TOKENS}[1h])")]
    assert sorted((row["job"], row["instance"], row["service_type"]) for row in labels) == [
        ("maas-usage-check", days.address, service) for service in sorted(SERVICES)
    ]


def test_types_and_help(days: Days) -> None:
    """Prometheus reads types and help from the catalogue."""
    metadata = get(f"{days.store}/api/v1/metadata")["data"]
    # OpenMetrics names a counter without its ending.
    ((counter,), (gauge,)) = metadata["huawei_maas_consumed_tokens"], metadata["huawei_maas_api_up"]
    assert (counter["type"], gauge["type"]) == ("counter", "gauge")
    assert counter["help"].startswith("Tokens used since the hour")
    assert all(row["value"][1] == "1" for row in days.rows("up"))


def test_textfile(days: Days) -> None:
    """`collect` continues the exporter's counters."""
    command = days.command("collect", "--format", "prometheus")
    done = subprocess.run(**command, capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    assert counts_in(done.stdout) == days.counts_per_step[-1]


def test_log(days: Days) -> None:
    """The restarted exporter logs the reload, and no problem."""
    assert os.path.exists(days.folder / "state")
    assert days.exporter.problems == []
    assert "I! configuration reloaded" in days.exporter.log


@pytest.mark.usefixtures("real_time")
def test_alerts(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    """The shipped alert rules work with the exporter's metrics."""

    def alerts() -> Dict[str, Dict[str, str]]:
        return {row["metric"]["alertname"]: row["metric"] for row in rows(address, "ALERTS")}

    with running_exporter(program, program.cloud_config(cloud, "min_collection_interval: 0.5")) as exporter:
        target = exporter.url.partition("//")[2]
        rules = f"rule_files: [{ROOT}/examples/prometheus/alerts.yml]"
        scrape = replaced(EXAMPLE, {"127.0.0.1:16227": target, "60s": "200ms"})
        with prometheus(tmp_path, f"global: {{evaluation_interval: 500ms}}\n{rules}\n{scrape}") as address:
            wait(lambda: rows(address, "huawei_maas_api_up == 1"), "the first scrape")
            wait(lambda: "MaasCollectionMissing" not in alerts(), "the first evaluation after it")
            assert alerts() == {}
            cloud.emulator.secret_keys.clear()
            raised = wait(lambda: alerts().get("MaasCredentialsRefused"), "the alert")
    assert (raised["job"], raised["instance"], raised["region"]) == ("maas-usage-check", target, REGION)
