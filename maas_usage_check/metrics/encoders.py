"""The encoders by name: pure functions from points to text, one small file per format."""

from __future__ import annotations

from typing import Callable, Sequence

from .points import Point

FORMATS = ("influx", "prometheus", "json")

Encode = Callable[[Sequence[Point]], str]


def find_encoder(name: str) -> Encode:
    """Find the encoder of a format; only that one is imported."""
    if name == "prometheus":
        from . import prometheus

        return prometheus.encode
    if name == "json":
        from . import json_lines

        return json_lines.encode
    from . import influx

    return influx.encode
