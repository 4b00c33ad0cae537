"""A key that stands twice in one mapping is an error: YAML would keep the last and say nothing."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Tuple

import pytest

from maas_usage_check.cloud import Statistics
from maas_usage_check.config import doubts, load_file
from maas_usage_check.cycle import make_collectors
from maas_usage_check.errors import ConfigError
from maas_usage_check.store import Store

from ..conftest import NOW, Program

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


@pytest.mark.parametrize(("text", "key", "lines"), TWICE, ids=[key for _, key, _ in TWICE])
def test_a_key_given_twice_ends_with_exit_code_2_naming_the_key_and_both_lines(
    program: Program, text: str, key: str, lines: Tuple[int, int]
) -> None:
    config = program.config(text)
    done = program("collect", "--config", config)
    assert (done.returncode, done.stdout) == (2, "")
    first, second = lines
    assert done.stderr == (
        f"E! {config}: {key}: is there twice, in lines {first} and {second}; "
        "write it once, with all that it is to hold\n"
    )


def test_a_secret_given_twice_is_named_and_never_shown(program: Program) -> None:
    done = program("collect", "--config", program.config("instances:\n  - sk: PLANTED-ONE\n    sk: PLANTED-TWO\n"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "instances[0].sk: " in done.stderr
    assert "PLANTED" not in done.stderr


def test_what_is_merged_and_then_overridden_is_given_once(tmp_path: Path) -> None:
    path = tmp_path / "conf.yaml"
    path.write_text(
        "instances:\n"
        "  - &one {timeout: 5, deadline: 9, tags: ['n:1']}\n"
        "  - &two {<<: *one, timeout: 6, tags: ['n:2']}\n"
        "  - {<<: [*two, *one], timeout: 7, tags: ['n:3']}\n"
    )
    assert [(each.timeout, each.deadline, each.tags) for each in load_file(str(path), NOW)] == [
        (5, 9, ("n:1",)), (6, 9, ("n:2",)), (7, 9, ("n:3",))
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["[a]", "{a: 1}", "? - a\n   "])
def test_a_key_that_is_a_list_or_a_mapping_is_no_yaml_for_us(tmp_path: Path, key: str) -> None:
    path = tmp_path / "conf.yaml"
    path.write_text(f"instances:\n  - {key}: 1\n    {key}: 2\n")
    with pytest.raises(ConfigError, match="not YAML"):
        load_file(str(path), NOW)


ENTRY = "instances:\n  - {key}: [{items}]\n"
GROWING = "comes to more than 50,000 values with what its aliases (`*name`) and merge keys (`<<`) repeat"
ENORMOUS = {
    "a billion laughs": (
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)), GROWING),
    "merges of merges": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60)), GROWING),
    "many aliases of a long list": (f"a: &a [{'x, ' * 9_000}]\nb: [{'*a, ' * 9_000}]\n", GROWING),
    "a value that holds itself": ("a: &a {b: [*a]}\n", GROWING),
    "100,000 ranges": (
        ENTRY.format(key="ranges", items=", ".join(f"last_{i}d" for i in range(1, 100_001))), "is larger than 256 KiB"),
    "10,000 ranges": (ENTRY.format(key="ranges", items=", ".join(f"last_{i}d" for i in range(1, 10_001))),
                      "instances[0].ranges: has 10,000 entries, but at most 1,000 are taken"),
    "10,000 tags": (ENTRY.format(key="tags", items=", ".join(f"'k{i}:v'" for i in range(10_000))),
                    "instances[0].tags: has 10,000 entries, but at most 100 are taken"),
    "6,000 instances": ("instances:\n" + "".join(f"  - tags: ['n:{i}']\n" for i in range(6_000)),
                        "instances: has 6,000 entries, but at most 1,000 are taken"),
    "a million series": (
        "instances:\n  - {per_api_key: true, "
        f"ranges: [{', '.join(f'last_{i}d' for i in range(1, 1_000))}], "
        f"api_keys: [{', '.join(f'k{i}' for i in range(1_000))}]}}\n",
        "instances[0]: brings the file to 999,999 series"),
    "brackets without end": ("[" * 250_000, "is nested more than 50 levels deep"),
    "dashes without end": ("- " * 100_000, "is nested more than 50 levels deep"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENORMOUS)
def test_what_grows_or_is_enormous_is_refused_within_a_second_with_the_limit(program: Program, kind: str) -> None:
    text, limit = ENORMOUS[kind]
    config = program.config(text)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = program("collect", "--config", config)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"E! {config}: {limit}")
    assert len(done.stderr.splitlines()) == 1
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1


def test_a_thousand_ranges_and_a_hundred_tags_are_loaded_and_planned_within_a_second(tmp_path: Path) -> None:
    path = tmp_path / "conf.yaml"
    days = ", ".join(f"{{name: d{i}, from: '2026-11-0{1 + i % 9}'}}" for i in range(1_000))
    tags = ", ".join(f"'k{i}:v'" for i in range(100))
    path.write_text(f"instances:\n  - {{timezone: Asia/Shanghai, ranges: [{days}], tags: [{tags}]}}\n")
    before = time.process_time()
    (instance,) = load_file(str(path), NOW)
    assert list(doubts([instance], NOW)) == []
    assert len(Statistics().plan(instance, int(NOW * 1000)).series) == 1_000
    assert time.process_time() - before < 1


def test_a_thousand_instances_are_ready_to_ask_within_seconds(tmp_path: Path) -> None:
    path = tmp_path / "conf.yaml"
    path.write_text("instances:\n" + "".join(f"  - tags: ['n:{i}']\n" for i in range(1_000)))
    before = time.process_time()
    assert len(make_collectors(load_file(str(path), NOW), Store())) == 1_000
    assert time.process_time() - before < 3


def test_looking_for_calls_that_are_asked_about_twice_takes_no_longer_than_a_warning_is_worth(tmp_path: Path) -> None:
    path = tmp_path / "conf.yaml"
    many = ", ".join(f"'10.0.{i}.{k}'" for i in range(4) for k in range(250))
    path.write_text(
        f"instances:\n  - &all {{tags: ['n:0'], api_keys: [{many}], ips: [{many}]}}\n"
        "  - {<<: *all, tags: ['n:1'], service_types: [my_service]}\n"
    )
    instances = load_file(str(path), NOW)
    before = time.process_time()
    assert list(doubts(instances, NOW)) == []
    assert time.process_time() - before < 1


@pytest.mark.parametrize("command", ["collect", "execd", "report", "doctor"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_configuration_that_is_no_file_is_refused_at_once(program: Program, command: str, kind: str) -> None:
    path = program.folder / "conf"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    done = program(command, "--config", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"E! {path}: is not a regular file; name a YAML file as --config\n"


def test_aliases_and_merge_keys_that_repeat_little_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "conf.yaml"
    more = "".join(f"  - {{<<: *all, tags: ['n:{i}']}}\n" for i in range(1, 200))
    path.write_text(f"instances:\n  - &all {{ranges: &days [last_7d, last_14d], tags: ['n:0']}}\n{more}")
    assert len(load_file(str(path), NOW)) == 200
