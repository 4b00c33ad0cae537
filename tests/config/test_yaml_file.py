"""Files that are unreadable or too large, aliases and merge keys; more are in the folder `wrong`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

from maas_usage_check.cloud import Statistics
from maas_usage_check.commands.runner import make_collectors
from maas_usage_check.config import load_file, load_warnings
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


def instances(count: int) -> str:
    return "instances:\n" + "".join(f"  - tags: ['n:{i}']\n" for i in range(count))


def one(ranges: int, tags: int = 1) -> str:
    days = ", ".join(f"last_{i}h" for i in range(3, 3 + ranges))
    return f"instances:\n  - {{ranges: [{days}], tags: [{', '.join(f'k{i}:v' for i in range(tags))}]}}\n"


def per_api_key(ranges: int, keys: int) -> str:
    return one(ranges).replace("{", f"{{per_api_key: true, api_keys: [{', '.join(f'k{i}' for i in range(keys))}], ", 1)


EXPANDS = "expands to more than 50,000 values through aliases (`*name`) and merge keys (`<<`)"
TOO_LARGE = {
    "a billion laughs": (
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)), EXPANDS),
    "merges of merges": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60)), EXPANDS),
    "many aliases of a long list": (f"a: &a [{'x, ' * 9_000}]\nb: [{'*a, ' * 9_000}]\n", EXPANDS),
    "a value that contains itself": ("a: &a {b: [*a]}\n", EXPANDS),
    "a large file": (f"# {'x' * 256 * 1024}\n", "is larger than 256 KiB"),
    "ranges": (one(1_001), "instances[0].ranges: has 1,001 entries; at most 1,000 are allowed"),
    "tags": (one(1, 101), "instances[0].tags: has 101 entries; at most 100 are allowed"),
    "instances": (instances(1_001), "instances: has 1,001 entries; at most 1,000 are allowed"),
    "series": (per_api_key(11, 909), "instances[0]: 10,010 series up to here"),
    "nested brackets": ("[" * 250_000, "is nested more than 50 levels deep"),
    "nested dashes": ("- " * 100_000, "is nested more than 50 levels deep"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_too_large(write: Write, kind: str) -> None:
    """A document that is too large, or expands to one, is refused with the limit."""
    text, limit = TOO_LARGE[kind]
    path = write(text)
    assert refusal(path).startswith(f"{path}: {limit}")


def test_largest(write: Write) -> None:
    """Files at the limits are accepted."""
    (instance,) = load_file(write(one(1_000, 100)), NOW)
    assert len(Statistics().plan(instance, int(NOW * 1000)).series) == 1_000
    (instance,) = load_file(write(per_api_key(10, 999)), NOW)
    assert len(Statistics().plan(instance, int(NOW * 1000)).series) == 10_000
    assert len(make_collectors(load_file(write(instances(1_000)), NOW), Store())) == 1_000


def test_warnings_with_many_labels_and_addresses(write: Write) -> None:
    """The comparison of calls ends, even with 400 labels and 400 addresses."""
    many = ", ".join(f"'10.0.{i}.{k}'" for i in range(4) for k in range(100))
    path = write(
        f"instances:\n  - &all {{tags: ['n:0'], api_keys: [{many}], ips: [{many}]}}\n"
        "  - {<<: *all, tags: ['n:1'], service_types: [my_service]}\n"
    )
    assert list(load_warnings(load_file(path, NOW), NOW)) == []


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
