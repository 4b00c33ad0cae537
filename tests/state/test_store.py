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

from maas_usage_check.state import MissingError, Store, Transaction, UnusableError
from maas_usage_check.state import store as store_module
from maas_usage_check.state.kernel_lock import KernelLock
from maas_usage_check.state.schema import VERSION, is_current, migrate


class Tally(Struct):
    """An entry like those of the other rooms."""

    max_age_s: ClassVar[float] = 100.0

    count: int = 0


def open_store(path: object, warn: Callable[[str], object]) -> Store:
    return Store(lambda: str(path), warn, lambda: 0.0)


def increment(store: Store, name: str = "a") -> int:
    with store.entry(Tally, name) as tally:
        tally.count += 1
    return tally.count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "s.sqlite3"


@pytest.fixture
def warnings() -> List[str]:
    return []


def test_entries_persist(path: Path, warnings: List[str]) -> None:
    """The next process reads the entries; other users cannot."""
    assert increment(open_store(path, warnings.append)) == 1
    assert increment(open_store(path, warnings.append)) == 2
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert warnings == []


def fail_within(store: Store, error: Exception) -> None:
    with store.entry(Tally, "a") as tally:
        tally.count = 99
        raise error


def test_exception_rolls_back(path: Path, warnings: List[str]) -> None:
    for store in (open_store(path, warnings.append), Store()):
        increment(store)
        for error in (KeyError("x"), UnusableError("x")):
            with pytest.raises(type(error), match="x"):
                fail_within(store, error)
        assert increment(store) == 2


