from __future__ import annotations

import os
from pathlib import Path

import pytest

from maas_usage_check.commands.collect import replace_file


def test_mode(tmp_path: Path) -> None:
    """The file gets its mode whatever the umask and the old mode are."""
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o600)
    before = os.umask(0o077)
    try:
        replace_file(str(path), b"new", 0o644)
    finally:
        os.umask(before)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644


def test_failure_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        replace_file(str(tmp_path / "folder"), b"new", 0o644)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_guessed_temporary_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A symlink at the temporary name is not followed."""
    monkeypatch.setattr(os, "urandom", lambda size: b"\0" * size)  # makes the random name known
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "file.00000000.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        replace_file(str(tmp_path / "file"), b"new", 0o644)
    assert (tmp_path / "victim").read_text() == "precious"


def test_symlink_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    replace_file(str(tmp_path / "link"), b"new", 0o644)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"new"
