"""A real InfluxDB 1.6, fed with what the plugin prints: by hand, and by a real Telegraf that runs the plugin."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from maas_usage_check.metrics import CATALOGUE, CONSUMED, KEY_CONSUMED, MODEL

from . import account as truth
from .account import A_PART, EVERYTHING, Choice
from .dashboards import INFLUXDB, filled_in, legend, targets, titles, variables
from .influxdb import influxdb, make_database, query
from .programs import OPENER, ROOT, find, missing, run

KEY = {"HW_ACCESS_KEY": truth.AK, "HW_SECRET_KEY": truth.SK, "PYTHONPATH": str(ROOT)}
TELEGRAF = """\
[agent]
  omit_hostname = true
  metric_batch_size = 5000
[[outputs.influxdb]]
  urls = ["{url}"]
  database = "{database}"
[[inputs.exec]]
  commands = ["{python} -m maas_usage_check collect --config {config}"]
  timeout = "90s"
  data_format = "influx"
"""


class Store:
    """A database of an InfluxDB with the account's metrics, and when they were collected."""

    def __init__(self, url: str, database: str, folder: Path) -> None:
        self.url = url
        self.database = database
        self.folder = folder
        self.fed = 0.0
        make_database(url, database)

    def collect(self, ago: int = 0) -> str:
        """Run a cycle, write its points as if of so many seconds ago, and return what it complains of.

        But for the warning that the account's instances overlap, which they do on purpose.
        """
        command = [sys.executable, "-m", "maas_usage_check", "collect", "--config", str(self.folder / "conf.yaml")]
        done = run(command, self.folder, **KEY)
        assert done.returncode == 0, done.stderr
        points = re.sub(r"\d+$", lambda time: str(int(time[0]) - ago * 10**9), done.stdout, flags=re.MULTILINE)
        OPENER.open(f"{self.url}/write?db={self.database}", points.encode(), timeout=10).close()
        overlap = "W! instances[1]: asks about calls that instances[0] asks about too"
        complaints = done.stderr.splitlines(keepends=True)
        assert [line.startswith(overlap) for line in complaints].count(True) == 1
        return "".join(line for line in complaints if not line.startswith(overlap))

    def query(self, text: str) -> List[Dict[str, Any]]:
        return query(self.url, self.database, text)

    def shown(self, title: str, choice: Choice) -> Dict[str, float]:
        """Read the newest values of a panel by legend, over the last day in steps of 5 minutes."""
        now = int(time.time() * 1000)
        shown: Dict[str, float] = {}
        for target in targets(INFLUXDB, title):
            query = target["query"].replace("$timeFilter", f"time >= {now - 86_400_000}ms and time <= {now}ms")
            query = query.replace("$__interval", "5m")
            rows = self.query(filled_in(INFLUXDB, query, choice.variables()))
            assert rows, f"no rows: {query}"
            shown.update({legend(target["alias"], row.get("tags", {})): row["values"][-1][1] for row in rows})
        return shown


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with influxdb(tmp_path_factory.mktemp("influxdb")) as url:
        yield url


@pytest.fixture(scope="module")
def store(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(server, "maas", tmp_path_factory.mktemp("account"))

    def feed() -> None:
        # Twice within one step of the panels: two cycles must not be added up.
        assert [store.collect(), store.collect()] == ["", ""]

    with truth.account(store.folder):
        store.fed = truth.within_an_hour(feed)
        yield store


def expected(choice: Choice, now: float) -> Dict[str, Dict[str, Any]]:
    """Say what each panel must show; InfluxQL cannot subtract one measurement from another."""
    panels = truth.expected(choice, now)
    del panels["Tokens by API key"]["other keys"]
    return panels


@pytest.mark.parametrize("choice", [EVERYTHING, A_PART], ids=["everything", "a part"])
@pytest.mark.parametrize("title", titles(INFLUXDB))
def test_every_panel_shows_what_the_ledger_holds(store: Store, title: str, choice: Choice) -> None:
    assert store.shown(title, choice) == expected(choice, store.fed)[title]


def test_every_variable_offers_what_there_is(store: Store) -> None:
    offered = {
        name: {value for row in store.query(variable["query"]) for _, value in row["values"]}
        for name, variable in variables(INFLUXDB).items()
        if variable["type"] == "query"
    }
    assert offered == truth.OFFERED


def test_every_count_that_telegraf_writes_is_stored_as_an_integer(server: str, tmp_path: Path) -> None:
    telegraf = find("telegraf", "build one with outputs.influxdb")
    if "outputs.influxdb" not in run([telegraf, "plugins", "outputs"], tmp_path).stdout:
        missing("this telegraf was built without outputs.influxdb")
    store = Store(server, "telegraf", tmp_path)
    names = {"url": server, "database": store.database, "python": sys.executable, "config": tmp_path / "conf.yaml"}
    (tmp_path / "telegraf.conf").write_text(TELEGRAF.format(**names))
    with truth.account(tmp_path):
        config = tmp_path / "conf.yaml"
        config.write_text(config.read_text().replace("deadline", "hourly: true\n    backfill_days: 1\n    deadline", 1))
        done = run([telegraf, "--config", str(tmp_path / "telegraf.conf"), "--once"], tmp_path, **KEY)
    assert (done.returncode, "E!" in done.stderr) == (0, False), done.stderr
    kinds = {
        field: kind
        for measurement in CATALOGUE
        for row in store.query(f'SHOW FIELD KEYS FROM "{measurement}"')
        for field, kind in row["values"]
    }
    assert kinds == {
        field.name: "float" if field.kind is float else "integer"
        for measurement, fields in CATALOGUE.items()
        # Counters are not for Telegraf, and models have tests of their own.
        if measurement not in (CONSUMED, KEY_CONSUMED) and not measurement.startswith(MODEL)
        for field in fields
    }


def test_a_partial_failure_is_said_and_is_no_fall_in_use(server: str, tmp_path: Path) -> None:
    store = Store(server, "partial", tmp_path)

    def feed() -> None:
        books.unreadable = ""
        assert store.collect(ago=6000) == ""
        books.unreadable = "preset"
        assert store.collect().startswith("W! ")

    with truth.account(tmp_path) as books:
        truly = expected(EVERYTHING, truth.within_an_hour(feed))
    assert store.shown("Result of the last cycle", EVERYTHING) == {truth.REGION: 1}
    shown = {title: store.shown(title, EVERYTHING) for title in truth.USE}
    assert shown == {title: truly[title] for title in truth.USE}
