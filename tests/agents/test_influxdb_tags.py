"""Tags in a real InfluxDB: different ones remain different, and the refused ones would have cost points."""

from __future__ import annotations

from pathlib import Path
from urllib.error import HTTPError

import pytest

from maas_usage_check.metrics import Point
from maas_usage_check.metrics.influx import encode

from .influxdb import influxdb, query, write


def test_tags(tmp_path: Path) -> None:
    values = ["a", "a\\", "a\\\\", "a%5C", "a\0", "a\n", "a\\n", 'a"', 'a\\"', "a ", "a\\ ", "团队"]
    with influxdb(tmp_path) as url:
        write(url, encode([Point("m", {"id": value}, {"n": 1}, 1) for value in values]))
        assert len(query(url, 'SELECT n FROM m GROUP BY "id"')) == len(values)
        with pytest.raises(HTTPError, match="400"):
            write(url, encode([Point("refused", {"time": "x"}, {"n": 1}, 1)]))
        assert query(url, "SELECT n FROM refused") == []
        write(url, encode([Point("shadowed", {"n": "x"}, {"n": 1}, 1)]))
        assert query(url, "SELECT n FROM shadowed WHERE \"n\" = 'x'") == []
