"""InfluxDB line protocol, in the grammar of Telegraf's parser.

One malformed line would lose a whole run. So an empty tag is dropped, and characters that the grammar cannot represent
are percent-encoded: different tags remain different.
"""

from __future__ import annotations

import re
from typing import Dict, Sequence, Tuple

from .points import Number, Point

ESCAPES = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})
# A backslash is not escaped, as parsers would keep both. Some drop one before these characters, and none accepts one at
# the end. `%` is encoded before what would read as one of these codes.
UNSAFE = r'[\0-\x1f\x7f]|\\(?=[\\" ,=]|\Z)|%(?=[01][0-9A-F]|25|5C|7F)'


def encode(points: Sequence[Point]) -> str:
    """Encode each point as one line, with sorted tags and its time in nanoseconds."""
    heads: Dict[Tuple[str, int], str] = {}
    return "".join([_line(point, heads) for point in points])


def _line(point: Point, heads: Dict[Tuple[str, int], str]) -> str:
    # Points of one series share one dict of tags: encode it once, not thousands of times.
    series = (point.measurement, id(point.tags))
    head = heads.get(series)
    if head is None:
        head = heads[series] = _head(point)
    fields = ",".join([f"{name}={_number(value)}" for name, value in point.fields.items()])
    return f"{head} {fields} {point.time}\n"


def _head(point: Point) -> str:
    tags = sorted((_text(key), _text(value)) for key, value in point.tags.items())
    return ",".join([point.measurement, *(f"{key}={value}" for key, value in tags if key and value)])


def _text(value: str) -> str:
    if "\\" in value or "%" in value or not value.isprintable():
        value = re.sub(UNSAFE, lambda match: f"%{ord(match[0]):02X}", value)
    return value.translate(ESCAPES)


def _number(value: Number) -> str:
    return f"{value}i" if isinstance(value, int) else repr(value)
