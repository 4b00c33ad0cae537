"""Each limit of the state: one below it, at it, one above."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List

import pytest

from maas_usage_check.store import Store, UnusableError, store


def test_patience_with_a_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a trouble the file is not waited for; the first success resets that."""
    waits: List[float] = []
    connect = sqlite3.connect

    def recorded(path: str, timeout: float, **options: Any) -> sqlite3.Connection:
        waits.append(timeout)
        made: sqlite3.Connection = connect(path, timeout=timeout, **options)
        return made

    monkeypatch.setattr(sqlite3, "connect", recorded)
    path = tmp_path / "s.sqlite3"
    state = Store(lambda: str(path))
    path.mkdir()
    with pytest.raises(UnusableError), state.tables():
        pass
    path.rmdir()
    for _ in range(2):
        with state.tables() as connection:
            waits.append(connection.execute("PRAGMA busy_timeout").fetchone()[0] / 1000)
        state.close()
    assert waits == [0.0, 2.0, 2.0, 2.0]


class Turn:
    """A lock that another thread holds, or nobody."""

    held = False

    def __init__(self) -> None:
        self.waits: List[float] = []

    def acquire(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return not self.held

    def release(self) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


def test_patience_with_a_hanging_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a thread hangs in the file it is waited for once; the first success resets that."""
    turn = Turn()
    monkeypatch.setattr(store, "threading", SimpleNamespace(Lock=lambda: turn))
    state = Store(lambda: str(tmp_path / "s.sqlite3"))
    for turn.held in (True, True, False, True):
        with contextlib.suppress(UnusableError), state.tables():
            pass
    assert turn.waits == [2.0, 0.0, 0.0, 2.0]
