from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

import pytest

from maas_usage_check.state import UnusableError, find_file, writable_by_others

NAME = "maas-usage-check.sqlite3"
NOWHERE = {"XDG_STATE_HOME": "/proc/nowhere"}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return this user's folder in the temporary folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"maas-usage-check-{os.getuid()}"


def test_order_of_folders(tmp_path: Path) -> None:
    """The configured folder comes first, then systemd's, the Agent's, the user's."""
    configured, systemd, agent, user = (str(tmp_path / name) for name in ("configured", "systemd", "agent", "user"))
    everything = {"STATE_DIRECTORY": f"{systemd}:/other", "XDG_STATE_HOME": user}
    assert find_file(configured, everything, agent) == os.path.join(configured, NAME)
    assert find_file(None, everything, agent) == os.path.join(systemd, NAME)
    assert find_file(None, {"XDG_STATE_HOME": user}, agent) == os.path.join(agent, NAME)
    assert find_file(None, {"XDG_STATE_HOME": user}) == os.path.join(user, "maas-usage-check", NAME)


def test_links(tmp_path: Path) -> None:
    """systemd's folder may be a link; the user's may not."""
    target, link = tmp_path / "private", tmp_path / "link"
    target.mkdir(mode=0o700)
    link.symlink_to(target)
    assert find_file(None, {"STATE_DIRECTORY": str(link)}) == str(target / NAME)
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "maas-usage-check").symlink_to(target)
    found = find_file(None, {"XDG_STATE_HOME": str(tmp_path / "user"), "STATE_DIRECTORY": ""})
    assert not found.startswith(str(tmp_path / "user"))


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_temporary_folder(temporary: Path, mode: int) -> None:
    """A temporary folder is created private; one that others can write to is not used."""
    found = find_file(None, NOWHERE)
    assert found == str(temporary / NAME)
    assert temporary.stat().st_mode & 0o777 == 0o700
    temporary.chmod(mode)
    with pytest.raises(UnusableError, match="set state_dir"):
        find_file(None, NOWHERE)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change an owner")
def test_temporary_folder_of_another_user(temporary: Path) -> None:
    """A temporary folder of another user is not used."""
    temporary.mkdir(mode=0o700)
    os.chown(temporary, 65534, 65534)
    with pytest.raises(UnusableError):
        find_file(None, NOWHERE)


def test_no_writable_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only root, no home and a full /tmp are reported as UnusableError."""
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/proc/nowhere"])
    with pytest.raises(UnusableError, match="no writable folder for the state"):
        find_file(None, NOWHERE)


@pytest.mark.parametrize(
    ("own", "parent", "remedy"),
    [
        (0o700, 0o755, ""), (0o755, 0o700, ""), (0o700, 0o1777, ""),
        (0o777, 0o755, "chmod go-w {own}"), (0o720, 0o755, "chmod go-w {own}"), (0o700, 0o777, "chmod go-w {parent}"),
        (0o1777, 0o755, "name a folder of mode 0700 in it"), (None, 0o1777, ""),
        (None, 0o777, "chmod go-w {parent}"),
    ],
)  # fmt: skip
def test_writable_by_others(tmp_path: Path, own: Optional[int], parent: int, remedy: str) -> None:
    """A folder that others can write to or replace is reported with the remedy."""
    folder = tmp_path / "parent" / "own"
    folder.parent.mkdir()
    if own is not None:
        folder.mkdir()
        folder.chmod(own)
    folder.parent.chmod(parent)
    warning = writable_by_others(str(folder))
    assert (warning or "").endswith(remedy.format(own=folder, parent=folder.parent))
    assert bool(warning) == bool(remedy)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change an owner")
def test_folder_of_another_user(tmp_path: Path) -> None:
    """Another user's folder in a shared one is reported, and a link to it too."""
    folder, link = tmp_path / "shared" / "theirs", tmp_path / "link"
    folder.mkdir(parents=True, mode=0o700)
    link.symlink_to(folder)
    folder.parent.chmod(0o1777)
    assert writable_by_others(str(link)) is None
    os.chown(folder, 65534, 65534)
    assert "others can write to" in (writable_by_others(str(link)) or "")
