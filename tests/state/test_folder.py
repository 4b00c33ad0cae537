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
    """Name the folder of this user in a temporary folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"maas-usage-check-{os.getuid()}"


def test_the_folder_is_the_configured_one_then_systemds_then_the_agents_then_the_users(tmp_path: Path) -> None:
    configured, systemd, agents, user = (str(tmp_path / name) for name in ("configured", "systemd", "agents", "user"))
    everything = {"STATE_DIRECTORY": f"{systemd}:/other", "XDG_STATE_HOME": user}
    assert find_file(configured, everything, agents) == os.path.join(configured, NAME)
    assert find_file(None, everything, agents) == os.path.join(systemd, NAME)
    assert find_file(None, {"XDG_STATE_HOME": user}, agents) == os.path.join(agents, NAME)
    assert find_file(None, {"XDG_STATE_HOME": user}) == os.path.join(user, "maas-usage-check", NAME)


def test_systemds_folder_may_be_a_link_and_the_users_own_may_not(tmp_path: Path) -> None:
    target, link = tmp_path / "private", tmp_path / "link"
    target.mkdir(mode=0o700)
    link.symlink_to(target)
    assert find_file(None, {"STATE_DIRECTORY": str(link)}) == str(target / NAME)
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "maas-usage-check").symlink_to(target)
    found = find_file(None, {"XDG_STATE_HOME": str(tmp_path / "user"), "STATE_DIRECTORY": ""})
    assert not found.startswith(str(tmp_path / "user"))


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_a_temporary_folder_is_made_closed_to_others_and_one_that_somebody_else_could_write_is_not_used(
    temporary: Path, mode: int
) -> None:
    found = find_file(None, NOWHERE)
    assert found == str(temporary / NAME)
    assert temporary.stat().st_mode & 0o777 == 0o700
    temporary.chmod(mode)
    with pytest.raises(UnusableError, match="set state_dir"):
        find_file(None, NOWHERE)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_temporary_folder_that_belongs_to_somebody_else_is_not_used(temporary: Path) -> None:
    temporary.mkdir(mode=0o700)
    os.chown(temporary, 65534, 65534)
    with pytest.raises(UnusableError):
        find_file(None, NOWHERE)


def test_where_nothing_at_all_can_be_written_that_is_a_trouble_with_a_remedy_and_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a read-only root, without a home, with a full /tmp."""
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/proc/nowhere"])
    with pytest.raises(UnusableError, match="no writable folder for the state"):
        find_file(None, NOWHERE)


@pytest.mark.parametrize(
    ("own", "above", "remedy"),
    [
        (0o700, 0o755, ""), (0o755, 0o700, ""), (0o700, 0o1777, ""),
        (0o777, 0o755, "chmod go-w {own}"), (0o720, 0o755, "chmod go-w {own}"), (0o700, 0o777, "chmod go-w {above}"),
        (0o1777, 0o755, "name a folder of mode 0700 in it"), (None, 0o1777, ""),
        (None, 0o777, "chmod go-w {above}"),
    ],
)  # fmt: skip
def test_a_folder_that_others_can_write_or_replace_is_told_with_the_remedy(
    tmp_path: Path, own: Optional[int], above: int, remedy: str
) -> None:
    folder = tmp_path / "above" / "own"
    folder.parent.mkdir()
    if own is not None:
        folder.mkdir()
        folder.chmod(own)
    folder.parent.chmod(above)
    said = writable_by_others(str(folder))
    assert (said or "").endswith(remedy.format(own=folder, above=folder.parent))
    assert bool(said) == bool(remedy)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_in_a_shared_one_is_told_and_a_link_to_it_too(tmp_path: Path) -> None:
    folder, link = tmp_path / "shared" / "theirs", tmp_path / "link"
    folder.mkdir(parents=True, mode=0o700)
    link.symlink_to(folder)
    folder.parent.chmod(0o1777)
    assert writable_by_others(str(link)) is None
    os.chown(folder, 65534, 65534)
    assert "others can write to" in (writable_by_others(str(link)) or "")
