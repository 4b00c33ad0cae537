from __future__ import annotations

import os
from pathlib import Path

import pytest

from maas_usage_check.commands.atomic_file import replace


def test_a_file_gets_its_mode_whatever_the_umask_says_and_whatever_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o600)
    before = os.umask(0o077)
    try:
        replace(str(path), b"new", 0o644)
    finally:
        os.umask(before)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        replace(str(tmp_path / "folder"), b"new", 0o644)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_name_that_somebody_guessed_is_not_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: b"\0" * size)  # the name is random: here it is guessed
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "file.00000000.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        replace(str(tmp_path / "file"), b"new", 0o644)
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    replace(str(tmp_path / "link"), b"new", 0o644)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"new"
