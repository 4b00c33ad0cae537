from __future__ import annotations

import json
import os
import random
import stat
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.demo_page import round_number
from maas_usage_check.emulator.traffic import API_KEYS, HOUR

from ..conftest import Cloud, FixedClock, Program
from .simulated_page import SHANGHAI, SimulatedPage

NOW = datetime(2026, 11, 23, 20, 30, tzinfo=SHANGHAI)
BEGINS = int(datetime(2026, 8, 1, tzinfo=SHANGHAI).timestamp() * 1000)
SERVICE_TYPES = {"preset": 2, "my_service": 1}


@pytest.fixture
def page(cloud: Cloud, clock: FixedClock, program: Program, tmp_path: Path) -> SimulatedPage:
    return SimulatedPage(cloud, clock, program, tmp_path)


def hour_in_cloud(cloud: Cloud, tags: Dict[str, str], at: int) -> Usage:
    """Return the use of an hour as the simulator has it, from the tags of a series."""
    emulator = cloud.emulator
    if "maas_api_id" in tags:
        found = emulator.models.hour(tags["maas_api_id"], tags.get("maas_key_id"), at, at + 6 * HOUR)
    else:
        labels = [tags["api_key_label"]] if "api_key_label" in tags else list(API_KEYS)
        service_type = SERVICE_TYPES[tags["service_type"]]
        found = emulator.usage.hour(service_type, tags["infer_type"], labels, at, at + 6 * HOUR)
    return Usage(*found[:5])


def test_history(page: SimulatedPage, cloud: Cloud) -> None:
    """The ledger has each hour of three whole months and of this one, as the cloud reports it, the oldest as days."""
    page.prepare(NOW)
    assert cloud.requests == []
    known, drawn = page.known(), random.Random(27)
    assert len(known) == 2 * (1 + 3) + 3 * (1 + 3)
    for tags, spans in known:
        ordered = sorted(spans)
        assert ordered[0].start == BEGINS
        assert all(one.until == other.start for one, other in zip(ordered, ordered[1:]))
        assert sum(span.hours for span in ordered) * HOUR == ordered[-1].until - BEGINS
        # Hours that the cloud does not yet report are left to the cycle.
        end = NOW.replace(minute=0, hour=20 if "maas_api_id" in tags else 19)
        assert ordered[-1].until == end.timestamp() * 1000
        for span in drawn.sample(ordered, 20):
            hours = (hour_in_cloud(cloud, tags, at) for at in range(span.start, span.until, HOUR))
            assert spans[span] == sum(hours, Usage(0, 0, 0, 0, 0))
        assert ordered[0].hours == 24
        assert ordered[-1].hours == 1
    assert any(usage.total_tokens for usage in known[0].spans.values())


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_private(page: SimulatedPage, tmp_path: Path) -> None:
    """Only the user reads the state, the configuration and the key."""
    page.prepare(NOW)
    files = list((tmp_path / "page").rglob("*"))
    assert {file.name for file in files} >= {"page.yaml", "credentials", "state", "maas-usage-check.sqlite3"}
    for file in (tmp_path / "page", *files):
        assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600)


def test_first_cycle(page: SimulatedPage, cloud: Cloud) -> None:
    """The first cycle changes no stored hour, and queries none of them again but the last and those of its check."""
    page.prepare(NOW)
    before = page.known()
    points = list(map(parse_line, page.collect()))
    api = points[-1]
    after = page.known()
    assert [series.tags for series in before] == [series.tags for series in after]
    for (_, old), (_, new) in zip(before, after):
        assert old.items() <= new.items()
        assert len(new) - len(old) <= 2
    assert (api["fields"]["missing_hours"], api["fields"]["up"]) == (0, 1)
    single = [body for body in cloud.statistics() if body["end_time"] - body["start_time"] < HOUR]
    last = [body for body in single if body["start_time"] >= (NOW - timedelta(hours=4)).timestamp() * 1000]
    assert len(last) == 2 * (1 + 3) * 3
    assert len(single) - len(last) == 24  # the daily check of one day
    assert len(cloud.requests) < 150
    # The list of models is read again, with what only minutes have.
    assert any("latency_seconds" in point["fields"] for point in points)


