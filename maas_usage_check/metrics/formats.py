"""Encoders: pure functions from points to text, one small file per format."""

from __future__ import annotations

from typing import Callable, Sequence

from .catalogue import Point

FORMATS = ("influx", "prometheus", "json")

Encode = Callable[[Sequence[Point]], str]


def encoder(name: str) -> Encode:
    """Find the encoder of a format; only that one is imported."""
    if name == "prometheus":
        from .prometheus import encode
    elif name == "json":
        from .json_lines import encode
    else:
        from .influx import encode
    return encode
