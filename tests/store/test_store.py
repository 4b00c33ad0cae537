from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Callable, Iterator, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.store import Store, UnusableError, database
from maas_usage_check.store.database import VERSION

from . import tally
from .tally import Tally, at, count


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


def test_entries_are_told_apart_by_name(path: Path, warnings: List[str]) -> None:
    store = at(path, warnings.append)
    assert [count(store, name) for name in "abab"] == [1, 1, 2, 2]


def test_an_entry_is_forgotten_after_its_time_when_a_new_one_comes(path: Path, warnings: List[str]) -> None:
    count(at(path, warnings.append, now=0.0), "old")
    count(at(path, warnings.append, now=99.0), "young")
    count(at(path, warnings.append, now=101.0), "new")
    assert [count(at(path, warnings.append, now=101.0), name) for name in ("old", "young", "new")] == [1, 2, 2]


def process(path: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start another process; see tally.py."""
    command = [sys.executable, tally.__file__, str(path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")


def test_processes_and_threads_at_once_lose_nothing(
    path: Path, warnings: List[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 60.0)
    processes = [process(path, "count", "30") for _ in range(2)]
    store = at(path, warnings.append)
    threads = [threading.Thread(target=lambda: [count(store) for _ in range(20)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.communicate()[0] for each in processes] == ["", ""]
    assert [each.returncode for each in processes] == [0, 0]
    assert count(store) == 101
    assert warnings == []


def test_a_closed_store_leaves_one_file_and_can_be_used_on(path: Path, warnings: List[str]) -> None:
    store = at(path, warnings.append)
    count(store)
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["s.sqlite3"]
    assert count(store) == 2


SPOILT = {
    "noise": (lambda path: path.write_bytes(os.urandom(20_000)), "move it away"),
    "a text": (lambda path: path.write_text("{}" * 1000), "move it away"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "move it away"),
    "another program's": (lambda path: execute(path, "PRAGMA application_id=7"), "another program's"),
    "without a mark": (lambda path: execute(path, "PRAGMA application_id=0"), "another program's"),
    "a newer version's": (lambda path: execute(path, "PRAGMA user_version=2"), "update, or set state_dir"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
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
    for _ in range(60):
        count(store, os.urandom(200).hex())
    store.close()
    spoil, words = SPOILT[kind]
    spoil(path)  # type: ignore[no-untyped-call]
    before = path.read_bytes() if path.is_file() else b""
    store = at(path, warnings.append)
    assert [count(store), count(store)] == [1, 2]
    assert len(warnings) == 1
    assert words in warnings[0]
    assert f"state file {path} cannot be used" in warnings[0]
    assert (path.read_bytes() if path.is_file() else b"") == before
    path.rename(path.with_suffix(".away"))
    assert count(store) == 3, "it went on in memory although the file could be made again"
    assert count(at(path, warnings.append)) == 4
    assert len(warnings) == 1


def test_a_link_that_somebody_planted_is_not_followed(path: Path, warnings: List[str], tmp_path: Path) -> None:
    path.parent.mkdir()
    for target in (tmp_path / "existing", tmp_path / "missing"):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        (tmp_path / "existing").write_text("")
        path.symlink_to(target)
        assert count(at(path, warnings.append)) == 1
    assert (tmp_path / "existing").read_text() == ""
    assert not (tmp_path / "missing").exists()
    assert all("not a regular file" in warning for warning in warnings)


def test_a_damaged_entry_begins_anew_with_a_warning(path: Path, warnings: List[str]) -> None:
    count(at(path, warnings.append))
    execute(path, 'UPDATE entries SET value = \'{"count": "many"}\'')
    assert count(at(path, warnings.append)) == 1
    assert "was damaged" in warnings[0]
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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a lock for next to nothing."""
    monkeypatch.setattr(database, "PATIENCE", 0.001)


@pytest.mark.usefixtures("impatient")
def test_what_was_kept_in_memory_meanwhile_joins_the_file_as_soon_as_it_can_be_written(
    path: Path, warnings: List[str]
) -> None:
    store = at(path, warnings.append)
    count(store)
    with locked(path):
        assert [count(store), count(store)] == [2, 3]
        assert "another process keeps it locked" in warnings[0]
    # The file's 1 and memory's 3, by the rule of this entry, and one more.
    assert count(store) == 5
    assert count(at(path, warnings.append)) == 6
    assert len(warnings) == 1


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.usefixtures("impatient")
def test_a_trouble_that_comes_again_is_said_again(path: Path, warnings: List[str]) -> None:
    store = at(path, warnings.append)
    count(store)
    for said in (1, 2):
        with locked(path):
            count(store)
            count(store)
        count(store)
        assert len(warnings) == said


def test_a_file_that_was_moved_away_under_a_running_process_is_made_anew(path: Path, warnings: List[str]) -> None:
    store = at(path, warnings.append)
    count(store)
    for file in path.parent.iterdir():
        file.unlink()
    count(store)
    assert path.exists()
    assert count(at(path, warnings.append)) == 2
    assert warnings == []


def test_a_lock_is_one_processes_until_it_is_released_or_dead(path: Path) -> None:
    store = at(path, pytest.fail)
    count(store)
    assert store.take("a") is True
    assert process(path, "take", "a", "b").communicate()[0] == "False True"
    store.release("a")
    assert process(path, "take", "a", "b").communicate()[0] == "True True"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_a_lock_file_that_is_none_holds_nobody_up(path: Path, make: Callable[[str], None]) -> None:
    path.parent.mkdir()
    make(f"{path}-lock")
    store = at(path, pytest.fail)
    count(store)
    store.take("a")
    store.release("a")
    assert count(store) == 2


def test_without_a_file_nothing_is_written_and_locks_are_this_processes_own(tmp_path: Path) -> None:
    store = Store()
    assert [count(store), count(store)] == [1, 2]
    assert store.take("a") is True
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_a_look_at_another_rooms_tables_sees_what_is_written_and_changes_nothing(
    path: Path, warnings: List[str]
) -> None:
    store = at(path, warnings.append)
    with store.tables() as connection:
        connection.execute("CREATE TABLE room (number INTEGER)")
        connection.execute("INSERT INTO room VALUES (7)")
    for looking in (store, at(path, warnings.append)):
        with looking.look() as connection:
            assert connection.execute("SELECT number FROM room").fetchall() == [(7,)]
            with pytest.raises(sqlite3.OperationalError):
                connection.execute("INSERT INTO room VALUES (8)")
    with pytest.raises(UnusableError), store.look() as connection:
        connection.execute("SELECT number FROM no_such_room")
    assert count(store) == 1
    assert warnings == []


def test_a_look_sees_one_moment_while_others_write(path: Path, warnings: List[str]) -> None:
    store = at(path, warnings.append)
    with store.tables() as connection:
        connection.execute("CREATE TABLE room (number INTEGER)")
    with at(path, warnings.append).look() as connection:
        before = connection.execute("SELECT * FROM room").fetchall()
        with store.tables() as writer:
            writer.execute("INSERT INTO room VALUES (8)")
        assert connection.execute("SELECT * FROM room").fetchall() == before == []


@pytest.mark.parametrize(
    "statement", ["PRAGMA application_id=1", f"PRAGMA user_version={VERSION + 1}", "PRAGMA application_id=0"]
)
def test_a_look_at_what_is_not_ours_or_not_there_is_refused_and_makes_no_file(
    path: Path, warnings: List[str], statement: str
) -> None:
    with pytest.raises(UnusableError), at(path, warnings.append).look():
        pytest.fail("there is nothing to see")
    assert not path.exists()
    count(at(path, warnings.append))
    execute(path, statement)
    with pytest.raises(UnusableError), at(path, warnings.append).look():
        pytest.fail("it is not ours")
    with pytest.raises(UnusableError), Store().look():
        pytest.fail("there is no file")
