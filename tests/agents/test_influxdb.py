"""A real InfluxDB 1.6, fed by a real Telegraf that runs the plugin."""

from __future__ import annotations

import sys
from pathlib import Path

from maas_usage_check.metrics import CATALOGUE, CONSUMED, KEY_CONSUMED, MODEL

from . import account as truth
from .influxdb import influxdb, make_database, query
from .programs import ROOT, find, missing, run

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


def test_every_count_that_telegraf_writes_is_stored_as_an_integer(tmp_path: Path) -> None:
    telegraf = find("telegraf", "build one with outputs.influxdb")
    if "outputs.influxdb" not in run([telegraf, "plugins", "outputs"], tmp_path).stdout:
        missing("this telegraf was built without outputs.influxdb")
    with influxdb(tmp_path) as url, truth.account(tmp_path):
        make_database(url, "telegraf")
        names = {"url": url, "database": "telegraf", "python": sys.executable, "config": tmp_path / "conf.yaml"}
        (tmp_path / "telegraf.conf").write_text(TELEGRAF.format(**names))
        config = tmp_path / "conf.yaml"
        config.write_text(config.read_text().replace("deadline", "hourly: true\n    backfill_days: 1\n    deadline", 1))
        done = run([telegraf, "--config", str(tmp_path / "telegraf.conf"), "--once"], tmp_path, **KEY)
        assert (done.returncode, "E!" in done.stderr) == (0, False), done.stderr
        kinds = {
            field: kind
            for measurement in CATALOGUE
            for row in query(url, "telegraf", f'SHOW FIELD KEYS FROM "{measurement}"')
            for field, kind in row["values"]
        }
    assert kinds == {
        field.name: "float" if field.kind is float else "integer"
        for measurement, fields in CATALOGUE.items()
        # Counters are not for Telegraf, and models have tests of their own.
        if measurement not in (CONSUMED, KEY_CONSUMED) and not measurement.startswith(MODEL)
        for field in fields
    }