def test_concurrent_threads(path: Path, warnings: List[str]) -> None:
    store = open_store(path, warnings.append)
    threads = [threading.Thread(target=lambda: [increment(store) for _ in range(20)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert increment(store) == 41
    assert warnings == []


def test_close(path: Path, warnings: List[str]) -> None:
    """A closed store leaves one file and opens it again when used."""
    store = open_store(path, warnings.append)
    increment(store)
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["s.sqlite3"]
    assert increment(store) == 2


UNUSABLE = {
    "noise": (lambda path: path.write_bytes(os.urandom(20_000)), "move it away"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "move it away"),
    "another program's": (lambda path: execute(path, "PRAGMA application_id=7"), "another program's"),
    "no application id": (lambda path: execute(path, "PRAGMA application_id=0"), "another program's"),
    "a newer version's": (lambda path: execute(path, f"PRAGMA user_version={VERSION + 1}"), "update, or set state_dir"),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
    "a link": (lambda path: path.symlink_to(path.rename(path.with_name("elsewhere"))), "not a regular file"),
    "a link to nothing": (lambda path: (path.unlink(), path.symlink_to("nothing")), "not a regular file"),
}


def execute(path: Path, statement: str, *values: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute(statement, values)
        file.commit()


@pytest.mark.parametrize("kind", UNUSABLE)
def test_unusable_file(path: Path, warnings: List[str], kind: str) -> None:
    """An unusable file is not changed; one warning has the remedy, and the entries live in memory."""
    store = open_store(path, warnings.append)
    increment(store, "b")
    store.close()
    damage, cause = UNUSABLE[kind]
    damage(path)  # type: ignore[no-untyped-call]
    before = path.read_bytes() if path.is_file() else b""
    store = open_store(path, warnings.append)
    assert [increment(store), increment(store)] == [1, 2]
    assert store.unreadable == (cause in ("move it away", "not a regular file"))
    assert len(warnings) == 1
    assert cause in warnings[0]
    assert warnings[0].startswith(f"{path}: cannot ")
    assert (path.read_bytes() if path.is_file() else b"") == before
    path.rename(path.with_suffix(".away"))
    assert increment(store) == 1, "the entries stayed in memory although a new file could be created"
    assert increment(open_store(path, warnings.append)) == 2
    assert len(warnings) == 1


def test_damaged_entry(path: Path, warnings: List[str]) -> None:
    """A damaged entry is reset with a warning."""
    increment(open_store(path, warnings.append))
    execute(path, 'UPDATE entries SET value = \'{"count": "many"}\'')
    assert increment(open_store(path, warnings.append)) == 1
    assert "damaged and reset" in warnings[0]
    assert increment(open_store(path, warnings.append)) == 2
    assert len(warnings) == 1


def test_any_value(path: Path, warnings: List[str]) -> None:
    """Any stored value is read or reset."""
    store = open_store(path, warnings.append)
    increment(store)

    @given(st.text(max_size=50))
    def check(text: str) -> None:
        execute(path, "UPDATE entries SET value = ?", text.encode("utf-8", "replace").decode())
        assert increment(store) >= 1

    check()


def test_locked_file(path: Path, warnings: List[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file cannot be used, memory goes on from it; then the file holds. A later failure is warned of."""
    monkeypatch.setattr(store_module, "BUSY_TIMEOUT_S", 0.001)
    store = open_store(path, warnings.append)
    increment(store)
    for warned, in_memory, in_file in ((1, [2, 3], 2), (2, [3, 4], 3)):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert [increment(store), increment(store)] == in_memory
        assert "another process keeps it locked" in warnings[-1]
        assert increment(store) == in_file
        assert len(warnings) == warned
    assert increment(open_store(path, warnings.append)) == 4


def test_full_disk(path: Path, warnings: List[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While a change cannot be written, though a transaction begins, memory goes on; then the file holds."""
    store = open_store(path, warnings.append)
    increment(store)

    def fail(transaction: Transaction, name: str, entry: Struct) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(Transaction, "put", fail)
        assert [increment(store) for _ in range(3)] == [2, 3, 4]
    assert [increment(store), increment(open_store(path, warnings.append))] == [2, 3]
    assert len(warnings) == 1


def test_wait_of_another_process(path: Path, warnings: List[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file can be read but not written, the entry is that of the file, though another process changed it."""
    monkeypatch.setattr(store_module, "BUSY_TIMEOUT_S", 0.001)
    store = open_store(path, warnings.append)
    increment(store)
    for _ in range(5):
        increment(open_store(path, warnings.append))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert [increment(store), increment(store, "b")] == [7, 1]
        assert not store.unreadable


def test_file_moved_away(path: Path, warnings: List[str]) -> None:
    """If the file is moved away under a running process, a new one is created."""
    store = open_store(path, warnings.append)
    increment(store)
    for file in path.parent.iterdir():
        file.unlink()
    increment(store)
    assert path.exists()
    assert increment(open_store(path, warnings.append)) == 2
    assert warnings == []


ACQUIRE = """
import sys
from maas_usage_check.state.kernel_lock import KernelLock
print(*map(KernelLock(sys.argv[1]).acquire, "ab"))
"""


def test_kernel_lock(tmp_path: Path) -> None:
    """Only one process has a lock, until it releases it or dies."""
    path = str(tmp_path / "lock")
    lock = KernelLock(path)
    assert lock.acquire("a") is True
    for acquired in (b"False True\n", b"True True\n"):
        assert subprocess.check_output([sys.executable, "-c", ACQUIRE, path]) == acquired
        lock.release("a")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_unusable_lock_file(path: Path, make: Callable[[str], None]) -> None:
    """A lock file that is a pipe, a folder or a link does not block or fail."""
    path.parent.mkdir()
    make(f"{path}-lock")
    store = open_store(path, pytest.fail)
    increment(store)
    store.acquire("a")
    store.release("a")
    assert increment(store) == 2


def test_memory_only(tmp_path: Path) -> None:
    """A store without a file writes nothing, and its locks are always acquired."""
    store = Store()
    assert [increment(store), increment(store)] == [1, 2]
    assert store.acquire("a") is True
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_transaction(path: Path, warnings: List[str]) -> None:
    """Entries and rows change together or not at all; a missing entry has its defaults."""
    store = open_store(path, warnings.append)
    with store.transaction() as transaction:
        assert transaction.get(Tally, "a") == Tally()
        transaction.put("a", Tally(7))
        transaction.run("UPDATE clock SET at = 8")
    with contextlib.suppress(KeyError), store.transaction() as transaction:
        transaction.put("a", Tally(9))
        transaction.run("UPDATE clock SET at = 9")
        raise KeyError
    for reader in (store, open_store(path, warnings.append)):
        with reader.snapshot() as transaction:
            assert (transaction.get(Tally, "a"), transaction.run("SELECT at FROM clock").fetchone()) == (Tally(7), (8,))
            with pytest.raises(sqlite3.OperationalError):
                transaction.put("a", Tally(9))
    assert increment(store) == 8
    assert warnings == []


class OldTally(Struct):
    """A renamed kind without an age."""

    stored_kind: ClassVar[str] = "Tally"

    count: int = 0


def test_renamed_kind(path: Path, warnings: List[str]) -> None:
    store = open_store(path, warnings.append)
    increment(store)
    with store.entry(OldTally, "a") as tally:
        assert tally.count == 1
    with store.transaction() as transaction:
        assert transaction.get(OldTally, "a").count == 1


@pytest.mark.parametrize(
    "damage", ["SELECT * FROM no_such_table", "INSERT INTO entries VALUES ('Tally', 'b', x'ff', 0)"]
)
def test_damaged_transaction(path: Path, warnings: List[str], damage: str) -> None:
    """Damage makes a transaction fail, and is not reset."""
    store = open_store(path, warnings.append)
    increment(store)
    for begin in (store.transaction, open_store(path, warnings.append).transaction):
        with pytest.raises(UnusableError, match=r"damaged .*; move it away"), begin() as transaction:
            transaction.run(damage), transaction.get(Tally, "b")
    assert increment(store) == 2
    assert warnings == []


def test_snapshot_isolation(path: Path, warnings: List[str]) -> None:
    """A snapshot does not change while others write."""
    store = open_store(path, warnings.append)
    increment(store)
    with open_store(path, warnings.append).snapshot() as snapshot:
        before = snapshot.get(Tally, "a")
        increment(store)
        assert snapshot.get(Tally, "a") == before == Tally(1)


def test_snapshot_of_a_missing_file(path: Path, warnings: List[str]) -> None:
    """A snapshot creates no file."""
    for store in (open_store(path, warnings.append), Store()):
        with pytest.raises(MissingError), store.snapshot():
            pytest.fail("there is no file")
    assert not path.exists()


@pytest.mark.parametrize("position", range(3))
def test_file_that_another_process_creates(tmp_path: Path, position: int) -> None:
    """A file whose tables are created before any statement of the check is not called another program's."""
    path = tmp_path / "state.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        statements: List[str] = []
        created: List[bool] = []

        def trace(statement: str) -> None:
            statements.append(statement)
            if len(statements) == position + 1:
                with contextlib.closing(sqlite3.connect(path, timeout=0)) as other:
                    migrate(other, str(path))  # raises, unseen, where the check has begun to read: one of them waits
                created.append(True)

        connection.set_trace_callback(trace)
        assert is_current(connection, str(path)) == bool(created)
        assert statements


@pytest.mark.parametrize(
    ("statement", "remedy"),
    [
        ("PRAGMA application_id=1", "another program's; move it away"),
        ("PRAGMA application_id=0", "another program's; move it away"),
        (f"PRAGMA user_version={VERSION + 1}", "a newer version of this plugin wrote it; update, or set state_dir"),
    ],
)
def test_file_of_another(path: Path, warnings: List[str], statement: str, remedy: str) -> None:
    """A file of another program or of a newer version is neither changed nor read."""
    increment(open_store(path, warnings.append))
    execute(path, statement)
    store = open_store(path, warnings.append)
    for begin in (store.transaction, store.snapshot):
        with pytest.raises(UnusableError, match=remedy), begin():
            pytest.fail("the file is not ours")
