"""The metrics under the names that Datadog knows them by, and the table that describes them to it."""

from __future__ import annotations

import csv
import io

from .catalogue import CATALOGUE

COLUMNS = (
    "metric_name metric_type interval unit_name per_unit_name description orientation integration short_name "
    "curated_metric"
).split()
BETTER_HIGH = frozenset({"up", "coverage_ratio"})
BETTER_LOW = frozenset({"errors", "error_ratio", "failed_queries"})


def metric_name(measurement: str, field: str) -> str:
    """Name a field as a Datadog metric: huawei_maas_usage and errors make huawei_maas.usage.errors."""
    return f"{measurement.replace('huawei_maas_', 'huawei_maas.')}.{field}"


def metadata_csv() -> str:
    """Write the catalogue in the form of `metadata.csv`; every metric is a gauge, being the state of a range."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for measurement, fields in CATALOGUE.items():
        for field in fields:
            orientation = (field.name in BETTER_HIGH) - (field.name in BETTER_LOW)
            name, short = metric_name(measurement, field.name), field.name.replace("_", " ")
            rows.writerow([name, "gauge", "", field.unit, "", field.description, orientation, "huawei_maas", short, ""])
    return text.getvalue()
