"""A damaged byte, row or entry in the state: a warning has the remedy, and the ranges are still collected."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from pathlib import Path
from typing import Callable, Dict, Tuple, Union

import pytest
from werkzeug import Response

from ..conftest import Cloud, Program
from .conftest import delete_state, state_path

KEYS = "hourly: true\nmodels: true\nbackfill_days: 1\nmax_requests_per_minute: 80000\n"
Damage = Union[str, Callable[[bytes], bytes]]
"""A statement of SQL, or a function of the file's bytes."""


def replace(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new, 1)


HOURS: Dict[str, Damage] = {
    "schema, no UTF-8": replace(b"CREATE TABLE hours", b"CREATE TABLE h\xffurs"),
    "schema, a table's name": replace(b"tablehours", b"tablehoors"),
    "schema, a column": replace(b"errors INTEGER, settled", b"errers INTEGER, settled"),
    "header of a page": lambda data: data[: 4 * 4096] + b"\xff" + data[4 * 4096 + 1 :],
    "no number": "UPDATE hours SET total_tokens = 'many'",
    "bytes": "UPDATE hours SET errors = x'ff'",
    "no value": "UPDATE hours SET requests = NULL",
    "below zero": "UPDATE hours SET requests = -1",
    "too large": f"UPDATE hours SET total_tokens = {2**62}",
    "no time of change": "UPDATE hours SET changed = NULL",
    "no beginning": "UPDATE series SET began = NULL",
    "beginning too late": f"UPDATE series SET began = {2**62}",
    "a fraction": "UPDATE series SET asked = 0.5",
    "no time of emission": "UPDATE consumers SET at = 'noon'",
    "more emitted than counted": f"UPDATE consumers SET requests = {2**60}",
    "no clock": "DELETE FROM clock",
    "no series": "DELETE FROM series WHERE id = 1",
    "a series of another name": "UPDATE series SET name = replace(name, substr(name, 5, 1), 'x')",
    "no table": "DROP TABLE consumers",
    "entry, no JSON": "UPDATE entries SET value = '{' WHERE kind = 'Began'",
    "entry, no object": "UPDATE entries SET value = '7' WHERE kind = 'Round'",
    "entry, no text": "UPDATE entries SET value = x'ff' WHERE kind = 'AddUp'",
    "entry, no UTF-8": "UPDATE entries SET value = CAST(x'7b22ff' AS TEXT) WHERE kind = 'Account'",
    "entry, no number": """UPDATE entries SET value = '{"at":"x"}' WHERE kind = 'Began'""",
}
ENTRIES: Dict[str, Damage] = {
    "schema, no UTF-8": replace(b"CREATE TABLE entries", b"CREATE TABLE \xffntries"),
    "schema, a column": replace(b"value TEXT, changed", b"valve TEXT, changed"),
    "header of a page": lambda data: data[:4096] + b"\xff" + data[4097:],
    "no text": "UPDATE entries SET value = NULL WHERE kind = 'KeyEntry'",
    "no UTF-8": "UPDATE entries SET value = CAST(x'7b22ff' AS TEXT) WHERE kind = 'ModelList'",
    "no time": """UPDATE entries SET value = '{"at":1e300}' WHERE kind = 'LastSuccess'""",
}


@pytest.fixture
def config(cloud: Cloud, program: Program, tmp_path: Path) -> str:
    """Write a configuration and collect twice with it."""
    cloud.emulator.requests_per_minute = 10**6
    config = program.cloud_config(cloud, f"{KEYS}state_dir: {tmp_path}\n")
    for form in ("influx", "prometheus"):
        assert program("collect", "--config", config, "--format", form).stderr.count("E!") == 0
    return config


def apply(folder: Path, damage: Damage) -> None:
    path = Path(state_path(folder))
    if callable(damage):
        before = path.read_bytes()
        path.write_bytes(damage(before))
        assert path.read_bytes() != before
        return
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute(damage)


def collect(program: Program, config: str, form: str) -> Tuple[str, str]:
    """Collect; return standard output and standard error. The range is there, and no internal fault."""
    done = program("collect", "--config", config, "--format", form)
    assert done.returncode == 0
    assert "fault in" not in done.stderr
    assert "huawei_maas_usage" in done.stdout
    return done.stdout, done.stderr


