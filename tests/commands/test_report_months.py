from __future__ import annotations
from pathlib import Path
import pytest, datetime as dt
from ..conftest import Cloud, FixedClock, Program
from ..fixed_clock import MONDAY
from .conftest import *
from .long_ledger import LongLedger, HOUR, DAY
from maas_usage_check.emulator.simulated_models import SimulatedModels

NOW = int(MONDAY * 1000)


def at(text):
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


def test_try(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    cloud.emulator.requests_per_minute = 10**6
    cloud.emulator.models = SimulatedModels(2, 3)
    ids = cloud.emulator.models.ids()
    names = ", ".join(f"'{k}': {v}" for k, v in cloud.emulator.models.key_labels.items())
    report.yaml = f"""
hourly: true
models: true
max_requests_per_minute: 80000
state_dir: {tmp_path}
timezone: Asia/Shanghai
key_names: {{{names}}}
prices: {{currency: CNY, models: {{ {ids[0]}: {{prompt: 2.0, completion: 8.0}}, {ids[1]}: {{prompt: 1.0, completion: 4.0}} }}}}
budget: {{tokens: 2000000000, cost: 4000}}
teams: {{search: {{api_keys: [team-search], cost_center: CC1, budget: {{tokens: 500000000}}}}, support: {{api_keys: [team-support, batch-jobs]}}}}
"""
    ledger = LongLedger(report, tmp_path)
    ledger.fill(
        at("2026-08-01 00:00"),
        NOW // HOUR * HOUR - 3 * HOUR,
        lambda h: (
            not at("2026-10-10 00:00") <= h < at("2026-10-12 05:00")
            and not at("2026-09-03 16:00") <= h < at("2026-09-04 00:00")
        ),
    )
    report.collect()
    for options in sys.argv_options:
        done = report(*options)
        print("$ report", *options)
        print(done.stdout[:6000])
        print(done.stderr)


import sys

sys.argv_options = [
    o.split()
    for o in """--last-month
--month 2026-09
--month 2026-09 --by team
--month 2026-10 --by team
--month 2026-10 --by key
--month 2026-09 --by model
--last-month --by model --compare
--last-month --daily
--month 2026-08 --hourly
--this-month
--this-month --compare
--this-month --by model --compare
--this-month --by team --compare
--last 7d --compare --daily
--month 2026-09 --by team --compare --format csv
--month 2026-09 --by team --compare --format json
--this-month --format json""".splitlines()
]
