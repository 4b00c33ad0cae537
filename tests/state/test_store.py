from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Callable, ClassVar, List

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from maas_usage_check.state import Store, UnusableError, database
from maas_usage_check.state.database import SCHEMA_VERSION
from maas_usage_check.state.kernel_lock import KernelLock


class Tally(Struct):
    """An entry as a room of the plugin has them."""

    max_age_s: ClassVar[float] = 100.0

    count: int = 0

    def merge(self, unwritten: Tally) -> Tally:
        return Tally(self.count + unwritten.count)


def at(path: object, warn: Callable[[str], object]) -> Store:
    return Store(lambda: str(path), warn, lambda: 0.0)


def count(store: Store, name: str = "a") -> int:
    with store.entry(Tally, name) as tally:
        tally.count += 1
    return tally.count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "s.sqlite3"


@pytest.fixture
def warnings() -> List[str]:
    return []


def test_what_one_process_keeps_the_next_one_finds_and_nobody_else_can_read(path: Path, warnings: List[str]) -> None:
    assert count(at(path, warnings.append)) == 1
    assert count(at(path, warnings.append)) == 2
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert warnings == []


def test_a_block_that_raises_leaves_the_entry_as_it_was(path: Path, warnings: List[str]) -> None:
    for store in (at(path, warnings.append), Store()):
        count(store)
        with contextlib.suppress(KeyError), store.entry(Tally, "a") as tally:
            tally.count = 99
            raise KeyError
        assert count(store) == 2


