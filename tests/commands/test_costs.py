"""`collect` with prices by date, off-peak hours and cached input, compared with the emulator's own hours."""

from __future__ import annotations

import datetime as dt
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from maas_usage_check.config.ranges import to_ms

from ..conftest import Cloud, FixedClock, Program
from ..price_oracle import HOUR
from ..priced_account import NAMES, PricedAccount, Series, Values
from .conftest import parse_csv

DAYS = 48 * HOUR


@pytest.fixture
def account(cloud: Cloud, tmp_path: Path) -> PricedAccount:
    return PricedAccount(cloud, tmp_path / "state")


def series_of(tags: Dict[str, str]) -> Series:
    assert tags["currency"] == "CNY"
    return tags["maas_api_id"], tags.get("maas_key_id", "")


def collect(program: Program, account: PricedAccount, file_format: str) -> List[str]:
    config = program.config(account.configuration)
    done = program("collect", "--config", config, "--format", file_format)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if "_cost" in line]


def test_influx(program: Program, account: PricedAccount) -> None:
    """Each hour has the cost of its parts and their sum, and none before the first price."""
    found: Dict[Tuple[Series, int], Values] = {}
    for line in collect(program, account, "influx"):
        measurement, fields, time = line.split(" ")
        name, *pairs = measurement.split(",")
        tags = dict(pair.split("=") for pair in pairs)
        assert name == (
            "huawei_maas_model_key_cost_hourly" if "maas_key_id" in tags else "huawei_maas_model_cost_hourly"
        )
        values = {name: float(value) for name, value in (field.split("=") for field in fields.split(","))}
        found[series_of(tags), int(time) // 10**6] = tuple(values.pop(name) for name in NAMES)  # type: ignore[assignment]
        assert values == {}
    assert found == account.hourly(account.hour - DAYS, account.hour)
    dated = [at for (model, _), at in found if model == list(account.total(0, 0))[-1][0]]
    assert (len(found), len(dated)) == (3 * (48 + 17), 3 * 17)  # 23 November began there at 18:30 UTC


def test_prometheus(program: Program, account: PricedAccount, clock: FixedClock) -> None:
    """The counters grow by the cost of the hours that ended since the first cycle, each at the price of its time."""

    def counters() -> Dict[Series, Any]:
        found: Dict[Series, Dict[str, float]] = {}
        for line in collect(program, account, "prometheus"):
            sample = re.fullmatch(r"huawei_maas_model(?:_key)?_cost_consumed_(\w+)_total\{(.*)\} (\S+)", line)
            assert sample or line.startswith("# ")
            if sample:
                tags = dict(re.findall(r'(\w+)="([^"]*)"', sample[2]))
                found.setdefault(series_of(tags), {})[sample[1]] = float(sample[3])
        return {series: tuple(values[name] for name in NAMES) for series, values in found.items()}

    began = account.hour
    assert counters() == account.total(began, began)
    for _ in range(2):
        clock.at += 11 * 3600
        assert counters() == account.total(began, account.hour)
    assert min(min(values) for values in account.total(began, account.hour).values()) > 0


def test_report(program: Program, account: PricedAccount) -> None:
    """The report has the same costs by model and day; the total leaves out the use of times without a price."""
    config = program.config(account.configuration)
    assert program("collect", "--config", config).returncode == 0
    options = ("--config", config, "--by", "model", "--from", "2026-11-22", "--daily", "--format")
    costs = []
    for row in parse_csv(program("report", *options, "csv").stdout):
        start, end = (to_ms(dt.datetime.fromisoformat(row[name]), dt.timezone.utc) for name in ("start", "end"))
        expected = sum(account.exact(start, end)[row["maas_api_id"], ""])
        costs.append(Fraction(row["cost"]) if row["cost"] else None)
        assert costs[-1] == (expected or None)
    assert [cost is None for cost in costs] == [False, True, False, False]
    total = json.loads(program("report", *options, "json").stdout)["total"]
    assert total["cost"] == float(sum(filter(None, costs)))
