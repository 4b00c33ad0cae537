"""A real Prometheus and node_exporter, fed by the plugin through the textfile collector."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from maas_usage_check.standin.ledger import HOUR, Ledger

from ..fixed_clock import MONDAY
from .collecting import Collecting
from .hours import SentCloud, added, use
from .months import Books
from .programs import PROMETHEUS, ROOT, find, listening, listens, prometheus, replaced, rows, run, wait

EXAMPLES = ROOT / "examples" / "prometheus"
NOW = int(MONDAY * 1000)
SERVICES = {"my_service": 1, "preset": 2, "custom_endpoint": 4}
# Three instances of one project that overlap: all of it; a part of that again, with its keys; and one key alone. Only a
# tag of the user's tells their series apart, and yet nothing may count twice.
CONFIG = """\
instances:
  - &all
    endpoint: {url}
    iam_endpoint: {url}
    state_dir: {folder}/state
    timezone: Asia/Shanghai
    ranges: [last_7d, last_14d]
    service_types: [my_service, preset, custom_endpoint]
  - <<: *all
    ranges: [last_7d]
    per_api_key: true
    api_keys: [team-search, ""]
    tags: ["view:by_key"]
  - <<: *all
    ranges: [last_14d]
    api_keys: [team-search]
    tags: ["team:search"]
"""
SERVER = """\
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [RULES]
scrape_configs:
  - job_name: node
    static_configs:
      - targets: [TARGET]
"""


class Store(Collecting):
    """A Prometheus with the account's metrics."""

    def __init__(self, folder: Path) -> None:
        self.textfiles = folder / "textfile"
        self.textfiles.mkdir()
        self.file = self.textfiles / "maas-usage.prom"
        self.books = Books()
        self.prometheus = ""
        super().__init__(folder, SentCloud(self.books), CONFIG, "prometheus")

    def feed(self, at: int = NOW, **keys: str) -> List[str]:
        """Run a cycle; list what it said, but for the warning that instances ask about the same calls on purpose."""
        done = self.collect(at, "--output", str(self.file), **keys)
        *others, shared = done.stderr.splitlines()
        assert shared.startswith("W! instances[1]: asks about calls that instances[0] asks about too")
        return [f"exit code {done.returncode}", *others]

    def query(self, expression: str) -> List[Dict[str, str]]:
        return [{**row["metric"], "value": row["value"][1]} for row in rows(self.prometheus, expression)]

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Put the files back as they were."""
        shutil.copytree(self.textfiles, self.folder / "kept")
        yield
        self.books.unreadable = 0
        for file in (self.folder / "kept").iterdir():
            shutil.move(str(file), str(self.textfiles / file.name))
        (self.folder / "kept").rmdir()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    exporter = find("prometheus-node-exporter", "Debian package prometheus-node-exporter")
    store = Store(tmp_path_factory.mktemp("prometheus"))
    options = [
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={store.textfiles}",
    ]
    assert store.feed() == ["exit code 0"]

    def node(port: int) -> List[str]:
        return [exporter, *options, f"--web.listen-address=127.0.0.1:{port}"]

    with listening(node, store.folder, listens) as url:
        places = {"RULES": str(EXAMPLES / "alerts.yml"), "TARGET": url.partition("//")[2]}
        with prometheus(store.folder, replaced(SERVER, places)) as store.prometheus:
            wait(lambda: store.query("huawei_maas_api_up"), "the first scrape")
            yield store


def test_the_query_of_the_docs_adds_up_what_the_ledger_holds(store: Store) -> None:
    page = (ROOT / "docs" / "prometheus-textfile.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"```promql\n(.+?)```", page, re.DOTALL)
    now = NOW // HOUR * HOUR
    assert {row["service_type"]: float(row["value"]) for row in store.query(query)} == {
        name: added(*(use(Ledger(), at, now, number) for at in range(now - 7 * 24 * HOUR + HOUR, now, HOUR)))[0]
        for name, number in SERVICES.items()
    }


def test_node_exporter_takes_both_files(store: Store) -> None:
    assert [row["value"] for row in store.query("node_textfile_scrape_error")] == ["0"]
    files = {Path(row["file"]).name for row in store.query("node_textfile_mtime_seconds")}
    assert files == {"maas-usage.prom", "maas-usage.api.prom"}


def test_promtool_finds_nothing_wrong_with_the_metrics(store: Store) -> None:
    promtool = find("promtool", PROMETHEUS)
    for file in (store.file, store.file.with_name("maas-usage.api.prom")):
        with open(file, "rb") as metrics:
            checked = subprocess.run([promtool, "check", "metrics"], stdin=metrics, capture_output=True, timeout=30)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_a_refused_key_leaves_the_usage_and_raises_the_alarm(store: Store) -> None:
    with store.kept():
        assert store.feed(sk="not-the-secret-key")[0] == "exit code 1"
        wait(lambda: {row["value"] for row in store.query("huawei_maas_api_up")} == {"0"}, "the bad news")
        assert len(store.query('huawei_maas_usage_total_tokens{range="last_7d"}')) == 6
        # 3 for the instance that asked, 5 for the others, which were therefore held back.
        assert {row["value"] for row in store.query("huawei_maas_api_result_code")} == {"3", "5"}
        raised = wait(lambda: store.query('ALERTS{alertname="MaasCredentialsRefused"}'), "the alert")
        assert {row["alertstate"] for row in raised} <= {"pending", "firing"}


def test_a_partial_failure_is_said(store: Store) -> None:
    with store.kept():
        store.books.unreadable = SERVICES["preset"]
        code, warning, *_ = store.feed(NOW + 2 * HOUR)
        assert (code, warning[:3]) == ("exit code 0", "W! ")
        wait(lambda: store.query("huawei_maas_api_result_code == 1"), "the news")
        assert wait(lambda: store.query('ALERTS{alertname="MaasCollectionPartial",alertstate="pending"}'), "the alert")


@pytest.mark.parametrize("command", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_promtool_finds_nothing_wrong_with_the_alert_rules(command: List[str], tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "rules")
    checked = run([find("promtool", PROMETHEUS), *command], tmp_path / "rules")
    assert checked.returncode == 0, checked.stdout + checked.stderr
