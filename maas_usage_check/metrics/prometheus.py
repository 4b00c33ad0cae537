"""Prometheus text format: metrics with HELP and TYPE, and no timestamps, which the textfile collector refuses."""

from __future__ import annotations

from typing import Dict, Iterator, List, Sequence, Tuple

from msgspec import Struct

from .catalogue import CATALOGUE, COUNT, Catalogue
from .points import RESERVED_TAGS, Number, Point, plain_name

RANGE_HELP = " Never add it up over the label `range`: ranges overlap."


class Family(Struct, frozen=True):
    """Hold one metric with its samples, which are labels and a value. A counter's name ends in `_total`."""

    name: str
    about: str
    is_counter: bool
    samples: List[Tuple[Dict[str, str], Number]]


def families(points: Sequence[Point], catalogue: Catalogue = CATALOGUE) -> Iterator[Family]:
    """Group the points by metric, in the catalogue's order."""
    for measurement, fields in catalogue.items():
        mine = [point for point in points if point.measurement == measurement]
        labelled = [(_labels(point.tags), point.fields) for point in mine]
        for field in fields:
            is_counter = field.nature == COUNT
            samples = [(labels, values[field.name]) for labels, values in labelled if field.name in values]
            if samples:
                warning = RANGE_HELP if "range" in mine[0].tags else ""
                name = f"{measurement}_{field.name}{'_total' if is_counter else ''}"
                yield Family(name, f"{field.description}{warning}", is_counter, samples)


def encode(points: Sequence[Point], catalogue: Catalogue = CATALOGUE) -> str:
    """Write the points grouped by metric, in the catalogue's order."""
    lines: List[str] = []
    for family in families(points, catalogue):
        lines.append(f"# HELP {family.name} {family.about}")
        lines.append(f"# TYPE {family.name} {'counter' if family.is_counter else 'gauge'}")
        lines.extend(f"{family.name}{_text(labels)} {value!r}" for labels, value in family.samples)
    return "".join(f"{line}\n" for line in lines)


def _labels(tags: Dict[str, str]) -> Dict[str, str]:
    labels: Dict[str, str] = {}
    for key, value in sorted(tags.items()):
        name = plain_name(key)
        # Two keys that differ only in what a label name cannot hold; the plugin's own tags keep their names.
        while name in labels or (name in RESERVED_TAGS and name in tags and name != key):
            name += "x"
        labels[name] = value
    return labels


def _text(labels: Dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
