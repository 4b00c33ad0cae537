"""A key that stands twice in one mapping is an error: YAML would keep the last and say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Tuple

import pytest

from maas_usage_check.config import load_file
from maas_usage_check.errors import ConfigError

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


def test_a_mapping_that_holds_itself_and_one_of_many_aliases_are_gone_through_once(tmp_path: Path) -> None:
    path = tmp_path / "conf.yaml"
    doubled = "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    path.write_text(f"a0: &a0 {{self: &me {{me: *me}}}}\n{doubled}instances: [{{}}]\n")
    with pytest.raises(ConfigError, match="a0: this key is not known"):
        load_file(str(path), NOW)
