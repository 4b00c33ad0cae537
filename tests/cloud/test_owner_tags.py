"""The owners of labels and keys are tags, and no part of a series' name in the ledger."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from maas_usage_check.cloud import Statistics
from maas_usage_check.cloud.cloud_eye import CloudEye, Dimensions
from maas_usage_check.cloud.source import HourSeries
from maas_usage_check.config import load_instance

SEARCH = {"search": {"api_keys": ["team-search"], "cost_center": "CC-4711"}}
FIND = {"find": {"api_keys": ["team-search"]}}


def all_series(keys: Dict[str, Any]) -> List[HourSeries]:
    """Return the series of all calls, of a label, of a model, and of a key of it."""
    shared = {"hourly": True, "models": True, "api_keys": ["team-search"], "per_api_key": True}
    instance = load_instance({**shared, **keys}, {}, "instances[0]")
    source = CloudEye()
    of_models = [source.hour_series(instance, "p", each) for each in (Dimensions("0f1e"), Dimensions("0f1e", "ea60"))]
    return [*Statistics().hour_series(instance, "p"), *of_models]


@pytest.mark.parametrize(
    ("keys", "of_label", "of_key"),
    [
        ({}, {}, {"api_key": "ea60"}),
        ({"key_names": {"ea60": "team-search"}}, {}, {"api_key": "team-search"}),
        (
            {"teams": FIND},
            {"team": "find", "cost_center": "unassigned"},
            {"api_key": "ea60", "team": "unassigned", "cost_center": "unassigned"},
        ),
        (
            {"key_names": {"ea60": "team-search"}, "teams": SEARCH},
            {"team": "search", "cost_center": "CC-4711"},
            {"api_key": "team-search", "team": "search", "cost_center": "CC-4711"},
        ),
    ],
    ids=str,
)
def test_owner_tags(keys: Dict[str, Any], of_label: Dict[str, str], of_key: Dict[str, str]) -> None:
    """Only the series of a label and of a key have an owner; the names are those without one."""
    series, plain = all_series(keys), all_series({})
    assert [each.name for each in series] == [each.name for each in plain]
    kinds = {"service_type": "preset", "infer_type": "real_time"}
    assert [each.tags for each in series] == [
        kinds,
        {**kinds, "api_key_label": "team-search", **of_label},
        {"maas_api_id": "0f1e", "model": "0f1e"},
        {"maas_api_id": "0f1e", "model": "0f1e", "maas_key_id": "ea60", **of_key},
    ]
