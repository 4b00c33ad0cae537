"""Points, the input of every encoder: their tags, valid in all formats, and their freshness.

In a format without a time, an old value must not look like a new one.
"""

from __future__ import annotations

import re
from typing import Dict, List, Sequence, Union

from msgspec import Struct

from .catalogue import MINUTE_TIMESTAMPED

Number = Union[int, float]
MINUTE_S = 60
FRESH_S = 15 * MINUTE_S
"""Seconds after its end for which a minute is shown as current."""

RESERVED_TAGS = (
    "range", "service_type", "infer_type", "region", "project_id", "api_key_label",
    "maas_api_id", "model", "maas_key_id", "api_key", "currency",
)  # fmt: skip


class Point(Struct, frozen=True, gc=False):
    """One point: tags and fields of a measurement at a time in nanoseconds since 1970.

    Points are not tracked by the garbage collector (`gc`), for no reference cycle can contain one, and a cycle may emit
    40,000.
    """

    measurement: str
    tags: Dict[str, str]
    fields: Dict[str, Number]
    time: int


def plain_name(tag: str) -> str:
    """Return a tag's name in characters valid in every format. Two tags with the same result collide in some format."""
    name = re.sub("[^A-Za-z0-9_]", "_", tag)
    # Labels cannot start with a digit; `__` is reserved.
    return f"tag_{name}" if name[:1].isdigit() or name.startswith("__") else name


def check_tag_text(text: str) -> None:
    """Raise ValueError for the key or value of a tag that some format cannot represent: two series could become one."""
    if text.endswith("\\"):
        raise ValueError("a tag's key or value must not end in a backslash: line protocol cannot represent it")
    if re.search("[\0-\x1f\x7f-\x9f]", text):
        raise ValueError("a tag must not contain a control character such as a line break or NUL")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("contains a lone surrogate (half a character), which no agent accepts")


def is_fresh(minute_s: float, now_s: float) -> bool:
    """Return whether the minute that begins at `minute_s` may be shown as current. Times are seconds since 1970."""
    return minute_s + MINUTE_S + FRESH_S >= now_s


def fresh_points(points: Sequence[Point], now_s: float) -> List[Point]:
    """Drop the points of minutes that are not fresh. `now_s` is in seconds since 1970."""
    return [
        point
        for point in points
        if point.measurement not in MINUTE_TIMESTAMPED or is_fresh(point.time / 1_000_000_000, now_s)
    ]
