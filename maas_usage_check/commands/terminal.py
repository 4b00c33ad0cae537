"""Standard output for people: unencodable characters become `?`, write errors become a MaasError."""

from __future__ import annotations

import io
import os
from typing import Any, TextIO

from ..errors import MaasError
from .stdout_writer import write_all


class _Descriptor(io.RawIOBase):
    """Write to a descriptor; raise MaasError on failure, to distinguish it from other errors."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            write_all(self._descriptor, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise MaasError(f"standard output cannot be written ({error.strerror}); check where it goes") from None
        return len(data)


def wrap_stdout(stream: TextIO) -> TextIO:
    """Replace characters that the stream cannot encode by `?`, and raise MaasError on write errors."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = io.BufferedWriter(_Descriptor(stream.fileno()))
    return io.TextIOWrapper(raw, stream.encoding, "replace", line_buffering=stream.line_buffering)
