from __future__ import annotations

import os
from pathlib import Path

import pytest

from maas_usage_check.store.ownership import make_file, make_folder

NOBODY = 65534
root = pytest.mark.skipif(os.getuid() != 0, reason="only root writes for others")


def owner(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid


@root
def test_what_root_makes_belongs_to_whom_its_folder_belongs(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    folder = tmp_path / "a" / "b"
    make_folder(str(folder))
    os.close(make_file(str(folder / "file")))
    for path in (folder.parent, folder, folder / "file"):
        assert owner(path) == (NOBODY, NOBODY)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "file").stat().st_mode & 0o777 == 0o600


@root
def test_what_is_there_keeps_its_owner(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    os.chown(tmp_path, NOBODY, NOBODY)
    os.close(make_file(str(tmp_path / "file")))
    assert owner(tmp_path / "file") == (0, 0)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        make_file(str(tmp_path / "link"))
    assert not (tmp_path / "target").exists()
