"""Documented measurements, log lines and the report of docs/prices.md are those of the program."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any, List, Set

import pytest
import yaml
from werkzeug import Request, Response

from maas_usage_check.config import load
from maas_usage_check.emulator.demo import demo_traffic
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.metrics import CATALOGUE
from tools.docs.pages import sections

from .agents.programs import ROOT
from .conftest import Cloud, FixedClock, Program

PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("hours", "models")}
ROWS: List[List[str]] = [
    [cell.strip() for cell in row.split("|")[1:-1]]
    for page in PAGES.values()
    for row in page.splitlines()
    if row.startswith("|")
]
HOUR = 3_600_000
HOURLY = "ranges: [last_7d]\nhourly: true\nbackfill_days: 3\nmax_requests_per_minute: 6000\n"
MODELS = """\
models: true
api_keys: [team-search]
per_api_key: true
prices: {{currency: CNY, models: {{"{}": {{prompt: 2.0, completion: 8.0}}}}}}
"""


def documented(surface: str) -> Set[str]:
    """Return the measurements and metrics in the table rows of a surface."""
    return {name for row in ROWS if surface in row[0] for name in re.findall(r"`(huawei_maas_\w+)`", row[1])}


def log_line(part: str) -> re.Pattern[str]:
    """Return the pattern of a documented log line; … matches anything."""
    (shown,) = [row[0].strip("`") for row in ROWS if part in row[0]]
    return re.compile("W! cn-southwest-2: " + ".+".join(map(re.escape, shown.split("…"))))


@pytest.fixture
def busy(cloud: Cloud) -> Cloud:
    cloud.emulator.requests_per_minute = 100_000
    return cloud


def test_formats(busy: Cloud, program: Program) -> None:
    config = program.cloud_config(busy, HOURLY + MODELS.format(busy.emulator.models.ids()[0]))
    everything = documented("Telegraf") | documented("Prometheus")
    assert {name for name in CATALOGUE if re.search("_hourly$|_model$|_model_key$", name)} == documented("Telegraf")
    for name in (name for name in CATALOGUE if name.startswith("huawei_maas_model") and name.endswith("_consumed")):
        assert [metric for metric in documented("Prometheus") if metric.startswith(name)], name
    for form, row in (("influx", "Telegraf"), ("json", "Telegraf"), ("prometheus", "Prometheus")):
        done = program("collect", "--config", config, "--format", form)
        assert done.returncode == 0
        assert set(re.findall(r"huawei_maas_\w+", done.stdout)) & everything == documented(row), form


def test_hours_that_do_not_add_up(busy: Cloud, program: Program, clock: FixedClock) -> None:
    def count_the_next_hour_too(request: Request) -> Any:
        body = json.loads(request.get_data() or b"{}")
        if not body or body["end_time"] - body["start_time"] >= HOUR:
            return None
        wider = {**body, "end_time": body["end_time"] + HOUR}
        return Response(json.dumps(busy.emulator.usage.totals(wider, int(busy.emulator.now() * 1000))))

    busy.responder = count_the_next_hour_too
    config = program.cloud_config(busy, HOURLY)
    program("collect", "--config", config)
    clock.at += 300
    done = program("collect", "--config", config)
    assert log_line("their day has").fullmatch(done.stderr.strip())
    assert "huawei_maas_hourly" not in done.stdout


def test_unwritable_state(busy: Cloud, program: Program) -> None:
    folder = program.folder / "damaged"
    folder.mkdir()
    (folder / "maas-usage-check.sqlite3").write_text("not a database, but long enough to be taken for one" * 100)
    done = program("collect", "--config", program.cloud_config(busy, f"{HOURLY}state_dir: {folder}\n"))
    first, *others = done.stderr.splitlines()
    assert log_line("Hours and counters are paused").fullmatch(first)
    assert [other for other in others if str(folder) in other]
    assert [point.split(",")[0] for point in done.stdout.splitlines()] == ["huawei_maas_usage", "huawei_maas_api"]


def test_rate_limit(cloud: Cloud, clock: FixedClock, program: Program) -> None:
    """The lines of a used-up rate limit are those of docs/freshness-and-cost.md."""
    page = (ROOT / "docs" / "freshness-and-cost.md").read_text(encoding="utf-8")
    config = program.cloud_config(cloud, "max_requests_per_minute: 20")
    for _ in range(6):
        done = program("collect", "--config", config)
    assert done.returncode == 1
    assert f"\n{done.stderr}```\n" in page
    clock.sleep(42)
    done = program("collect", "--config", config)
    assert done.returncode == 0
    assert f"\n{done.stderr}$ " in page


PRICES = sections((ROOT / "docs" / "prices.md").read_text(encoding="utf-8"))


def test_prices_in_the_report(busy: Cloud, program: Program, clock: FixedClock) -> None:
    """The file of docs/prices.md makes the report below it."""
    file, shown = (block.content for block in PRICES[1].blocks)
    now = datetime(2026, 11, 30, 19, 37, 30, tzinfo=timezone.utc)
    clock.at = now.timestamp()
    traffic = demo_traffic(clock.at)
    busy.emulator.models, busy.emulator.usage = SimulatedModels(traffic=traffic), SimulatedUsage(traffic)
    (entry,) = yaml.safe_load(file)["instances"]
    del entry["credentials"]
    entry["max_requests_per_minute"] = 20_000
    config = program.cloud_config(busy, yaml.safe_dump(entry))
    assert program("collect", "--config", config).returncode == 0
    command, _, expected = shown.partition("\n")
    done = program("report", "--config", config, "--last", "7d", "--by", "model")
    assert command == "$ maas-usage-check report --config conf.yaml --last 7d --by model"
    assert done.stdout == f"{expected}\n"
    del entry["prices"]["cached_share"]
    config = program.cloud_config(busy, yaml.safe_dump(entry))
    done = program("report", "--config", config, "--last", "7d", "--by", "model")
    (without_share,) = PRICES[3].blocks
    assert without_share.content.split("...")[1] in done.stdout


def test_hour_cut_by_a_boundary() -> None:
    """Tokens of an hour are split as docs/prices.md says."""
    (instance,) = load(yaml.safe_load(PRICES[1].blocks[0].content), 0)
    prices = instance.prices_of("3ec0cd5d754ca0fc5bafe9cb9068b324")
    assert prices
    midnight = datetime(2026, 11, 26, 16, tzinfo=timezone.utc)
    parts = list(prices.split(int(midnight.timestamp()) * 1000, 0, 1001, 0))
    assert [(each.prompt, each.cached, each.price and each.price.is_off_peak) for each in parts] == [
        (500, 200, False),
        (501, 200, True),
    ]
    text = " ".join(PRICES[2].prose.split())
    assert (
        "of 1,001 prompt tokens between 00:00 and 01:00 on 2026-11-27, 500 have the price of the day, and 501" in text
    )
    assert "200 of the 500, and 200 of the 501" in text
