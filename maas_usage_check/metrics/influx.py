"""InfluxDB line protocol, in the grammar of Telegraf's parser.

One malformed line would lose a whole run. So an empty tag, backslashes at the end of a tag, and NUL, which the grammar
cannot represent, are dropped.
"""

from __future__ import annotations

from typing import Dict, Sequence, Tuple

from .points import Number, Point

# A backslash in a tag is not escaped: parsers would keep both.
ESCAPES = str.maketrans(
    {"\0": None, "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", ",": r"\,", " ": r"\ ", "=": r"\="}
)


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
    return value.translate(ESCAPES).rstrip("\\")


def _number(value: Number) -> str:
    return f"{value}i" if isinstance(value, int) else repr(value)
