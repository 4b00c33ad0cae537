"""All measurements under one name, as Telegraf's `name_override` writes them, in a real InfluxDB."""

from __future__ import annotations

import re
from pathlib import Path

from maas_usage_check.metrics import CATALOGUE

from ..conftest import Cloud, Program
from .influxdb import influxdb, query, write

CONFIG = """\
models: true
hourly: true
backfill_days: 1
max_requests_per_minute: 6000
prices: {{currency: CNY, models: {{"{}": {{prompt: 2.0, completion: 8.0}}}}}}
"""


def test_one_measurement(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    """InfluxDB accepts every point, for no field has two types."""
    cloud.emulator.requests_per_minute = 10**6
    config = program.cloud_config(cloud, CONFIG.format(cloud.emulator.models.ids()[0]))
    lines = program("collect", "--config", config).stdout
    with influxdb(tmp_path) as url:
        write(url, re.sub("^huawei_maas[a-z_]*", "maas", lines, flags=re.M))
        (found,) = query(url, "SHOW FIELD KEYS FROM maas")
    kinds = {field.name: field.kind for fields in CATALOGUE.values() for field in fields}
    stored = {name: {"integer": int, "float": float}[kind] for name, kind in found["values"]}
    assert stored == {name: kinds[name] for name in stored}
    assert {"total_tokens", "tokens_per_minute", "prompt_tokens_per_minute", "cost", "settled", "up"} <= stored.keys()
