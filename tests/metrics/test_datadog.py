from __future__ import annotations

import csv
import io

from maas_usage_check.metrics import CONSUMED, COUNT, GAUGE, HOUR_TIMESTAMPED, Field, Point
from maas_usage_check.metrics.datadog import Sample, metadata_csv, samples

CATALOGUE = {"huawei_maas_x": (Field("tokens", int, "token", "Tokens.", COUNT), Field("up", int, "", "Up."))}


def test_samples() -> None:
    """Every field is a sample of its nature; repeated points have only gauges."""
    point = Point("huawei_maas_x", {"b": "2", "a": "1"}, {"tokens": 7, "up": 1}, 1)
    count = Sample(COUNT, "huawei_maas.x.tokens", 7, ["b:2", "a:1"])
    gauge = Sample(GAUGE, "huawei_maas.x.up", 1, ["b:2", "a:1"])
    assert list(samples([point], catalogue=CATALOGUE)) == [count, gauge]
    assert list(samples([point], repeated=True, catalogue=CATALOGUE)) == [gauge]


def test_metadata_names_the_nature() -> None:
    rows = {row["metric_name"]: row["metric_type"] for row in csv.DictReader(io.StringIO(metadata_csv(CATALOGUE)))}
    assert rows == {"huawei_maas.x.tokens": "count", "huawei_maas.x.up": "gauge"}


def test_metadata_without_hours() -> None:
    """`metadata.csv` has no measurement that the Agent cannot submit."""
    catalogue = {name: (Field("tokens", int, "token", "Tokens.", COUNT),) for name in (*HOUR_TIMESTAMPED, CONSUMED)}
    names = [row["metric_name"] for row in csv.DictReader(io.StringIO(metadata_csv(catalogue)))]
    assert names == ["huawei_maas.consumed.tokens"]
