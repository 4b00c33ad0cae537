"""A real Prometheus, a real InfluxDB behind a real Telegraf and the Agent's library show the budgets of `report`."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import pytest
import yaml

from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.metrics import BUDGET
from maas_usage_check.metrics.datadog import metric_name

from ..commands.exporter import running_exporter
from ..conftest import Cloud, FixedClock, Program
from ..shifted_clock import write_shift
from .influxdb import DATABASE, influxdb, query
from .programs import prometheus, rows, wait

FIELDS = ("limit", "used", "used_ratio", "forecast", "covered_ratio", "period_start_timestamp_seconds")
MONTH = 1_793_462_400
"""2026-11-01 00:00 in Shanghai, in seconds."""
PRICE = {"prompt": 2.0, "completion": 8.0}
TELEGRAF = """\
[agent]
  interval = "1s"
  flush_interval = "200ms"
  omit_hostname = true
[[outputs.influxdb]]
  urls = ["{database}"]
  database = "{name}"
[[inputs.exec]]
  commands = ["{command} collect --config {config}"]
  timeout = "30s"
  data_format = "influx"
"""
Name = Tuple[str, str]
Budgets = Dict[Name, Dict[str, float]]
"""Fields by scope, or team, and unit."""


def name_of(tags: Dict[str, Any]) -> Name:
    return tags.get("team") or tags["scope"], tags["unit"]


@pytest.fixture
def entry(cloud: Cloud, clock: FixedClock, tmp_path: Path) -> Dict[str, Any]:
    """Return an instance with budgets, two days and some hours into a month."""
    clock.at = MONTH + 55 * 3600 + 1234
    cloud.emulator.requests_per_minute = 10**6
    cloud.emulator.models = models = SimulatedModels(2, 3)
    return cloud.entry(
        state_dir=str(tmp_path / "state"), hourly=True, models=True, backfill_days=3, timezone="Asia/Shanghai",
        ranges=["last_1d"], max_requests_per_minute=80_000, deadline=60, min_collection_interval=1,
        prices={"currency": "CNY", "models": dict.fromkeys(models.ids(), PRICE)}, key_names=models.key_labels,
        teams={"search": {"api_keys": ["team-search"], "cost_center": "CC-1", "budget": {"tokens": 10**9, "cost": 500}},
               "support": {"api_keys": ["team-support", "batch-jobs"], "budget": {"tokens": 10**8}}},
        budget={"tokens": 2 * 10**9, "cost": 4000},
    )  # fmt: skip


@pytest.fixture
def config(program: Program, clock: FixedClock, entry: Dict[str, Any]) -> str:
    write_shift(program.command[-1], clock.now() - time.time())
    return program.config(yaml.safe_dump({"instances": [entry]}))


@pytest.fixture
def reported(program: Program, config: str) -> Budgets:
    """Collect, and return the budgets of the report."""
    assert program("collect", "--config", config).returncode == 0
    done = program("report", "--config", config, "--this-month", "--by", "team", "--format", "json")
    assert done.returncode == 0, done.stderr
    budgets = {name_of(each): {name: each[name] for name in FIELDS} for each in json.loads(done.stdout)["budgets"]}
    assert list(budgets) == [
        ("all", "tokens"), ("search", "tokens"), ("support", "tokens"), ("all", "CNY"), ("search", "CNY"),
    ]  # fmt: skip
    assert all(fields["used"] > 0 for fields in budgets.values())
    return budgets


def check(shown: Budgets, reported: Budgets) -> None:
    """Compare; a forecast falls with the seconds that have passed since."""
    assert shown.keys() == reported.keys()
    for name, fields in reported.items():
        forecast = pytest.approx(fields["forecast"], rel=1e-3)
        assert {field: shown[name][field] for field in FIELDS} == {**fields, "forecast": forecast}, name


def test_prometheus(program: Program, config: str, reported: Budgets, tmp_path: Path) -> None:
    with running_exporter(program, config) as exporter:
        exporter.wait_until_ready()
        target = exporter.url.partition("//")[2]
        scrape = {"job_name": "maas", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
        with prometheus(tmp_path, yaml.safe_dump({"scrape_configs": [scrape]})) as url:
            wait(lambda: rows(url, f"{BUDGET}_used"), "a scrape")
            found: Budgets = {}
            for field in FIELDS:
                for row in rows(url, f"{BUDGET}_{field}"):
                    found.setdefault(name_of(row["metric"]), {})[field] = float(row["value"][1])
    check(found, reported)


def test_influxdb(program: Program, command: str, need: Callable[[str], str], config: str, reported: Budgets) -> None:
    telegraf, folder = need("telegraf"), program.folder
    with influxdb(folder) as database:
        values = {"database": database, "name": DATABASE, "command": command, "config": config}
        (folder / "telegraf.conf").write_text(TELEGRAF.format(**values))
        process = subprocess.Popen([telegraf, "--config", str(folder / "telegraf.conf")], env=program.environ)
        fields = ", ".join(f'LAST("{field}")' for field in FIELDS)
        statement = f"SELECT {fields} FROM {BUDGET} GROUP BY *"
        try:
            wait(lambda: len(query(database, statement)) == len(reported), "all budgets")
            series = query(database, statement)
        finally:
            process.terminate()
            process.wait(30)
    check({name_of(each["tags"]): dict(zip(FIELDS, each["values"][0][1:])) for each in series}, reported)


def test_datadog(make_check: Any, dd_run_check: Any, aggregator: Any, entry: Any, reported: Budgets) -> None:
    dd_run_check(make_check(entry))
    found: Budgets = {}
    for field in FIELDS:
        for metric in aggregator.metrics(metric_name(BUDGET, field)):
            tags = dict(tag.split(":", 1) for tag in metric.tags)
            found.setdefault(name_of(tags), {})[field] = metric.value
    check(found, reported)
