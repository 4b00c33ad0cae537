"""Wrong and doubtful configurations through the real command, and tags that a store could confuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List

import pytest
from line_protocol_parser import parse_line
from prometheus_client.parser import text_string_to_metric_families

from maas_usage_check.emulator.simulated_models import SimulatedModels

from ..conftest import AK, SK, Cloud, Program
from ..program import only_line

WRONG = Path(__file__).parents[1] / "config" / "wrong"
REPLACED_BY_NOBODY = "contains a placeholder such as ${X}, %%X%% or ENC[X], which this plugin does not replace"


def wrong(*patterns: str) -> List[Path]:
    return sorted({path for pattern in patterns for path in WRONG.glob(pattern)})


@pytest.mark.parametrize(
    "path",
    wrong("tag*", "*-text.yaml", "*-number*.yaml", "*-bool.yaml", "interval*", "region*"),
    ids=lambda path: path.stem,
)
def test_wrong_file(cloud: Cloud, program: Program, path: Path) -> None:
    """The line is the error in the file's first line."""
    text = path.read_text(encoding="utf-8")
    config = program.config(text)
    # Without keys nothing would be sent to the real cloud, even if the file was accepted.
    line = only_line(program("collect", "--config", config, HW_ACCESS_KEY=None, HW_SECRET_KEY=None), 2)
    assert line == "E! " + text.partition("\n")[0][len("# error: ") :].replace("conf.yaml", config)


@pytest.mark.parametrize("command", ["collect", "execd", "serve", "report", "doctor"])
@pytest.mark.parametrize(
    ("more", "error"),
    [
        (
            "tags: ['time:x']",
            "tags[0]: `time` is InfluxDB's column of times, which cannot be a tag; choose another name",
        ),
        ("hourly: 'true'", "hourly: must be true or false, without quotes"),
        ("min_collection_interval: 5m", "min_collection_interval: must be a number of seconds, such as 300"),
    ],
)
def test_every_command(cloud: Cloud, program: Program, command: str, more: str, error: str) -> None:
    config = program.cloud_config(cloud, more)
    assert only_line(program(command, "--config", config), 2) == f"E! {config}: instances[0].{error}"
    assert cloud.requests == []


def test_process(cloud: Cloud, program: Program) -> None:
    config = program.cloud_config(cloud, "tags: {team: x}")
    done = program.process("collect", "--config", config)
    assert only_line(done, 2) == f'E! {config}: instances[0].tags: must be a list; write each tag as `- "key:value"`'
    assert cloud.requests == []


@pytest.mark.parametrize("value", ["secret-in-the-wrong-place", ["secret-in-the-wrong-place"]], ids=["text", "list"])
@pytest.mark.parametrize(
    "key",
    [
        "proxy", "credentials", "hourly", "timeout", "max_concurrency", "prices", "ranges",
        "teams", "budget", "limits", "key_names",
    ],
)  # fmt: skip
def test_secret_in_the_wrong_place(cloud: Cloud, program: Program, key: str, value: object) -> None:
    """An error of a wrong type does not show the value."""
    done = program("collect", "--config", program.cloud_config(cloud, f"{key}: {json.dumps(value)}"))
    assert "secret-in-the-wrong-place" not in only_line(done, 2)


def test_blanks_around_tags(cloud: Cloud, program: Program) -> None:
    config = program.cloud_config(cloud, 'tags: [" team : search ", "note: a b"]')
    done = program("collect", "--config", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert {(tags["team"], tags["note"]) for tags in map(tags_of, done.stdout.splitlines())} == {("search", "a b")}


@pytest.mark.parametrize(
    ("at", "more"),
    [
        ("tags[0]", "tags: ['team:${TEAM}']"),
        ("tags[0]", "tags: ['team:%%env_TEAM%%']"),
        ("tags[0]", "tags: ['team:ENC[team]']"),
        ("state_dir", "state_dir: '{folder}/%%host%%'"),
        ("credentials.path", "credentials: {{source: file, path: '{folder}/$KEYS/key'}}"),
        ("tls_ca_cert", "tls_ca_cert: '{folder}/${{CERTIFICATES}}'"),
    ],
)
def test_placeholder(cloud: Cloud, program: Program, at: str, more: str) -> None:
    """A placeholder that is left is warned of with its path, and the cycle runs."""
    for name in ("$KEYS", "${CERTIFICATES}"):
        (program.folder / name).mkdir()
    key_file = program.folder / "$KEYS" / "key"
    key_file.touch(mode=0o600)
    key_file.write_text(f"{AK},{SK}")
    if "folder" in more:
        more = more.format(folder=program.folder)
    done = program("collect", "--config", program.cloud_config(cloud, more))
    assert (done.returncode, bool(done.stdout)) == (0, True)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"W! instances[0].{at}: {REPLACED_BY_NOBODY}")


def test_price_of_one_token(cloud: Cloud, program: Program) -> None:
    more = "models: true\nhourly: true\nprices: {currency: CNY, models: {a: {prompt: 0.000002, completion: 8.0}}}"
    done = program("collect", "--config", program.cloud_config(cloud, more))
    path = "instances[0].prices.models.a.prompt"
    assert f"W! {path}: is below 0.001; prices are per million tokens, not per token" in done.stderr.splitlines()
    assert done.returncode == 0


def test_tags_outside_ascii(cloud: Cloud, program: Program) -> None:
    """Two keys of the same length are two tags in every format."""
    config = program.cloud_config(cloud, "tags: ['团队:a', '部门:b']")
    influx, text, lines = (
        program("collect", "--config", config, "--format", name).stdout for name in ("influx", "prometheus", "json")
    )
    assert all((tags["团队"], tags["部门"]) == ("a", "b") for tags in map(tags_of, influx.splitlines()))
    assert all(
        (tags["团队"], tags["部门"]) == ("a", "b") for tags in (json.loads(one)["tags"] for one in lines.splitlines())
    )
    labels = [sample.labels for family in text_string_to_metric_families(text) for sample in family.samples]
    assert labels
    assert all((each["u56e2u961f"], each["u90e8u95e8"]) == ("a", "b") for each in labels)


def test_ids_that_end_in_backslashes(cloud: Cloud, program: Program) -> None:
    """Each remains a series of its own in line protocol."""
    ids = ["a", "a\\", "a\\\\", "a%5C", 'a"', 'a\\"', "a,", "a\\,", "z"]  # the emulator's marker is of the last
    models = SimulatedModels(1, 0)
    (callers,) = models.series.values()
    models.series = {(name, None): callers for name in ids}
    cloud.emulator.models = models
    done = program("collect", "--config", program.cloud_config(cloud, "models: true"))
    lines = [line for line in done.stdout.splitlines() if line.startswith("huawei_maas_model,")]
    # Telegraf's parser drops a backslash before these characters.
    found = {line.replace('\\"', '"').partition("maas_api_id=")[2].partition(",model=")[0] for line in lines}
    assert found == {"a", "a%5C", "a%5C%5C", "a%255C", 'a"', 'a%5C"', "a\\,", "a%5C\\,", "z"}


def tags_of(line: str) -> dict:
    """Return the tags of a line of line protocol."""
    return dict(parse_line(line)["tags"])
