"""One cycle to standard output or to a file."""

from __future__ import annotations

import os
from typing import List, Optional, Sequence

from ..collection import Batch
from ..errors import ConfigError, MaasError
from ..metrics import API, MINUTE_TIMESTAMPED, Point, find_encoder
from .atomic_file import replace
from .stdout_writer import Output

LIVE = (API, *MINUTE_TIMESTAMPED)
"""What must never be shown longer than it holds."""
MANY = 2000
"""Points that are written at once, in formats of one line for each."""


def check_output(path: str) -> None:
    """Raise ConfigError for an --output that is there and is no file: a device or a pipe must not be replaced."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigError(f"--output: {path} is not a regular file; leave --output out to write to standard output")


def write(batches: Sequence[Batch], form: str, path: Optional[str], output: Output) -> None:
    """Write the points of a cycle in a format, to a file or else to the output; raise MaasError where it cannot."""
    points = [point for batch in batches for point in batch.points]
    if path is None:
        # A month of hours as one text would take as much memory again as its points.
        size = MANY if form != "prometheus" else max(1, len(points))
        for i in range(0, len(points), size):
            put(find_encoder(form)(points[i : i + size]), output)
        return
    files = {path: points}
    if form == "prometheus":
        # Two files: after a failure the old usage stays, visibly ageing, while health and what is live are rewritten.
        stem = path[:-5] if path.endswith(".prom") else path
        usage: List[Point] = [point for point in points if point.measurement not in LIVE]
        live = [point for point in points if point.measurement in LIVE]
        # Counters come out after a failure too, but where a file is, they are in it already.
        fresh = usage and (any(batch.collected for batch in batches) or not os.path.exists(path))
        files = {**({path: usage} if fresh else {}), f"{stem}.api.prom": live}
    try:
        for name, some in files.items():
            replace(name, find_encoder(form)(some).encode(), mode=0o644)
    except OSError as error:
        raise ConfigError(f"--output: {path} cannot be written ({error.strerror}); check the folder") from None


def put(text: str, output: Output) -> None:
    """Write a text to standard output; raise MaasError where it cannot be written."""
    try:
        output.put(text.encode())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise MaasError(f"standard output cannot be written ({error.strerror}); check where it goes") from None
