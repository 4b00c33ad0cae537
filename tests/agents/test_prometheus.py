"""A real Prometheus and node_exporter, fed by the plugin through the textfile collector."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from . import account as truth
from .programs import ROOT, find, free_port, get, run, running, wait

EXAMPLES = ROOT / "examples" / "prometheus"
PACKAGE = "Debian package prometheus"
SERVER = """\
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: node
    static_configs:
      - targets: [{target}]
"""


class Store:
    """A Prometheus with the account's metrics, and when they were collected."""

    def __init__(self, url: str, exporter: str, folder: Path) -> None:
        self.url = url
        self.exporter = exporter
        self.folder = folder
        self.file = folder / "textfile" / "maas-usage.prom"
        self.fed = 0.0
        self.books = truth.Books()

    def collect(self, sk: str = truth.SK) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "maas_usage_check", "collect", "--config", str(self.folder / "conf.yaml")]
        output = ["--format", "prometheus", "--output", str(self.file)]
        return run([*command, *output], self.folder, HW_ACCESS_KEY=truth.AK, HW_SECRET_KEY=sk, PYTHONPATH=str(ROOT))

    def query(self, expression: str) -> List[Dict[str, Any]]:
        found: List[Dict[str, Any]] = get(f"{self.url}/api/v1/query", query=expression)["data"]["result"]
        return found


def troubles(done: subprocess.CompletedProcess[str]) -> List[str]:
    """List what a cycle said, but for the warning that the account's instances ask about the same calls, on purpose."""
    *others, shared = done.stderr.splitlines()
    assert shared.startswith("W! instances[1]: asks about calls that instances[0] asks about too")
    return others


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    server = find("prometheus", PACKAGE)
    exporter = find("prometheus-node-exporter", "Debian package prometheus-node-exporter")
    folder = tmp_path_factory.mktemp("prometheus")
    node, port = f"127.0.0.1:{free_port()}", free_port()
    (folder / "textfile").mkdir()
    (folder / "prometheus.yml").write_text(SERVER.format(rules=EXAMPLES / "alerts.yml", target=node))
    options = ["--collector.disable-defaults", "--collector.textfile"]
    store = Store(f"http://127.0.0.1:{port}", f"http://{node}/metrics", folder)

    def feed() -> None:
        done = store.collect()
        assert (done.returncode, troubles(done)) == (0, [])

    with truth.account(folder) as store.books, running(
        [exporter, *options, f"--collector.textfile.directory={folder}/textfile", f"--web.listen-address={node}"],
        folder,
    ), running(
        [
            server,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        folder,
    ):
        store.fed = truth.within_an_hour(feed)
        wait(lambda: store.query("huawei_maas_api_up") and store.query("huawei_maas_usage_errors"), "the first scrape")
        yield store


def test_the_query_of_the_docs_adds_up_what_the_ledger_holds(store: Store) -> None:
    page = (ROOT / "docs" / "prometheus-textfile.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"```promql\n(.+?)```", page, re.DOTALL)
    shown = {row["metric"]["service_type"]: float(row["value"][1]) for row in store.query(query)}
    assert shown == truth.by_service_type("total_tokens", "last_7d", store.fed)


def test_node_exporter_takes_both_files(store: Store) -> None:
    assert [row["value"][1] for row in store.query("node_textfile_scrape_error")] == ["0"]
    files = {row["metric"]["file"] for row in store.query("node_textfile_mtime_seconds")}
    assert {Path(file).name for file in files} == {"maas-usage.prom", "maas-usage.api.prom"}


def test_promtool_finds_nothing_wrong_with_the_metrics(store: Store) -> None:
    promtool = find("promtool", PACKAGE)
    for file in (store.file, store.file.with_name("maas-usage.api.prom")):
        with open(file, "rb") as metrics:
            checked = subprocess.run([promtool, "check", "metrics"], stdin=metrics, capture_output=True, timeout=30)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_a_refused_key_leaves_the_usage_and_raises_the_alarm(store: Store) -> None:
    kept = store.folder / "kept"
    shutil.copytree(store.file.parent, kept)
    try:
        done = store.collect(sk="not-the-secret-key")
        assert done.returncode == 1
        wait(lambda: not any(float(row["value"][1]) for row in store.query("huawei_maas_api_up")), "the bad news")
        kept_tokens = store.query('huawei_maas_usage_total_tokens{range="last_7d"}')
        assert len(kept_tokens) == 9
        # 3 for the instance that asked, 5 for the others, which were therefore held back.
        assert {row["value"][1] for row in store.query("huawei_maas_api_result_code")} == {"3", "5"}
        raised = wait(lambda: store.query('ALERTS{alertname="MaasCredentialsRefused"}'), "the alert")
        assert {row["metric"]["alertstate"] for row in raised} <= {"pending", "firing"}
    finally:
        for file in kept.iterdir():
            shutil.move(str(file), str(store.file.parent / file.name))


def test_a_partial_failure_is_said(store: Store) -> None:
    kept = store.folder / "kept whole"
    shutil.copytree(store.file.parent, kept)
    try:
        store.books.unreadable = "preset"
        done = store.collect()
        assert (done.returncode, troubles(done)[0][:3]) == (0, "W! ")
        wait(lambda: store.query("huawei_maas_api_result_code == 1"), "the news")
        assert wait(lambda: store.query('ALERTS{alertname="MaasCollectionPartial",alertstate="pending"}'), "the alert")
    finally:
        store.books.unreadable = ""
        for file in kept.iterdir():
            shutil.move(str(file), str(store.file.parent / file.name))


@pytest.mark.parametrize("command", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_promtool_finds_nothing_wrong_with_the_alert_rules(command: List[str], tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "rules")
    checked = run([find("promtool", PACKAGE), *command], tmp_path / "rules")
    assert checked.returncode == 0, checked.stdout + checked.stderr
