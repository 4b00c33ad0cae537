from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud.credentials import (
    Credentials,
    from_environment,
    from_file,
    parse,
    readable_by_others,
)
from maas_usage_check.errors import QueryError, Result

AK, SK, TOKEN = "AKTESTONLY", "sk/test+only==", "token/with=signs,and,commas"

SHAPES = {
    "lines with comments and blanks": f"# my key\n\n  {AK}  \n\n# secret\n\t{SK}\n\n",
    "lines of windows": f"{AK}\r\n{SK}\r\n",
    "comma with blanks": f"  {AK} , {SK} ",
    "assignments with a byte order mark": f"\ufeffHW_ACCESS_KEY={AK}\r\nHW_SECRET_KEY={SK}",
    "assignments with blanks in another order": f"HW_SECRET_KEY = {SK} \n HW_ACCESS_KEY = {AK}",
    "shell": f"export HW_ACCESS_KEY=\"{AK}\"\nexport HW_SECRET_KEY='{SK}'\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_file_formats(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "credentials"
    path.write_bytes(SHAPES[shape].encode())
    assert from_file(str(path)) == Credentials(AK, SK)


def test_security_token() -> None:
    for text in (f"{AK}\n{SK}\ntoken==\n", f"HW_ACCESS_KEY={AK}\nHW_SECRET_KEY={SK}\nHW_SECURITY_TOKEN=token==\n"):
        assert parse(text.encode(), "f") == Credentials(AK, SK, "token==")
    assert parse(f"{AK}\n{SK}\n{TOKEN}".encode(), "f").token == TOKEN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ONLYONE\n", "none of the three shapes"),
        (b"A\nB\nC\nD\n", "none of the three shapes"),
        (b"HW_ACCESS_KEY=A\n", "has no HW_SECRET_KEY"),
        (b"HW_ACCESS_KEY=\nHW_SECRET_KEY=B\n", "has no HW_ACCESS_KEY"),
        (b"A B,C\n", "contains a blank"),
        (b"AK=ONLYONE\nSK=def\n", "has `=` in the access key"),
        (b"\xff\xfeA\x00", "not UTF-8"),
        ("ключ,B".encode(), "contains a blank or an invalid character"),
        (f"{'a' * 40},B".encode(), "looks like a secret key"),
        (f"{'a' * 41},B".encode(), "looks like a secret key"),
        (f"A\nB\n{'a' * 40}".encode(), "looks like a secret key"),
        (b"A\nB\nB", "looks like a secret key"),
        (b"B,B", "looks like a secret key"),
        (b"A,", "has no secret key: add it"),
    ],
)
def test_invalid_file(content: bytes, message: str) -> None:
    """The error of an invalid file names the reason, and quotes nothing of the file."""
    with pytest.raises(QueryError) as refused:
        parse(content, "/etc/maas/credentials")
    assert refused.value.result == Result.NO_CREDENTIALS
    assert message in str(refused.value)
    assert "/etc/maas/credentials" in str(refused.value)
    assert "ONLYONE" not in str(refused.value)


@pytest.mark.parametrize("token", ["a" * 39, "a" * 41, f"b/{'a' * 40}", f"{'a' * 40}+b", f"{'a' * 20}-{'b' * 20}"])
def test_token_unlike_a_secret_key(token: str) -> None:
    """Base64 that only contains 40 letters and digits in a row is a token."""
    assert parse(f"A\nB\n{token}".encode(), "f") == Credentials("A", "B", token)


def test_access_key_unlike_a_secret_key() -> None:
    assert parse(f"{'a' * 39},B".encode(), "f").ak == "a" * 39


@pytest.mark.parametrize(("bytes_more", "is_valid"), [(0, True), (1, False)])
def test_file_size(tmp_path: Path, bytes_more: int, is_valid: bool) -> None:
    path = tmp_path / "credentials"
    path.write_bytes(b"A,B".ljust(65_536 + bytes_more))
    if is_valid:
        assert from_file(str(path)) == Credentials("A", "B")
    else:
        with pytest.raises(QueryError, match="is larger than 64 KiB: name a file with the key alone"):
            from_file(str(path))


@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "ignore")))
def test_any_bytes(content: bytes) -> None:
    """Any bytes are a key or NO_CREDENTIALS."""
    try:
        credentials = parse(content, "f")
    except QueryError as refused:
        assert refused.result == Result.NO_CREDENTIALS
    else:
        assert credentials.ak
        assert credentials.sk


def test_unreadable_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe", "\0"):
        with pytest.raises(QueryError) as refused:
            from_file(str(path))
        assert refused.value.result == Result.NO_CREDENTIALS


def test_environment() -> None:
    environ = {"HW_ACCESS_KEY": f" {AK}", "HW_SECRET_KEY": f"{SK}\n", "HW_SECURITY_TOKEN": "t"}
    assert from_environment(environ) == Credentials(AK, SK, "t")


@pytest.mark.parametrize("missing", ["HW_ACCESS_KEY", "HW_SECRET_KEY"])
def test_missing_variable(missing: str) -> None:
    with pytest.raises(QueryError, match=f"{missing} not set"):
        from_environment({"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, missing: " "})


def test_readable_by_others(tmp_path: Path) -> None:
    """A file that its group or everyone can read is reported with the remedy."""
    path = tmp_path / "credentials"
    path.touch()
    for mode, open_to_others in ((0o622, False), (0o640, True), (0o604, True)):
        path.chmod(mode)
        warning = readable_by_others(str(path), {})
        assert (warning or "").endswith(f"chmod 600 {path}") is open_to_others
    assert readable_by_others(str(tmp_path / "missing"), {}) is None


def test_systemd_credentials(tmp_path: Path) -> None:
    """The mode of a file in systemd's credentials directory is not reported."""
    path = tmp_path / "credentials"
    path.touch(0o440)
    assert readable_by_others(str(path), {"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None
    assert readable_by_others(str(path), {"CREDENTIALS_DIRECTORY": str(tmp_path.parent)})
    assert readable_by_others(str(path), {"CREDENTIALS_DIRECTORY": ""})
