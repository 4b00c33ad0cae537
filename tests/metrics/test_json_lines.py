from __future__ import annotations

import json

from maas_usage_check.metrics import Point
from maas_usage_check.metrics.json_lines import encode


def test_lines() -> None:
    """Each point is one object on one line."""
    point = Point("m", {"team": "平台\n"}, {"n": 2**62 + 1, "r": 0.1}, 1_700_000_000_000_000_001)
    lines = encode([point, point]).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"measurement": "m", "tags": point.tags, "fields": point.fields, "time": point.time}
    ] * 2
