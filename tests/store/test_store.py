from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.store.store import Document, FileState, KeyEntry, MemoryState, open_state, read


def count(document: Document) -> None:
    document.keys.setdefault("key", KeyEntry()).refusals += 1


def count_often(folder: str) -> None:
    for _ in range(50):
        FileState(folder, print).update(count)


def test_what_one_process_keeps_the_next_one_finds(tmp_path: Path) -> None:
    FileState(str(tmp_path), pytest.fail).update(count)
    document = FileState(str(tmp_path), pytest.fail).update(count)
    assert document.keys["key"].refusals == 2
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=count_often, args=(str(tmp_path),)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert FileState(str(tmp_path), pytest.fail).update(lambda document: None).keys["key"].refusals == 150
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "state.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\x00" * 100,
        b"[]",
        b'{"version": 1, "keys": []}',
        b'{"version":1,"keys":{"k":{"refusals":"x"}}}',
        b"[" * 99_999,
    ],
)
def test_a_damaged_file_is_replaced_with_a_warning(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    warnings: List[str] = []
    assert FileState(str(tmp_path), warnings.append).update(count).keys["key"].refusals == 1
    assert ["was damaged" in warning for warning in warnings] == [True]
    FileState(str(tmp_path), pytest.fail).update(count)


def test_a_file_from_a_newer_version_is_replaced_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(b'{"version": 2, "new": true}')
    warnings: List[str] = []
    FileState(str(tmp_path), warnings.append).update(count)
    assert "another version" in warnings[0]


@given(st.binary(max_size=300))
def test_any_content_is_read_or_replaced(content: bytes) -> None:
    assert isinstance(read(content, lambda text: None, "state.json"), Document)


def test_a_folder_that_cannot_be_made_is_a_warning_and_the_state_lives_on_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    warnings: List[str] = []
    state = FileState(str(tmp_path / "file" / "folder"), warnings.append)
    state.update(count)
    assert state.update(count).keys["key"].refusals == 2
    assert len(warnings) == 1
    assert "set state_dir" in warnings[0]


def test_the_folder_is_the_configured_one_then_systemds_then_the_users(tmp_path: Path) -> None:
    configured, systemd, user = (tmp_path / name for name in ("configured", "systemd", "user"))
    systemd_environ = {"STATE_DIRECTORY": f"{systemd}:/other", "XDG_STATE_HOME": str(user)}
    open_state(str(configured), pytest.fail, systemd_environ).update(count)
    open_state(None, pytest.fail, systemd_environ).update(count)
    open_state(None, pytest.fail, {"XDG_STATE_HOME": str(user)}).update(count)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("state.json"))
    assert found == ["configured/state.json", "systemd/state.json", "user/maas-usage-check/state.json"]


def test_a_temporary_folder_that_somebody_else_could_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    unusable = {"XDG_STATE_HOME": "/proc/nowhere"}
    folder = tmp_path / f"maas-usage-check-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    warnings: List[str] = []
    assert isinstance(open_state(None, warnings.append, unusable), MemoryState)
    assert "set state_dir" in warnings[0]
    folder.chmod(0o700)
    assert isinstance(open_state(None, pytest.fail, unusable), FileState)
