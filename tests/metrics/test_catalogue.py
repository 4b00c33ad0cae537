"""The catalogue: names and types."""

from __future__ import annotations

from typing import Dict, Set

from maas_usage_check.cloud.cloud_eye import METRICS
from maas_usage_check.metrics import CATALOGUE, MODEL, MODEL_KEY


def test_one_type_per_name() -> None:
    """A field has the same type in all measurements, which Telegraf's `name_override` makes one."""
    kinds: Dict[str, Set[type]] = {}
    for fields in CATALOGUE.values():
        for field in fields:
            kinds.setdefault(field.name, set()).add(field.kind)
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


def test_fields_of_a_minute() -> None:
    """Each metric of Cloud Eye has one field of its own; all are floats."""
    fields = [metric.field for metric in METRICS.values()]
    for measurement in (MODEL, MODEL_KEY):
        kinds = {field.name: field.kind for field in CATALOGUE[measurement]}
        assert [kinds[name] for name in fields] == [float] * len(fields)
    assert len(fields) == len(set(fields))
