"""Each limit of the state: one below, at, one above."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, List

import pytest
from msgspec import Struct

from maas_usage_check.scheduling.key_state import Salt
from maas_usage_check.state import Store, UnusableError, find_file, store

from ..fixed_clock import FixedClock


def append(state: Store, name: str = "", durable: bool = False) -> str:
    with state.entry(Salt, name, durable) as salt:
        salt.value += "x"
    return salt.value


def test_busy_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure the next change does not wait for the file's lock; the first success resets that."""
    waits: List[float] = []
    connect = sqlite3.connect

    def record_timeout(path: str, timeout: float, **options: Any) -> sqlite3.Connection:
        waits.append(timeout)
        connection: sqlite3.Connection = connect(path, timeout=timeout, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", record_timeout)
    path = tmp_path / "s.sqlite3"
    state = Store(lambda: str(path))
    path.write_bytes(b"noise" * 1000)
    with pytest.raises(UnusableError), state.transaction():
        pass
    path.unlink()
    for _ in range(2):
        with state.transaction() as transaction:
            waits.append(transaction.run("PRAGMA busy_timeout").fetchone()[0] / 1000)
        state.close()
    assert waits == [2.0, 0.0, 2.0, 2.0, 2.0]


class FakeLock:
    """A lock that another thread may have acquired."""

    is_locked = False

    def __init__(self) -> None:
        self.waits: List[float] = []

    def acquire(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return not self.is_locked

    def release(self) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


def test_hanging_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that hangs in the file is waited for once; the first success resets that. Entries go on in memory."""
    lock = FakeLock()
    monkeypatch.setattr(store, "threading", SimpleNamespace(Lock=lambda: lock))
    state = Store(lambda: str(tmp_path / "s.sqlite3"))
    for lock.is_locked in (True, True, False, True):
        with contextlib.suppress(UnusableError), state.transaction():
            pass
    assert lock.waits == [2.0, 0.0, 0.0, 2.0]
    assert state.unreadable
    lock.is_locked = False
    append(state)
    assert not state.unreadable
    lock.is_locked = True
    assert [append(state), append(state)] == ["xx", "xxx"]
    assert state.unreadable


def test_durable_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only durable changes are synchronous."""
    statements: List[str] = []
    connect = sqlite3.connect

    def trace(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", trace)
    state = Store(lambda: str(tmp_path / "s.sqlite3"))
    for durable in (True, True, False, True):
        append(state, durable=durable)
    state.close()
    append(state, durable=True)
    traced = [line for line in statements if line.startswith(("PRAGMA synchronous", "UPDATE entries"))]
    modes = ["change" if line.startswith("UPDATE") else line.split("=")[-1] for line in traced]
    assert modes == ["FULL", "change", "change", "NORMAL", "change", "FULL", "change", "FULL", "change"]


class ShortLived(Struct):
    """An entry that is deleted after 100 s."""

    max_age_s: ClassVar[float] = 100.0

    count: int = 0


@pytest.mark.parametrize(("later", "count"), [(100, 2), (101, 1)])
def test_max_age(tmp_path: Path, later: int, count: int) -> None:
    """A new entry of the same kind deletes those past their maximum age."""
    clock = FixedClock()
    state = Store(lambda: str(tmp_path / "s.sqlite3"), now=clock.now)
    for name, seconds in (("old", 0), ("new", later), ("old", 0)):
        clock.at += seconds
        with state.entry(ShortLived, name) as entry:
            entry.count += 1
    assert entry.count == count


@pytest.mark.parametrize(
    ("folders", "found"), [("first:second", "first"), (":", "agent"), ("first/file/x:second", "agent")]
)
def test_folder_candidates(tmp_path: Path, folders: str, found: str) -> None:
    """Only the first of systemd's folders is tried; the Agent's is used even if others can write to it."""
    for name in ("first", "second", "agent"):
        (tmp_path / name).mkdir(0o700)
    (tmp_path / "first" / "file").touch()
    (tmp_path / "agent").chmod(0o777)
    listed = ":".join(str(tmp_path / name) if name else "" for name in folders.split(":"))
    assert find_file(None, {"STATE_DIRECTORY": listed}, str(tmp_path / "agent")).startswith(str(tmp_path / found))
