"""Prometheus text format with HELP and TYPE, without timestamps: the textfile collector refuses them."""

from __future__ import annotations

from typing import Dict, Iterator, List, Sequence, Tuple

from msgspec import Struct

from .catalogue import CATALOGUE, COUNT, Catalogue
from .points import RESERVED_TAGS, Number, Point, plain_name

RANGE_HELP = " Never add it up over the label `range`: ranges overlap."


class Family(Struct, frozen=True):
    """One metric and its samples (labels and value). A counter's name ends in `_total`."""

    name: str
    help_text: str
    is_counter: bool
    samples: List[Tuple[Dict[str, str], Number]]


def families(points: Sequence[Point], catalogue: Catalogue = CATALOGUE) -> Iterator[Family]:
    """Group the points by metric, in the catalogue's order."""
    for measurement, fields in catalogue.items():
        own = [point for point in points if point.measurement == measurement]
        labelled = [(_labels(point.tags), point.fields) for point in own]
        for field in fields:
            is_counter = field.nature == COUNT
            samples = [(labels, values[field.name]) for labels, values in labelled if field.name in values]
            if samples:
                warning = RANGE_HELP if "range" in own[0].tags else ""
                name = f"{measurement}_{field.name}{'_total' if is_counter else ''}"
                yield Family(name, f"{field.description}{warning}", is_counter, samples)


def encode(points: Sequence[Point], catalogue: Catalogue = CATALOGUE) -> str:
    """Encode the points grouped by metric, in the catalogue's order."""
    lines: List[str] = []
    for family in families(points, catalogue):
        lines.append(f"# HELP {family.name} {family.help_text}")
        lines.append(f"# TYPE {family.name} {'counter' if family.is_counter else 'gauge'}")
        lines.extend(f"{family.name}{_text(labels)} {value!r}" for labels, value in family.samples)
    return "".join(f"{line}\n" for line in lines)


def _labels(tags: Dict[str, str]) -> Dict[str, str]:
    labels: Dict[str, str] = {}
    for key, value in sorted(tags.items()):
        name = plain_name(key)
        # Two tags may become one name; the plugin's own tags keep theirs.
        while name in labels or (name in RESERVED_TAGS and name in tags and name != key):
            name += "x"
        labels[name] = value
    return labels


def _text(labels: Dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
