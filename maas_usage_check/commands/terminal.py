"""Standard output for people: unencodable characters become `?`, write errors become a MaasError."""

from __future__ import annotations

import io
from typing import Any, TextIO

from .stdout_writer import write_all


class _Stdout(io.FileIO):
    def write(self, data: Any) -> int:
        write_all(self.fileno(), data)
        return len(data)


def wrap_stdout(stream: TextIO) -> TextIO:
    """Replace characters that the stream cannot encode by `?`, and raise MaasError on write errors."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = io.BufferedWriter(_Stdout(stream.fileno(), "wb", closefd=False))
    return io.TextIOWrapper(raw, stream.encoding, "replace", line_buffering=stream.line_buffering)