def test_threads_at_once_lose_nothing(path: Path, warnings: List[str]) -> None:
    store = at(path, warnings.append)
    threads = [threading.Thread(target=lambda: [count(store) for _ in range(20)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(store) == 41
    assert warnings == []


def test_a_closed_store_leaves_one_file_and_can_be_used_on(path: Path, warnings: List[str]) -> None:
    store = at(path, warnings.append)
    count(store)
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["s.sqlite3"]
    assert count(store) == 2


SPOILT = {
    "noise": (lambda path: path.write_bytes(os.urandom(20_000)), "move it away"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "move it away"),
    "another program's": (lambda path: execute(path, "PRAGMA application_id=7"), "another program's"),
    "without a mark": (lambda path: execute(path, "PRAGMA application_id=0"), "another program's"),
    "a newer version's": (lambda path: execute(path, "PRAGMA user_version=2"), "update, or set state_dir"),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
    "a link": (lambda path: path.symlink_to(path.rename(path.with_name("elsewhere"))), "not a regular file"),
    "a link to nothing": (lambda path: (path.unlink(), path.symlink_to("nothing")), "not a regular file"),
}


def execute(path: Path, statement: str, *values: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute(statement, values)
        file.commit()


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_file_is_left_alone_with_the_remedy_and_the_run_goes_on_in_memory(
    path: Path, warnings: List[str], kind: str
) -> None:
    store = at(path, warnings.append)
    count(store, "b")
    store.close()
    spoil, words = SPOILT[kind]
    spoil(path)  # type: ignore[no-untyped-call]
    before = path.read_bytes() if path.is_file() else b""
    store = at(path, warnings.append)
    assert [count(store), count(store)] == [1, 2]
    assert len(warnings) == 1
    assert words in warnings[0]
    assert warnings[0].startswith(f"{path}: cannot ")
    assert (path.read_bytes() if path.is_file() else b"") == before
    path.rename(path.with_suffix(".away"))
    assert count(store) == 3, "it went on in memory although the file could be made again"
    assert count(at(path, warnings.append)) == 4
    assert len(warnings) == 1


def test_a_damaged_entry_begins_anew_with_a_warning(path: Path, warnings: List[str]) -> None:
    count(at(path, warnings.append))
    execute(path, 'UPDATE entries SET value = \'{"count": "many"}\'')
    assert count(at(path, warnings.append)) == 1
    assert "damaged and reset" in warnings[0]
    assert count(at(path, warnings.append)) == 2
    assert len(warnings) == 1


def test_any_value_of_an_entry_is_read_or_begun_anew(path: Path, warnings: List[str]) -> None:
    store = at(path, warnings.append)
    count(store)

    @given(st.text(max_size=50))
    def check(text: str) -> None:
        execute(path, "UPDATE entries SET value = ?", text.encode("utf-8", "replace").decode())
        assert count(store) >= 1

    check()


def test_what_was_kept_in_memory_meanwhile_joins_the_file_as_soon_as_it_can_be_written(
    path: Path, warnings: List[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trouble that comes again is said again."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.001)
    store = at(path, warnings.append)
    count(store)
    # The file's and memory's join by the rule of this entry, and one more is counted.
    for said, in_memory, joined in ((1, [2, 3], 1 + 3 + 1), (2, [6, 7], 5 + 7 + 1)):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert [count(store), count(store)] == in_memory
        assert "another process keeps it locked" in warnings[-1]
        assert count(store) == joined
        assert len(warnings) == said
    assert count(at(path, warnings.append)) == 14


def test_a_file_that_was_moved_away_under_a_running_process_is_made_anew(path: Path, warnings: List[str]) -> None:
    store = at(path, warnings.append)
    count(store)
    for file in path.parent.iterdir():
        file.unlink()
    count(store)
    assert path.exists()
    assert count(at(path, warnings.append)) == 2
    assert warnings == []


TAKE = """
import sys
from maas_usage_check.state.kernel_lock import KernelLock
print(*map(KernelLock(sys.argv[1]).acquire, "ab"))
"""


def test_a_lock_is_one_processes_until_it_is_released_or_dead(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    lock = KernelLock(path)
    assert lock.acquire("a") is True
    for taken in (b"False True\n", b"True True\n"):
        assert subprocess.check_output([sys.executable, "-c", TAKE, path]) == taken
        lock.release("a")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_a_lock_file_that_is_none_holds_nobody_up(path: Path, make: Callable[[str], None]) -> None:
    path.parent.mkdir()
    make(f"{path}-lock")
    store = at(path, pytest.fail)
    count(store)
    store.acquire("a")
    store.release("a")
    assert count(store) == 2


def test_without_a_file_nothing_is_written_and_locks_are_this_processes_own(tmp_path: Path) -> None:
    store = Store()
    assert [count(store), count(store)] == [1, 2]
    assert store.acquire("a") is True
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_a_look_at_another_rooms_tables_sees_what_is_written_and_changes_nothing(
    path: Path, warnings: List[str]
) -> None:
    store = at(path, warnings.append)
    with store.transaction() as connection:
        connection.execute("CREATE TABLE room (number INTEGER)")
        connection.execute("INSERT INTO room VALUES (7)")
    for looking in (store, at(path, warnings.append)):
        with looking.read_snapshot() as connection:
            assert connection.execute("SELECT number FROM room").fetchall() == [(7,)]
            with pytest.raises(sqlite3.OperationalError):
                connection.execute("INSERT INTO room VALUES (8)")
    with pytest.raises(UnusableError), store.read_snapshot() as connection:
        connection.execute("SELECT number FROM no_such_room")
    assert count(store) == 1
    assert warnings == []


def test_a_look_sees_one_moment_while_others_write(path: Path, warnings: List[str]) -> None:
    store = at(path, warnings.append)
    with store.transaction() as connection:
        connection.execute("CREATE TABLE room (number INTEGER)")
    with at(path, warnings.append).read_snapshot() as connection:
        before = connection.execute("SELECT * FROM room").fetchall()
        with store.transaction() as writer:
            writer.execute("INSERT INTO room VALUES (8)")
        assert connection.execute("SELECT * FROM room").fetchall() == before == []


@pytest.mark.parametrize(
    "statement", ["PRAGMA application_id=1", f"PRAGMA user_version={SCHEMA_VERSION + 1}", "PRAGMA application_id=0"]
)
def test_a_look_at_what_is_not_ours_or_not_there_is_refused_and_makes_no_file(
    path: Path, warnings: List[str], statement: str
) -> None:
    with pytest.raises(UnusableError), at(path, warnings.append).read_snapshot():
        pytest.fail("there is nothing to see")
    assert not path.exists()
    count(at(path, warnings.append))
    execute(path, statement)
    with pytest.raises(UnusableError), at(path, warnings.append).read_snapshot():
        pytest.fail("it is not ours")
    with pytest.raises(UnusableError), Store().read_snapshot():
        pytest.fail("there is no file")
