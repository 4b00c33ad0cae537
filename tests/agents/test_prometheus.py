"""A real Prometheus and node_exporter, fed by the plugin through the textfile collector."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.emulator.traffic import HOUR

from ..fixed_clock import MONDAY
from .collect_runner import CollectRunner
from .expected_hours import HourlyUsage, SignatureTimeEmulator, expected_hour, sum_usage
from .programs import PROMETHEUS, ROOT, find, listening, listens, prometheus, rows, run, wait

EXAMPLES = ROOT / "examples" / "prometheus"
NOW = int(MONDAY * 1000)
SERVICES = {"my_service": 1, "preset": 2, "custom_endpoint": 4}
ENTRY = {"timezone": "Asia/Shanghai", "service_types": list(SERVICES)}
# Three overlapping instances of one project: all calls; a part again, by API key; and one API key. Their series differ
# only by a user's tag, and nothing may count twice.
ENTRIES: List[Dict[str, Any]] = [
    {**ENTRY, "ranges": ["last_7d", "last_14d"]},
    {**ENTRY, "ranges": ["last_7d"], "per_api_key": True, "api_keys": ["team-search", ""], "tags": ["view:by_key"]},
    {**ENTRY, "ranges": ["last_14d"], "api_keys": ["team-search"], "tags": ["team:search"]},
]


class Store(CollectRunner):
    """A Prometheus with the account's metrics."""

    prometheus = ""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "textfile" / "maas-usage.prom"
        self.file.parent.mkdir()
        self.usage = HourlyUsage()
        super().__init__(folder, SignatureTimeEmulator(self.usage), "prometheus", *ENTRIES)

    def feed(self, at: int = NOW, **keys: str) -> List[str]:
        """Run a cycle; return its exit code and log, without the warning that instances overlap."""
        done = self.collect(at, "--output", str(self.file), **keys)
        *others, shared = done.stderr.splitlines()
        assert shared.startswith("W! instances[1]: queries the same calls as instances[0]")
        return [f"exit code {done.returncode}", *others]

    def query(self, expression: str) -> List[Dict[str, str]]:
        return [{**row["metric"], "value": row["value"][1]} for row in rows(self.prometheus, expression)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    exporter = find("prometheus-node-exporter", "Debian package prometheus-node-exporter")
    store = Store(tmp_path_factory.mktemp("prometheus"))
    folder = f"--collector.textfile.directory={store.file.parent}"
    options = ["--collector.disable-defaults", "--collector.textfile", folder]
    assert store.feed() == ["exit code 0"]

    def node(port: int) -> List[str]:
        return [exporter, *options, f"--web.listen-address=127.0.0.1:{port}"]

    with listening(node, store.folder, listens) as url:
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(EXAMPLES / "alerts.yml")],
            "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [url.partition("//")[2]]}]}],
        }
        with prometheus(store.folder, json.dumps(config)) as store.prometheus:
            wait(lambda: store.query("huawei_maas_api_up"), "the first scrape")
            yield store


def test_query_of_docs(store: Store) -> None:
    """The query of docs/prometheus-textfile.md returns the simulated usage."""
    page = (ROOT / "docs" / "prometheus-textfile.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"```promql\n(.+?)```", page, re.DOTALL)
    now = NOW // HOUR * HOUR
    assert {row["service_type"]: float(row["value"]) for row in store.query(query)} == {
        name: sum_usage(
            *(expected_hour(SimulatedUsage(), at, now, number) for at in range(now - 7 * 24 * HOUR + HOUR, now, HOUR))
        )[0]
        for name, number in SERVICES.items()
    }


def test_node_exporter(store: Store) -> None:
    """node_exporter reads both files."""
    assert [row["value"] for row in store.query("node_textfile_scrape_error")] == ["0"]
    files = {Path(row["file"]).name for row in store.query("node_textfile_mtime_seconds")}
    assert files == {"maas-usage.prom", "maas-usage.api.prom"}


def test_failures(store: Store) -> None:
    """A partial failure and a refused key raise their alerts, and the usage stays."""
    store.usage.refused_service_type = SERVICES["preset"]
    code, warning, *_ = store.feed(NOW + 2 * HOUR)
    assert (code, warning[:3]) == ("exit code 0", "W! ")
    wait(lambda: store.query("huawei_maas_api_result_code == 1"), "the partial result")
    assert wait(lambda: store.query('ALERTS{alertname="MaasCollectionPartial",alertstate="pending"}'), "the alert")
    assert store.feed(NOW + 3 * HOUR, sk="not-the-secret-key")[0] == "exit code 1"
    wait(lambda: {row["value"] for row in store.query("huawei_maas_api_up")} == {"0"}, "the failure")
    usage = store.query('huawei_maas_usage_total_tokens{range="last_7d"}')
    assert sorted(row["service_type"] for row in usage) == ["custom_endpoint"] * 2 + ["my_service"] * 2
    # The code of the refused instance, and of the others, which wait because of it.
    assert {row["value"] for row in store.query("huawei_maas_api_result_code")} == {"3"}
    raised = wait(lambda: store.query('ALERTS{alertname="MaasCredentialsRefused"}'), "the alert")
    assert {row["alertstate"] for row in raised} <= {"pending", "firing"}


@pytest.mark.parametrize("command", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_alert_rules(command: List[str], tmp_path: Path) -> None:
    """promtool accepts the alert rules and their tests pass."""
    shutil.copytree(EXAMPLES, tmp_path / "rules")
    checked = run([find("promtool", PROMETHEUS), *command], tmp_path / "rules")
    assert checked.returncode == 0, checked.stdout + checked.stderr
