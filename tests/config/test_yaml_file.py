"""A key that stands twice in one mapping is an error: YAML would keep the last and say nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Tuple

import pytest

from maas_usage_check.cloud import Statistics
from maas_usage_check.config import doubts, load_file
from maas_usage_check.cycle import make_collectors
from maas_usage_check.errors import ConfigError
from maas_usage_check.store import Store

from ..conftest import NOW, Program

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> str:
        path = tmp_path / "conf.yaml"
        path.write_text(text)
        return str(path)

    return write


TWICE = [
    ("instances:\n  - region: a\ninstances:\n  - region: b\n", "instances", (1, 3)),
    ("init_config:\ninstances:\n  - {}\ninit_config:\n", "init_config", (1, 4)),
    ("instances:\n  - region: a\n    timeout: 5\n    region: a\n", "instances[0].region", (2, 4)),
    ("instances:\n  - {}\n  - tags: [n:1]\n    credentials:\n      path: /a\n      'path': /b\n",
     "instances[1].credentials.path", (5, 6)),
    ("instances:\n  - ranges: [last_7d, {name: x, from: '2026-11-01',\n      name: y}]\n",
     "instances[0].ranges[1].name", (2, 3)),
    ("instances:\n  - {region: a, region: b}\n", "instances[0].region", (2, 2)),
    ("instances:\n  - extra_headers: {7: a,\n      7: b}\n", "instances[0].extra_headers.7", (2, 3)),
    ("instances:\n  - &a\n    timeout: 5\n    timeout: 6\n  - *a\n", "instances[0].timeout", (3, 4)),
    ("instances:\n  - &a {timeout: 5}\n  - <<: *a\n    timeout: 6\n    timeout: 7\n", "instances[1].timeout", (4, 5)),
    ("instances:\n  - &a {timeout: 5}\n  - <<: *a\n    <<: *a\n", "instances[1].<<", (3, 4)),
]  # fmt: skip


def refusal(path: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load_file(path, NOW)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(("text", "key", "lines"), TWICE, ids=[key for _, key, _ in TWICE])
def test_a_key_given_twice_is_named_with_both_lines(write: Write, text: str, key: str, lines: Tuple[int, int]) -> None:
    path, (first, second) = write(text), lines
    words = f"is there twice, in lines {first} and {second}; write it once, with all that it is to hold"
    assert refusal(path) == f"{path}: {key}: {words}"


def test_a_secret_given_twice_is_named_and_never_shown(program: Program) -> None:
    config = program.config("instances:\n  - sk: PLANTED-ONE\n    sk: PLANTED-TWO\n")
    done = program("collect", "--config", config)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"E! {config}: instances[0].sk: is there twice, in lines 2 and 3; ")
    assert "PLANTED" not in done.stderr


def test_what_is_merged_and_then_overridden_is_given_once(write: Write) -> None:
    path = write(
        "instances:\n"
        "  - &one {timeout: 5, deadline: 9, tags: ['n:1']}\n"
        "  - &two {<<: *one, timeout: 6, tags: ['n:2']}\n"
        "  - {<<: [*two, *one], timeout: 7, tags: ['n:3']}\n"
    )
    assert [(each.timeout, each.deadline, each.tags) for each in load_file(path, NOW)] == [
        (5, 9, ("n:1",)), (6, 9, ("n:2",)), (7, 9, ("n:3",))
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["[a]", "{a: 1}", "? - a\n   "])
def test_a_key_that_is_a_list_or_a_mapping_is_no_yaml_for_us(write: Write, key: str) -> None:
    assert "not YAML" in refusal(write(f"instances:\n  - {key}: 1\n    {key}: 2\n"))


def instances(count: int) -> str:
    return "instances:\n" + "".join(f"  - tags: ['n:{i}']\n" for i in range(count))


def one(ranges: int, tags: int = 1) -> str:
    days = ", ".join(f"last_{i}h" for i in range(3, 3 + ranges))
    return f"instances:\n  - {{ranges: [{days}], tags: [{', '.join(f'k{i}:v' for i in range(tags))}]}}\n"


def by_key(ranges: int, keys: int) -> str:
    return one(ranges).replace("{", f"{{per_api_key: true, api_keys: [{', '.join(f'k{i}' for i in range(keys))}], ", 1)


GROWING = "comes to more than 50,000 values with what its aliases (`*name`) and merge keys (`<<`) repeat"
ENORMOUS = {
    "a billion laughs": (
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)), GROWING),
    "merges of merges": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60)), GROWING),
    "many aliases of a long list": (f"a: &a [{'x, ' * 9_000}]\nb: [{'*a, ' * 9_000}]\n", GROWING),
    "a value that holds itself": ("a: &a {b: [*a]}\n", GROWING),
    "a large file": (f"# {'x' * 256 * 1024}\n", "is larger than 256 KiB"),
    "ranges": (one(1_001), "instances[0].ranges: has 1,001 entries, but at most 1,000 are taken"),
    "tags": (one(1, 101), "instances[0].tags: has 101 entries, but at most 100 are taken"),
    "instances": (instances(1_001), "instances: has 1,001 entries, but at most 1,000 are taken"),
    "series": (by_key(11, 909), "instances[0]: brings the file to 10,010 series"),
    "brackets without end": ("[" * 250_000, "is nested more than 50 levels deep"),
    "dashes without end": ("- " * 100_000, "is nested more than 50 levels deep"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENORMOUS)
def test_what_grows_or_is_enormous_is_refused_with_the_limit(write: Write, kind: str) -> None:
    text, limit = ENORMOUS[kind]
    path = write(text)
    assert refusal(path).startswith(f"{path}: {limit}")


def test_as_many_as_the_limits_allow_are_taken(write: Write) -> None:
    (instance,) = load_file(write(one(1_000, 100)), NOW)
    assert len(Statistics().plan(instance, int(NOW * 1000)).series) == 1_000
    (instance,) = load_file(write(by_key(10, 999)), NOW)
    assert len(Statistics().plan(instance, int(NOW * 1000)).series) == 10_000
    assert len(make_collectors(load_file(write(instances(1_000)), NOW), Store())) == 1_000


def test_looking_for_calls_that_are_asked_about_twice_ends_with_many_keys_and_addresses(write: Write) -> None:
    many = ", ".join(f"'10.0.{i}.{k}'" for i in range(4) for k in range(100))
    path = write(
        f"instances:\n  - &all {{tags: ['n:0'], api_keys: [{many}], ips: [{many}]}}\n"
        "  - {<<: *all, tags: ['n:1'], service_types: [my_service]}\n"
    )
    assert list(doubts(load_file(path, NOW), NOW)) == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, None])
def test_a_configuration_that_is_no_file_is_refused(program: Program, make: Any) -> None:
    path = str(program.folder / "conf") if make else "/dev/zero"
    if make:
        make(path)
    for command in ("collect", "execd", "report", "doctor"):
        done = program(command, "--config", path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"E! {path}: is not a regular file; name a YAML file as --config\n"


def test_aliases_and_merge_keys_that_repeat_little_are_taken(write: Write) -> None:
    more = "".join(f"  - {{<<: *all, tags: ['n:{i}']}}\n" for i in range(1, 200))
    path = write(f"instances:\n  - &all {{ranges: &days [last_7d, last_14d], tags: ['n:0']}}\n{more}")
    assert len(load_file(path, NOW)) == 200
