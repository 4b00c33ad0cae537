"""Each limit of the state: one below it, at it, one above."""

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


def change(state: Store, name: str = "", durable: bool = False) -> str:
    with state.entry(Salt, name, durable) as salt:
        salt.value += "x"
    return salt.value


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
    with pytest.raises(UnusableError), state.transaction():
        pass
    path.rmdir()
    for _ in range(2):
        with state.transaction() as connection:
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
        with contextlib.suppress(UnusableError), state.transaction():
            pass
    assert turn.waits == [2.0, 0.0, 0.0, 2.0]
    assert state.unreadable
    turn.held = False
    change(state)
    assert not state.unreadable


def test_durable_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that must survive a power failure is synchronous, and no other one is."""
    said: List[str] = []
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(said.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    state = Store(lambda: str(tmp_path / "s.sqlite3"))
    for durable in (True, True, False, True):
        change(state, durable=durable)
    state.close()
    change(state, durable=True)
    kept = [line for line in said if line.startswith(("PRAGMA synchronous", "INSERT"))]
    modes = ["change" if line.startswith("INSERT") else line.split("=")[-1] for line in kept]
    assert modes == ["FULL", "change", "change", "NORMAL", "change", "FULL", "change", "FULL", "change"]


class Brief(Struct):
    """An entry that is forgotten after 100 s."""

    max_age_s: ClassVar[float] = 100.0

    count: int = 0

    def merge(self, unwritten: Brief) -> Brief:
        return unwritten


@pytest.mark.parametrize(("later", "count"), [(100, 2), (101, 1)])
def test_age_of_an_entry(tmp_path: Path, later: int, count: int) -> None:
    """An entry is forgotten after its time, when another one of its kind is made."""
    clock = FixedClock()
    state = Store(lambda: str(tmp_path / "s.sqlite3"), now=clock.now)
    for name, seconds in (("old", 0), ("new", later), ("old", 0)):
        clock.at += seconds
        with state.entry(Brief, name) as entry:
            entry.count += 1
    assert entry.count == count


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that cannot be written is read from the file all the same."""
    connect = sqlite3.connect

    def full(path: str, **options: Any) -> sqlite3.Connection:
        if "uri" not in options:
            raise sqlite3.OperationalError("database or disk is full")
        made: sqlite3.Connection = connect(path, **options)
        return made

    path = str(tmp_path / "s.sqlite3")
    change(Store(lambda: path), "old")
    monkeypatch.setattr(sqlite3, "connect", full)
    state = Store(lambda: path)
    for name, value in (("new", "x"), ("old", "xx")):
        assert (change(state, name), state.unreadable) == (value, False)


@pytest.mark.parametrize(
    ("folders", "found"), [("first:second", "first"), (":", "agent"), ("first/file/x:second", "agent")]
)
def test_which_folder(tmp_path: Path, folders: str, found: str) -> None:
    """Of systemd's folders the first counts alone; the Agent's own serves although others can write to it."""
    for name in ("first", "second", "agent"):
        (tmp_path / name).mkdir(0o700)
    (tmp_path / "first" / "file").touch()
    (tmp_path / "agent").chmod(0o777)
    listed = ":".join(str(tmp_path / name) if name else "" for name in folders.split(":"))
    assert find_file(None, {"STATE_DIRECTORY": listed}, str(tmp_path / "agent")).startswith(str(tmp_path / found))
