"""Points, the input of every encoder: their tags, valid in all formats, and their freshness.

In a format without a time, an old value must not look like a new one.
"""

from __future__ import annotations

import re
from typing import Dict, List, Match, Sequence, Union

from msgspec import Struct

from .catalogue import CATALOGUE, MINUTE_TIMESTAMPED

Number = Union[int, float]
MINUTE_S = 60
FRESH_S = 15 * MINUTE_S
"""Seconds after its end for which a minute is shown as current."""

RESERVED_TAGS = (
    "range", "service_type", "infer_type", "region", "project_id", "api_key_label",
    "maas_api_id", "model", "maas_key_id", "api_key", "currency",
)  # fmt: skip
FIELD_NAMES = frozenset(field.name for fields in CATALOGUE.values() for field in fields)
MAX_TAG_LENGTH = 200
"""The characters of `key:value` that Datadog keeps."""


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
    name = re.sub("[^A-Za-z0-9_]", _plain_letter, tag)
    # Labels cannot start with a digit; `__` is reserved.
    return f"tag_{name}" if name[:1].isdigit() or name.startswith("__") else name


def _plain_letter(match: Match[str]) -> str:
    """Return `_` for a character of ASCII, and the code point of any other, in as many digits as Python's escapes."""
    code = ord(match[0])
    return "_" if code < 0x80 else f"u{code:04x}" if code < 0x10000 else f"U{code:08x}"


def check_tag_key(key: str, reserved: Sequence[str] = RESERVED_TAGS) -> None:
    """Raise ValueError for the key of a tag that the plugin sets (`reserved`), or that some store cannot hold."""
    check_tag_text(key)
    name = plain_name(key)
    if name.lower() in (*reserved, "time"):  # Datadog and InfluxDB read them in any case
        name = name.lower()
    if name in reserved:
        reason = "is a tag that the plugin sets"
    elif name == "time":
        reason = "is InfluxDB's column of times, which cannot be a tag"
    elif key.startswith("_") or name in ("_field", "_measurement"):
        reason = "begins with `_`, which InfluxDB reserves for itself"
    elif name in FIELD_NAMES:
        reason = "is also a field, and InfluxDB cannot tell a tag and a field of one name apart"
    else:
        return
    spelling = "" if key == name or key[:1] == "_" else f", written `{name}` in some formats,"
    raise ValueError(f"`{key}`{spelling} {reason}; choose another name")


def check_tag_text(text: str) -> None:
    """Raise ValueError for a key, or a `key:value`, that some format cannot represent: two series could become one."""
    if len(text) > MAX_TAG_LENGTH:
        raise ValueError(f"a tag must have at most {MAX_TAG_LENGTH} characters, with its key: Datadog cuts longer ones")
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
