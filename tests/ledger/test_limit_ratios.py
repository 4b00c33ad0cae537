"""The ratio of a minute to the limits of its model, at the limit and beside it."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import pytest

from maas_usage_check.cloud.cloud_eye import CloudEye, Dimensions, Listing, MetricData
from maas_usage_check.config import load_instance
from maas_usage_check.ledger.live_minutes import HeldMinutes, LiveMinutes
from maas_usage_check.ledger.model_list import ModelList
from maas_usage_check.metrics import Point

MINUTE = 60_000
NOW = 1_795_435_200_000
NEWEST = NOW - 6 * MINUTE
MODEL, KEY = Dimensions("0f1e"), Dimensions("0f1e", "ea60")


def minutes(
    limits: Dict[str, Any], values: Dict[str, float], dimensions: Dimensions = MODEL, newest_only: bool = False
) -> List[Point]:
    """Return the points of two minutes: the newest, with these values, and the one before, with none."""
    instance = load_instance({"models": True, "model_names": {"0f1e": "chat"}, "limits": limits}, {}, "x", NOW / 1000)
    models = ModelList()
    models.update(Listing({dimensions: ["rpm", "total_tokens", "latency_avg"]}), NOW)
    live = LiveMinutes(CloudEye(), models, None if newest_only else HeldMinutes(), NOW)
    (task,) = live.plan()
    idle = {"rpm": 0.0, "total_tokens": 0.0}
    task.on_answer(MetricData({dimensions: {NEWEST - MINUTE: idle, NEWEST: values}}, [], set(), set()))
    return list(live.build_points(instance, {"region": "r"}))


@pytest.mark.parametrize("dimensions", [MODEL, KEY])
@pytest.mark.parametrize("newest_only", [False, True])
@pytest.mark.parametrize(
    ("requests", "tokens", "ratios"),
    [(59, 499_999, (59 / 60, 0.999998)), (60, 500_000, (1, 1)), (61, 500_001, (61 / 60, 1.000002))],
)
def test_ratios(requests: int, tokens: int, ratios: Any, newest_only: bool, dimensions: Dimensions) -> None:
    """They are below 1, 1, and above 1; a minute without calls has ratios of 0."""
    values = {"rpm": float(requests), "total_tokens": float(tokens)}
    *before, newest = minutes({"chat": {"rpm": 60, "tpm": 500_000}}, values, dimensions, newest_only)
    assert (newest.fields["requests_limit_ratio"], newest.fields["tokens_limit_ratio"]) == ratios
    idle = [(each.fields["requests_limit_ratio"], each.fields["tokens_limit_ratio"]) for each in before]
    assert idle == ([] if newest_only else [(0, 0)])


@pytest.mark.parametrize(
    ("limits", "values", "requests", "tokens"),
    [
        ({"chat": {"rpm": 60}}, {"rpm": 30.0, "total_tokens": 7.0}, 0.5, None),
        ({"chat": {"tpm": 10}}, {"rpm": 30.0, "total_tokens": 7.0}, None, 0.7),
        ({"chat": {"rpm": 60, "tpm": 10}}, {"rpm": 30.0, "latency_avg": 5.0}, 0.5, None),
        ({"chat": {"rpm": 60, "tpm": 10}}, {"latency_avg": 5.0}, None, None),
        ({"chat": {"rpm": 60}, "0f1e": {"rpm": 120}}, {"rpm": 30.0}, 0.25, None),
        ({"0f1e": {"rpm": 0.5}}, {"rpm": 30.0}, 60.0, None),
        ({"other": {"rpm": 60, "tpm": 10}}, {"rpm": 30.0, "total_tokens": 7.0}, None, None),
    ],
    ids=str,
)
def test_missing_ratio(
    limits: Dict[str, Any], values: Dict[str, float], requests: Optional[float], tokens: Optional[float]
) -> None:
    """Without the limit or the value there is no ratio; a limit of the model's id precedes that of its name."""
    (point,) = minutes(limits, values, newest_only=True)
    assert (point.fields.get("requests_limit_ratio"), point.fields.get("tokens_limit_ratio")) == (requests, tokens)
