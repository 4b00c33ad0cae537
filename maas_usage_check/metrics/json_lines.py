"""JSON, one point per line."""

from __future__ import annotations

import json
from typing import Sequence

from .points import Point


def encode(points: Sequence[Point]) -> str:
    """Encode each point as one object of measurement, tags, fields and time (nanoseconds)."""
    return "".join(
        json.dumps({name: getattr(point, name) for name in point.__struct_fields__}, ensure_ascii=False) + "\n"
        for point in points
    )
