"""The same budgets in the report, Prometheus, InfluxDB behind Telegraf, and the Agent's base library."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Tuple

import pytest

from maas_usage_check.emulator.simulated_models import SimulatedModels

from ..conftest import NOW, Cloud, FixedClock
from .collect_runner import CollectRunner
from .conftest import need_library
from .expected_hours import HOUR, HourlyUsage, SignatureTimeEmulator
from .expected_models import TRAFFIC
from .influxdb import influxdb, query
from .programs import find, prometheus_over, rows, run
from .simulated_account import entry_of_models

need_library("datadog_checks.base")

pytestmark = pytest.mark.timeout(300)
FIELDS = ("limit", "used", "forecast", "covered_ratio")
USAGE, MODELS = HourlyUsage(late=True), SimulatedModels(3, 2, TRAFFIC, late=True)
ENTRY = {**entry_of_models(MODELS), "backfill_days": 29}
CYCLES = [int(NOW * 1000) + age * HOUR for age in (-2, -1, 0)]
Budgets = Dict[Tuple[str, ...], float]
"""The values of the fields by scope, team, unit and field."""
TELEGRAF = """\
[agent]
  omit_hostname = true
[[inputs.exec]]
  commands = [["cat", "{points}"]]
  data_format = "influx"
[[outputs.influxdb]]
  urls = ["{database}"]
  database = "maas"
  skip_database_creation = true
"""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> CollectRunner:
    """Return the runner of a configuration whose hours are known."""
    emulator = SignatureTimeEmulator(USAGE, MODELS)
    emulator.requests_per_minute = 20_000
    runner = CollectRunner(tmp_path_factory.mktemp("budgets"), emulator, "influx", ENTRY)
    for at in CYCLES:
        assert runner.collect(at).returncode == 0
    return runner


@pytest.fixture(scope="module")
def reported(runner: CollectRunner) -> Budgets:
    """Return the budgets of `report`."""
    done = runner.run_command(CYCLES[-1], "report", "--this-month", "--by", "team", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["budgets"]
    budgets = {key(row, field): row[field] for row in found for field in FIELDS}
    assert len(budgets) == 4 * len(FIELDS)
    return budgets


def key(tags: Dict[str, Any], field: str) -> Tuple[str, ...]:
    return tags["scope"], tags.get("team") or "", tags["unit"], field


def approx(budgets: Budgets) -> Any:
    return pytest.approx(budgets, rel=1e-9)


def test_prometheus(runner: CollectRunner, reported: Budgets) -> None:
    now = CYCLES[-1]
    done = runner.run_command(now, "collect", "--format", "prometheus")
    lines = [line for line in done.stdout.splitlines() if line.startswith("huawei_maas_budget_")]
    with prometheus_over([f"{line} {now / 1000:.3f}" for line in lines], runner.folder) as url:
        shown = {
            key(row["metric"], field): float(row["value"][1])
            for field in FIELDS
            for row in rows(url, f"huawei_maas_budget_{field}", now / 1000)
        }
    assert shown == approx(reported)


def test_influxdb_behind_telegraf(runner: CollectRunner, reported: Budgets) -> None:
    points = runner.folder / "points"
    points.write_text(runner.collect(CYCLES[-1]).stdout)
    with influxdb(runner.folder) as database:
        config = runner.folder / "telegraf.conf"
        config.write_text(TELEGRAF.format(points=points, database=database))
        done = run([find("telegraf"), "--config", str(config), "--once"], runner.folder)
        assert done.returncode == 0, done.stderr
        names = ", ".join(f'last("{field}")' for field in FIELDS)
        found = query(database, f'SELECT {names} FROM "huawei_maas_budget" GROUP BY "scope", "team", "unit"')
    shown = {key(row["tags"], field): value for row in found for field, value in zip(FIELDS, row["values"][-1][1:])}
    assert shown == approx(reported)


def test_datadog(
    cloud: Cloud, clock: FixedClock, make_check: Callable[..., Any], aggregator: Any, reported: Budgets
) -> None:
    cloud.emulator.now, cloud.emulator.usage, cloud.emulator.models = clock.now, USAGE, MODELS
    cloud.emulator.requests_per_minute = 20_000
    check = make_check(cloud.entry(**ENTRY, min_collection_interval=300))
    for at in CYCLES:
        clock.at = at / 1000
        aggregator.reset()
        assert not check.run()
    shown = {
        key(dict(tag.split(":", 1) for tag in one.tags), field): one.value
        for field in FIELDS
        for one in aggregator.metrics(f"huawei_maas.budget.{field}")
    }
    assert shown == approx(reported)
