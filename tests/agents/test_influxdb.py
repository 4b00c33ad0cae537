"""A real InfluxDB 1.6, fed by a real Telegraf that runs the plugin."""

from __future__ import annotations

import sys
import time
from typing import Any, Dict, Iterator, List

import pytest

from maas_usage_check.metrics import CATALOGUE

from . import account as truth
from .account import A_PART, EVERYTHING, Choice
from .dashboards import INFLUXDB, filled_in, legend, targets, titles, variables
from .programs import ROOT, find, free_port, get, missing, run, running, wait

DATABASE = "telegraf"
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
STORE = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""


class Store:
    """An InfluxDB with the account's metrics, and when they were collected."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fed = 0.0

    def query(self, text: str) -> List[Dict[str, Any]]:
        (result,) = get(f"{self.url}/query", db=DATABASE, q=text, epoch="ms")["results"]
        assert "error" not in result, f"{result['error']}: {text}"
        found: List[Dict[str, Any]] = result.get("series", [])
        return found

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
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    server = find("influxd", "Debian package influxdb")
    telegraf = find("telegraf", "build one with outputs.influxdb")
    folder = tmp_path_factory.mktemp("influxdb")
    if "outputs.influxdb" not in run([telegraf, "plugins", "outputs"], folder).stdout:
        missing("this telegraf was built without outputs.influxdb")
    port = free_port()
    (folder / "influxdb.conf").write_text(STORE.format(folder=folder, port=port, rpc=free_port()))
    store = Store(f"http://127.0.0.1:{port}")
    config = {"url": store.url, "database": DATABASE, "python": sys.executable, "config": folder / "conf.yaml"}
    (folder / "telegraf.conf").write_text(TELEGRAF.format(**config))
    key = {"HW_ACCESS_KEY": truth.AK, "HW_SECRET_KEY": truth.SK, "PYTHONPATH": str(ROOT)}

    def feed() -> None:
        # Twice within one step of the panels: two cycles must not be added up.
        for _ in range(2):
            done = run([telegraf, "--config", str(folder / "telegraf.conf"), "--once"], folder, **key)
            assert done.returncode == 0, done.stderr
            assert "E!" not in done.stderr, done.stderr

    with truth.account(folder), running([server, "-config", str(folder / "influxdb.conf")], folder):
        wait(lambda: get(f"{store.url}/query", q="SHOW DATABASES"), "InfluxDB")
        store.fed = truth.within_an_hour(feed)
        yield store


@pytest.mark.parametrize("choice", [EVERYTHING, A_PART], ids=["everything", "a part"])
@pytest.mark.parametrize("title", titles(INFLUXDB))
def test_every_panel_shows_what_the_ledger_holds(store: Store, title: str, choice: Choice) -> None:
    assert store.shown(title, choice) == truth.expected(choice, store.fed)[title]


def test_every_variable_offers_what_there_is(store: Store) -> None:
    offered = {
        name: {value for row in store.query(variable["query"]) for _, value in row["values"]}
        for name, variable in variables(INFLUXDB).items()
        if variable["type"] == "query"
    }
    assert offered == truth.OFFERED


def test_every_count_is_stored_as_an_integer(store: Store) -> None:
    kinds = {
        field: kind
        for measurement in CATALOGUE
        for row in store.query(f'SHOW FIELD KEYS FROM "{measurement}"')
        for field, kind in row["values"]
    }
    assert kinds == {
        field.name: "float" if field.kind is float else "integer" for fields in CATALOGUE.values() for field in fields
    }
