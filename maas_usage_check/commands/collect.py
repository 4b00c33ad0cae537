"""Write the points of one cycle to standard output or to a file."""

from __future__ import annotations

import errno
import os
from typing import Callable, Dict, List, Optional, Sequence

from ..collection import Batch
from ..errors import ConfigError
from ..metrics import API, MINUTE_TIMESTAMPED, Point, find_encoder
from .stdout_writer import StdoutWriter

LIVE = (API, *MINUTE_TIMESTAMPED)
"""Measurements that must not be shown after they expire."""
CHUNK_SIZE = 2000
"""Points per write, in line-based formats."""
NOT_REPLACEABLE = (errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS)
"""Reasons why a file that can be written cannot be replaced: it is a mount, or its folder is read-only."""


def check_output(path: str) -> None:
    """Raise ConfigError if --output names a device or a pipe, which must not be replaced."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigError(f"--output: {path} is not a regular file; leave --output out to write to standard output")


def write_batches(
    batches: Sequence[Batch],
    format_name: str,
    path: Optional[str],
    writer: StdoutWriter,
    warn: Callable[[str], None],
) -> None:
    """Write the points of a cycle to a file, or to `writer` without a path; raise MaasError on failure.

    A file that can be written but not replaced is written in place, with a warning.
    """
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
        # A failed cycle has counters too; a file with content has them already.
        is_empty = not os.path.exists(path) or not os.path.getsize(path)
        replace_usage = usage and (any(batch.collected for batch in batches) or is_empty)
        files = {**({path: usage} if replace_usage else {}), f"{stem}.api.prom": live}
    in_place: Dict[str, str] = {}
    for name, file_points in files.items():
        try:
            reason = _write_file(name, find_encoder(format_name)(file_points).encode())
        except OSError as error:
            raise ConfigError(f"--output: {name} cannot be written ({error.strerror}); check the folder") from None
        if reason:
            in_place[name] = reason
    if in_place:
        *_, reason = in_place.values()
        others = "".join(f", which has {name} too" for name in files if name not in in_place)
        warn(
            f"--output: {' and '.join(in_place)} cannot be replaced ({reason}): written in place, where a reader may "
            f"see a part; mount the folder instead of the file, or let this user write to the folder{others}"
        )


def _write_file(path: str, content: bytes) -> str:
    """Replace a file. Write it in place if it cannot be replaced, and return the reason; else an empty string."""
    try:
        replace_file(path, content, mode=0o644)
    except OSError as error:
        if error.errno not in NOT_REPLACEABLE or not os.path.isfile(path):
            raise
        _write_in_place(path, content)
        return str(error.strerror)
    return ""


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


def _write_in_place(path: str, content: bytes) -> None:
    """Overwrite a file, then cut off the rest of its old content: it is never empty."""
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
