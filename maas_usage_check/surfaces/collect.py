"""One cycle to standard output or to a file."""

from __future__ import annotations

import sys
from typing import List, Optional, Sequence

from ..cycle import Batch
from ..errors import ConfigError, MaasError
from ..metrics import API, Point, encoder
from .atomic_file import replace


def write(batches: Sequence[Batch], form: str, output: Optional[str]) -> None:
    """Write the points of a cycle in a format; without a file, to standard output. Raise MaasError where it cannot."""
    points = [point for batch in batches for point in batch.points]
    if output is None:
        _print(encoder(form)(points))
        return
    files = {output: points}
    if form == "prometheus":
        # Two files: after a failure the old usage stays, visibly ageing, while health is rewritten.
        stem = output[:-5] if output.endswith(".prom") else output
        usage: List[Point] = [point for point in points if point.measurement != API]
        health = [point for point in points if point.measurement == API]
        files = {**({output: usage} if usage else {}), f"{stem}.api.prom": health}
    try:
        for path, some in files.items():
            replace(path, encoder(form)(some).encode(), mode=0o644)
    except OSError as error:
        raise ConfigError(f"--output: {output} cannot be written ({error.strerror}); check the folder") from None


def _print(text: str) -> None:
    try:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise MaasError(f"standard output cannot be written ({error.strerror}); check where it goes") from None
