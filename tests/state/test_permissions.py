from __future__ import annotations

import os
from pathlib import Path

import pytest

from maas_usage_check.state.permissions import make_file, make_folder

NOBODY = 65534


def owner(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change an owner")
def test_files_of_root(tmp_path: Path) -> None:
    """Files that root creates get the owner of their folder; an existing file keeps its owner."""
    (tmp_path / "existing").touch()
    os.chown(tmp_path, NOBODY, NOBODY)
    folder = tmp_path / "a" / "b"
    make_folder(str(folder))
    os.close(make_file(str(folder / "file")))
    for path, mode in ((folder.parent, 0o700), (folder, 0o700), (folder / "file", 0o600)):
        assert owner(path) == (NOBODY, NOBODY)
        assert path.stat().st_mode & 0o777 == mode
    os.close(make_file(str(tmp_path / "existing")))
    assert owner(tmp_path / "existing") == (0, 0)


def test_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        make_file(str(tmp_path / "link"))
    assert not (tmp_path / "target").exists()
