"""Prometheus text format: metrics with HELP and TYPE, and no timestamps, which the textfile collector refuses."""

from __future__ import annotations

from typing import Dict, List, Sequence

from .catalogue import CATALOGUE, COUNT, Catalogue
from .points import OWN_TAGS, Point, plain_name

RANGE_HELP = " Never add it up over the label `range`: ranges overlap."


def encode(points: Sequence[Point], catalogue: Catalogue = CATALOGUE) -> str:
    """Write the points grouped by metric, in the catalogue's order."""
    lines: List[str] = []
    for measurement, fields in catalogue.items():
        mine = [point for point in points if point.measurement == measurement]
        for field in fields:
            is_count = field.nature == COUNT
            metric = f"{measurement}_{field.name}{'_total' if is_count else ''}"
            samples = [
                f"{metric}{_labels(point.tags)} {point.fields[field.name]!r}"
                for point in mine
                if field.name in point.fields
            ]
            if samples:
                warning = RANGE_HELP if "range" in mine[0].tags else ""
                lines.append(f"# HELP {metric} {field.description}{warning}")
                lines.append(f"# TYPE {metric} {'counter' if is_count else 'gauge'}")
                lines.extend(samples)
    return "".join(f"{line}\n" for line in lines)


def _labels(tags: Dict[str, str]) -> str:
    labels: Dict[str, str] = {}
    for key, value in sorted(tags.items()):
        name = plain_name(key)
        # Two keys that differ only in what a label name cannot hold; the plugin's own tags keep their names.
        while name in labels or (name in OWN_TAGS and name in tags and name != key):
            name += "x"
        labels[name] = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
