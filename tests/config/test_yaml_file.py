"""Files that are unreadable, too large or nested too deep, aliases and merge keys; more are in the folder `wrong`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Callable, Optional

import pytest

from maas_usage_check.commands.runner import make_collectors
from maas_usage_check.config import load_file
from maas_usage_check.errors import ConfigError
from maas_usage_check.state import Store

from ..conftest import NOW

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> str:
        path = tmp_path / "conf.yaml"
        path.write_text(text)
        return str(path)

    return write


def refusal(path: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load_file(path, NOW)
    assert str(refused.value).isprintable()
    return str(refused.value)


def test_merge_keys(write: Write) -> None:
    """Overriding a merged key is no duplicate."""
    path = write(
        "instances:\n"
        "  - &one {timeout: 5, deadline: 9, tags: ['n:1']}\n"
        "  - &two {<<: *one, timeout: 6, tags: ['n:2']}\n"
        "  - {<<: [*two, *one], timeout: 7, tags: ['n:3']}\n"
    )
    assert [(each.timeout, each.deadline, each.tags) for each in load_file(path, NOW)] == [
        (5, 9, ("n:1",)), (6, 9, ("n:2",)), (7, 9, ("n:3",))
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["[" * 250_000, "- " * 100_000, "{a: " * 60_000, "? " * 100_000, "[\n" * 100_000])
def test_nested_too_deep(write: Write, text: str) -> None:
    """Deep nesting is refused; it would crash the C composer of PyYAML, and the process with it."""
    path = write(text)
    # Newer releases of PyYAML have a limit of their own, for brackets.
    assert re.match(f"{path}(: is nested too deep; check brackets and dashes|, line .*: not valid YAML)", refusal(path))


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
        "instances: &a [*a]\n",
        "instances: [&a {credentials: &b {credentials: *b, path: *a}}]\n",
        "instances: [{ranges: &a [*a]}]\n",
        "instances: [&a {<<: *a, x: 1}]\n",
    ],
)
def test_recursive_aliases(write: Write, text: str) -> None:
    """Aliases that repeat each other, or contain themselves, are wrong values as any other."""
    path = write(text)
    assert refusal(path).startswith(f"{path}: ")


@pytest.mark.parametrize(("bytes_more", "is_valid"), [(0, True), (1, False)])
def test_file_size(write: Write, bytes_more: int, is_valid: bool) -> None:
    text = "instances: [{}]\n#"
    path = write(text + "x" * (256 * 1024 - len(text) + bytes_more))
    if is_valid:
        assert load_file(path, NOW)
    else:
        assert refusal(path) == f"{path}: is larger than 256 KiB; shorten it, or check --config"


@pytest.mark.parametrize(("count", "is_valid"), [(1_000, True), (1_001, False)])
def test_instances(write: Write, count: int, is_valid: bool) -> None:
    path = write("instances:\n" + "".join(f"  - tags: ['n:{i}']\n" for i in range(count)))
    if is_valid:
        assert len(make_collectors(load_file(path, NOW), Store())) == count
    else:
        assert refusal(path) == f"{path}: instances: has 1,001 entries; at most 1,000 are allowed"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_not_a_regular_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "conf"
    make(path)
    assert refusal(str(path)) == f"{path}: is not a regular file; pass a YAML file as --config"


@pytest.mark.parametrize("content", [b"\x00", b"\x01", b"\xff\xfe\x00"])
def test_binary_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "conf.yaml"
    path.write_bytes(content)
    assert refusal(str(path)).startswith(f"{path}: not valid YAML")


def test_missing_file(tmp_path: Path) -> None:
    assert refusal(str(tmp_path / "missing.yaml")).startswith(f"{tmp_path}/missing.yaml: cannot be read (No such file")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("\ufeff# 用量\ninstances: [{}]\n".encode(), None),
        ("instances: [{}]\n".encode("utf-16"), "UTF-16, not UTF-8"),
        ("instances: [{}]\n".encode("utf-16-le"), "UTF-16, not UTF-8"),
        ("# 用量 \ninstances: [{}]\n".encode("utf-16-be"), "UTF-16, not UTF-8"),
        (b"\0a\0a\0\0aa", "UTF-16, not UTF-8"),
        ("# 用量\ninstances: [{}]\n".encode("gbk"), "not UTF-8 text, perhaps GBK"),
        (b"\xff", "not UTF-8 text, perhaps GBK"),
    ],
)
def test_encoding(tmp_path: Path, content: bytes, named: Optional[str]) -> None:
    path = tmp_path / "conf.yaml"
    path.write_bytes(content)
    if named:
        assert refusal(str(path)) == f"{path}: not valid YAML: it is {named}; save it as UTF-8"
    else:
        assert load_file(str(path), NOW)


def test_few_zeros(tmp_path: Path) -> None:
    """A file is not UTF-16 because of a NUL or two."""
    path = tmp_path / "conf.yaml"
    path.write_bytes(b"\0a\0aaaaa")
    assert refusal(str(path)) == f"{path}: not valid YAML; check indentation, colons and quotes there"