def test_counters(page: SimulatedPage) -> None:
    """The counters contain the whole history."""
    page.prepare(NOW)
    lines = page.collect("prometheus")
    for tags, spans in page.known():
        by_key = not {"api_key_label", "maas_key_id"}.isdisjoint(tags)
        name = f"huawei_maas_{'model_' if 'maas_api_id' in tags else ''}{'key_' if by_key else ''}consumed_tokens_total"
        labels = [f'{key}="{value}"' for key, value in tags.items()]
        (line,) = [line for line in lines if line.startswith(f"{name}{{") and all(label in line for label in labels)]
        assert float(line.rpartition(" ")[2]) == sum(usage.total_tokens for usage in spans.values())


@pytest.mark.parametrize("has_cycle", [False, True])
def test_report(page: SimulatedPage, program: Program, has_cycle: bool) -> None:
    """A report of the oldest month is whole, before the first cycle and after it."""
    page.prepare(NOW)
    if has_cycle:
        page.collect()
    for group in ("service", "model", "team"):
        done = program("report", "--config", page.config, "--month", "2026-08", "--by", group, "--format", "json")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["covered_ratio"] == 1
    assert "are missing" not in program("report", "--config", page.config, "--month", "2026-08", "--by", "model").stdout


def budgets(lines: List[str]) -> Dict[Tuple[str, str], Dict[str, Any]]:
    """Return the fields of each budget by team and unit."""
    points = [parse_line(line) for line in lines if line.startswith("huawei_maas_budget,")]
    return {(point["tags"].get("team", ""), point["tags"]["unit"]): point["fields"] for point in points}


@pytest.mark.parametrize(("month", "day", "hour"), [(11, 2, 0), (11, 2, 16), (11, 15, 11), (11, 30, 20), (2, 28, 22)])
def test_budgets(page: SimulatedPage, month: int, day: int, hour: int) -> None:
    """One team's budget is nearly used up, one will be at this rate, one has room; that of all in cost is tight."""
    page.prepare(datetime(2026, month, day, hour, 40, tzinfo=SHANGHAI))
    found = budgets(page.collect())
    assert 0.85 <= found["support", "tokens"]["used_ratio"] <= 0.97
    batch = found["batch", "tokens"]
    assert batch["used_ratio"] < 1 < batch["forecast_ratio"]
    assert "exhausted_timestamp_seconds" in batch
    for all_or_team in ("", "search"):
        assert 0.45 < found[all_or_team, "tokens"]["forecast_ratio"] < 0.7
    assert 0.85 < found["", "CNY"]["forecast_ratio"] < 1
    assert len(found) == 5


@pytest.mark.parametrize("hour", [0, 12])
def test_budgets_on_the_first(page: SimulatedPage, hour: int) -> None:
    """On the 1st a budget can be nearly used up too, once there is use; no limit is 0."""
    page.prepare(datetime(2026, 12, 1, hour, 20, tzinfo=SHANGHAI))
    found = budgets(page.collect())
    assert len(found) == 5
    history = sum(usage.total_tokens for usage in page.known()[0].spans.values())
    assert all(10**4 < fields["limit"] < history for (_, unit), fields in found.items() if unit == "tokens")
    if hour:
        assert found["search", "tokens"]["forecast_ratio"] < 0.7
        assert 0.85 < found["support", "tokens"]["used_ratio"] < 0.97
        assert found["batch", "tokens"]["used_ratio"] < 0.2
        assert found["batch", "tokens"]["forecast_ratio"] > 1.3


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [("101", "199", 110), ("100", "199", 100), ("0.2", "0.9", 1), ("0", "0", 1), ("11.5", "11.9", 12), ("8", "11", 10),
     ("123456789", "134567890", 130_000_000), ("123", "123", 123)],
)  # fmt: skip
def test_round_number(low: str, high: str, expected: int) -> None:
    assert round_number(Decimal(low), Decimal(high)) == expected
