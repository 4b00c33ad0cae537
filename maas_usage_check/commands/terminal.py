"""Standard output as people read it: no letter and no full disk costs more than it must."""

from __future__ import annotations

import io
import os
from typing import Any, TextIO

from ..errors import MaasError
from .stdout_writer import write_all


class _Descriptor(io.RawIOBase):
    """Write to a descriptor; raise MaasError where that fails, so that it is told from every other trouble."""

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


def for_people(stream: TextIO) -> TextIO:
    """Wrap standard output: a letter that it cannot show becomes `?`, and what it cannot take is a MaasError."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = io.BufferedWriter(_Descriptor(stream.fileno()))
    return io.TextIOWrapper(raw, stream.encoding, "replace", line_buffering=stream.line_buffering)