@pytest.mark.parametrize("kind", HOURS)
def test_damaged_hours(config: str, program: Program, tmp_path: Path, kind: str) -> None:
    """A warning names the file and the paused measurements; the result is partial."""
    apply(tmp_path, HOURS[kind])
    stdout, stderr = map("".join, zip(*(collect(program, config, form) for form in ("prometheus", "influx"))))
    paused = rf"W! cn-southwest-2: {state_path(tmp_path)}: cannot read the state: damaged \(.+\)\. (H|Some h)ours .+"
    assert re.search(f"^{paused}; move it away, or set state_dir$", stderr, re.MULTILINE)
    assert re.search("result_code(=1i|{.+} 1\n)", stdout)


@pytest.mark.parametrize("kind", ENTRIES)
def test_damaged_entries(config: str, program: Program, tmp_path: Path, kind: str) -> None:
    """The state of the access key is lost with a warning; a damaged entry is reset."""
    apply(tmp_path, ENTRIES[kind])
    _, stderr = collect(program, config, "influx")
    remedy = "(check the access key|move it away, or set state_dir)"
    assert re.search(f"^W! .*damaged.*{remedy}$", stderr, re.MULTILINE)
    if isinstance(ENTRIES[kind], str):
        assert "damaged" not in collect(program, config, "influx")[1]


@pytest.mark.parametrize("damaged", ["d3m0" * 7 + "d3M0", "d3m0" * 7 + "d3m", "d3m0" * 8 + "0", ""])
def test_project_ids(cloud: Cloud, program: Program, tmp_path: Path, damaged: str) -> None:
    """A damaged project id in the state is looked up again; one from IAM must have the same form."""
    config = program.cloud_config(cloud, f"state_dir: {tmp_path}\n")
    collect(program, config, "influx")
    apply(tmp_path, f"UPDATE entries SET value = replace(value, '{'d3m0' * 8}', '{damaged}')")
    cloud.requests.clear()
    stdout, _ = collect(program, config, "influx")
    assert f"project_id={'d3m0' * 8}," in stdout
    assert [request.method for request in cloud.requests].count("GET") == 1
    apply(tmp_path, "DELETE FROM entries")
    listed = json.dumps({"projects": [{"id": damaged, "name": "cn-southwest-2"}]})
    cloud.responder = lambda request: Response(listed) if request.method == "GET" else None
    done = program("collect", "--config", config)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(
        "E! cn-southwest-2: IAM lists no enabled project named cn-southwest-2: check region, or set"
    )


def test_any_damaged_byte(config: str, program: Program, tmp_path: Path) -> None:
    intact = Path(state_path(tmp_path)).read_bytes()
    for at in [*range(0, 100, 9), *range(100, len(intact), len(intact) // 30)]:
        delete_state(tmp_path)
        (tmp_path / "maas-usage-check.sqlite3").write_bytes(intact[:at] + b"\xff" + intact[at + 1 :])
        collect(program, config, "influx")


def test_damaged_state_in_doctor_and_report(config: str, program: Program, tmp_path: Path) -> None:
    intact = Path(state_path(tmp_path)).read_bytes()
    day = "INSERT INTO days VALUES (1, 0, 3600000, 0, 1, {}, 0, 0, 0, 0, 0)"
    for damage, cause in (
        (HOURS["no beginning"], "`began` of a row is invalid"),
        (HOURS["too large"], "a sum is not a valid integer"),
        (HOURS["no clock"], "the clock is missing"),
        (day.format(-1), "`total_tokens` of a row is invalid"),
        ("UPDATE prices SET prompt = NULL", "`prompt` of a row is invalid"),
        (day.format(1).replace("(1,", "(999,"), "a series is missing"),
    ):
        apply(tmp_path, damage)
        failure = f"{state_path(tmp_path)}: cannot read the state: damaged ({cause})"
        done = program("doctor", "--config", config)
        assert done.returncode == 1
        assert done.stdout.splitlines()[1] == f"FAIL  state            {failure}; move it away, or set state_dir"
        delete_state(tmp_path)
        (tmp_path / "maas-usage-check.sqlite3").write_bytes(intact)
    apply(tmp_path, "UPDATE entries SET value = '{' WHERE kind = 'AddUp'")
    done = program("report", "--daily", "--last", "3d", "--config", config)
    assert done.returncode == 0
    assert f"W! {state_path(tmp_path)}: cannot read the state: damaged (" in done.stderr
    assert "Its hours are not used; move it away, or set state_dir" in done.stderr
