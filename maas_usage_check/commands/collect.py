"""Write the points of one cycle to standard output or to a file."""

from __future__ import annotations

import os
from typing import List, Optional, Sequence

from ..collection import Batch
from ..errors import ConfigError
from ..metrics import API, MINUTE_TIMESTAMPED, Point, find_encoder
from .stdout_writer import StdoutWriter

LIVE = (API, *MINUTE_TIMESTAMPED)
"""Measurements that must not be shown after they expire."""
CHUNK_SIZE = 2000
"""Points per write, in line-based formats."""


def check_output(path: str) -> None:
    """Raise ConfigError if --output names a device or a pipe, which must not be replaced."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigError(f"--output: {path} is not a regular file; leave --output out to write to standard output")


def write_batches(batches: Sequence[Batch], format_name: str, path: Optional[str], writer: StdoutWriter) -> None:
    """Write the points of a cycle to a file, or to `writer` without a path; raise MaasError on failure."""
    points = [point for batch in batches for point in batch.points]
    if path is None:
        # A month of hours in one text would take as much memory again as its points.
        size = CHUNK_SIZE if format_name != "prometheus" else max(1, len(points))
        for i in range(0, len(points), size):
            writer.write(find_encoder(format_name)(points[i : i + size]).encode())
        return
    files = {path: points}
    if format_name == "prometheus":
        # Two files: after a failure the usage file keeps its old timestamp; health and live metrics are replaced.
        stem = path[:-5] if path.endswith(".prom") else path
        usage: List[Point] = [point for point in points if point.measurement not in LIVE]
        live = [point for point in points if point.measurement in LIVE]
        # A failed cycle has counters too; an existing file already contains them.
        replace_usage = usage and (any(batch.collected for batch in batches) or not os.path.exists(path))
        files = {**({path: usage} if replace_usage else {}), f"{stem}.api.prom": live}
    try:
        for name, file_points in files.items():
            replace_file(name, find_encoder(format_name)(file_points).encode(), mode=0o644)
    except OSError as error:
        raise ConfigError(f"--output: {path} cannot be written ({error.strerror}); check the folder") from None


def replace_file(path: str, content: bytes, mode: int) -> None:
    """Replace a file atomically: readers see all of the old content or all of the new. Symlinks are followed."""
    path = os.path.realpath(path)
    temporary = f"{path}.{os.urandom(4).hex()}.tmp"
    try:
        # O_EXCL does not follow a symlink that somebody else created; 0600 until the content is complete.
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
