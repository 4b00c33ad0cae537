"""Datadog: samples for the Agent, and `metadata.csv`, which describes their metrics."""

from __future__ import annotations

import csv
import io
from typing import Iterator, List, Sequence

from msgspec import Struct

from .catalogue import CATALOGUE, GAUGE, HOUR_TIMESTAMPED, Catalogue
from .points import Number, Point

COLUMNS = (
    "metric_name metric_type interval unit_name per_unit_name description orientation integration short_name "
    "curated_metric"
).split()
BETTER_HIGH = frozenset({"up", "coverage_ratio", "covered_ratio"})
BETTER_LOW = frozenset(
    {
        "errors", "error_ratio", "failed_queries", "errors_4xx", "errors_5xx", "latency_seconds",
        "time_to_first_token_seconds", "time_per_output_token_seconds", "requests_limit_ratio", "tokens_limit_ratio",
        "used_ratio", "forecast_ratio",
    }
)  # fmt: skip


class Sample(Struct, frozen=True):
    """One value for the Agent; `nature` names the Agent's method, gauge or count."""

    nature: str
    name: str
    value: Number
    tags: List[str]


def samples(points: Sequence[Point], repeated: bool = False, catalogue: Catalogue = CATALOGUE) -> Iterator[Sample]:
    """Yield a sample for every field; with `repeated` (points submitted before) only for gauges."""
    for point in points:
        natures = {field.name: field.nature for field in catalogue[point.measurement]}
        tags = [f"{key}:{value}" for key, value in point.tags.items()]
        for field, value in point.fields.items():
            if natures[field] == GAUGE or not repeated:
                yield Sample(natures[field], metric_name(point.measurement, field), value, tags)


def metric_name(measurement: str, field: str) -> str:
    """Return a field's Datadog metric: huawei_maas_usage and errors make huawei_maas.usage.errors."""
    return f"{measurement.replace('huawei_maas_', 'huawei_maas.')}.{field}"


def metadata_csv(catalogue: Catalogue = CATALOGUE) -> str:
    """Return the text of `metadata.csv`: the part of the catalogue that the Agent submits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for measurement, fields in catalogue.items():
        if measurement in HOUR_TIMESTAMPED:
            continue
        for field in fields:
            orientation = (field.name in BETTER_HIGH) - (field.name in BETTER_LOW)
            name, short = metric_name(measurement, field.name), field.name.replace("_", " ")
            rest = ["", field.unit, "", field.description, orientation, "huawei_maas", short, ""]
            writer.writerow([name, field.nature, *rest])
    return text.getvalue()
