"""Teams, names of keys and limits, from the file to the output of the commands."""

from __future__ import annotations

import json
import re
from typing import Dict, List, Set, Tuple

import pytest
from line_protocol_parser import parse_line
from prometheus_client.parser import text_string_to_metric_families

from maas_usage_check.emulator.traffic import API_KEYS
from maas_usage_check.metrics import BUDGET

from ..conftest import Cloud, Program
from .conftest import Report, counts, true_usage

Tagged = List[Tuple[str, Dict[str, str], Dict[str, float]]]
TEAMS = """
hourly: true
backfill_days: 1
max_requests_per_minute: 6000
ranges: [last_7d]
timezone: UTC
api_keys: ["", team-support]
teams:
  search:
    api_keys: [team-search, batch-jobs]
    cost_center: CC-4711
    budget: {tokens: 400000000, cost: 1000}
  support:
    api_keys: [team-support]
budget: {tokens: 1000000000, cost: 2500}
"""


@pytest.fixture
def yaml(cloud: Cloud) -> str:
    """Return an instance of all views, with the names of models and keys that the emulator has."""
    cloud.emulator.requests_per_minute = 10**6
    models = cloud.emulator.models
    names = {"model_names": {models.ids()[0]: "deepseek-v3"}, "key_names": dict([*models.key_labels.items()][:2])}
    prices = {"currency": "CNY", "models": {"deepseek-v3": {"prompt": 2.0, "completion": 8.0}}}
    limits = {"deepseek-v3": {"rpm": 60, "tpm": 500_000}}
    views = {"models": True, **names, "prices": prices, "limits": limits}
    return TEAMS + "".join(f"{config_key}: {json.dumps(value)}\n" for config_key, value in views.items())


def tagged(output: str, form: str) -> Tagged:
    """Return the measurement, the tags and the fields of each point; of Prometheus, of each metric."""
    if form == "influx":
        points = [parse_line(line) for line in output.splitlines()]
        return [(point["measurement"], point["tags"], point["fields"]) for point in points]
    samples = [sample for family in text_string_to_metric_families(output) for sample in family.samples]
    return [(sample.name, dict(sample.labels), {sample.name: sample.value}) for sample in samples]


@pytest.mark.parametrize("form", ["influx", "prometheus"])
def test_collect(cloud: Cloud, program: Program, yaml: str, form: str) -> None:
    """Every series by key has the team and cost centre of its key; minutes of a model with limits have ratios."""
    done = program("collect", "--config", program.cloud_config(cloud, yaml), "--format", form)
    unexpected = [line for line in done.stderr.splitlines() if not re.match("I! |.* Cloud Eye lists 3 metrics", line)]
    assert (done.returncode, unexpected) == (0, [])
    owners: Dict[str, Set[Tuple[str, str]]] = {}
    ratios: Set[str] = set()
    for name, tags, fields in tagged(done.stdout, form):
        if not name.startswith(BUDGET):
            assert ("_key_" in f"{name}_") == ("team" in tags) == ("cost_center" in tags), name
        if "cost_center" in tags:
            key = tags.get("api_key_label") or tags["api_key"]
            owners.setdefault(key, set()).add((tags["team"], tags["cost_center"]))
        limited = {field for field in fields if field.endswith("limit_ratio")}
        assert not limited or tags["model"] == "deepseek-v3"
        ratios |= limited
    unnamed = list(cloud.emulator.models.key_labels)[2]
    assert owners == {
        "team-search": {("search", "CC-4711")},
        "batch-jobs": {("search", "CC-4711")},
        "team-support": {("support", "unassigned")},
        "online_experience": {("unassigned", "unassigned")},
        unnamed: {("unassigned", "unassigned")},
    }
    prefixes = ("",) if form == "influx" else ("huawei_maas_model_", "huawei_maas_model_key_")
    assert ratios == {f"{each}{kind}_limit_ratio" for each in prefixes for kind in ("requests", "tokens")}


def test_teams_and_the_rest_are_the_whole(cloud: Cloud, program: Program, yaml: str) -> None:
    """The tokens of all teams, and of the keys that no team has, add up to those of all calls."""
    assert set(API_KEYS) == {"team-search", "team-support", "batch-jobs", ""}
    done = program("collect", "--config", program.cloud_config(cloud, yaml))
    used: Dict[str, float] = {}
    for name, tags, fields in tagged(done.stdout, "influx"):
        if name in ("huawei_maas_hourly", "huawei_maas_key_hourly"):
            owner = tags.get("team", "all")
            used[owner] = used.get(owner, 0) + fields["total_tokens"]
    assert set(used) == {"all", "search", "support", "unassigned"}
    assert used["search"] + used["support"] + used["unassigned"] == used["all"] > 0


def test_report(report: Report, cloud: Cloud, yaml: str) -> None:
    """Without options a report has all calls; by key a row for each label, the file's first; by model no key."""
    report.yaml = yaml
    (row,) = report.csv("--yesterday")
    window = (row["start"], row["end"])
    assert counts(row) == true_usage(cloud, *window)
    rows = report.csv("--yesterday", "--by", "key")
    labels = ["online_experience", "team-support", "team-search", "batch-jobs", ""]
    assert [row["api_key_label"] for row in rows] == labels
    assert counts(rows[2]) == true_usage(cloud, *window, labels=["team-search"])
    assert report.csv("--yesterday", "--by", "model")[0]["model"] == "deepseek-v3"


@pytest.mark.parametrize("size", [(), ("--daily",)])
def test_report_of_labels(report: Report, cloud: Cloud, yaml: str, size: Tuple[str, ...]) -> None:
    """`--api-keys` counts only the calls of these labels, whatever labels the file has."""
    for report.yaml in (yaml, "per_api_key: true\napi_keys: [team-support]\ntimezone: UTC\n"):
        (row,) = report.csv("--yesterday", "--api-keys", "team-search", "batch-jobs", *size)
        window = (row["start"], row["end"])
        assert counts(row) == true_usage(cloud, *window, labels=["team-search", "batch-jobs"])


def test_report_by_key_of_labels(report: Report, yaml: str) -> None:
    """`--by key --api-keys` shows these labels, then those of the teams."""
    report.yaml = yaml
    rows = report.csv("--yesterday", "--by", "key", "--api-keys", "batch-jobs")
    assert [row["api_key_label"] for row in rows] == ["batch-jobs", "team-search", "team-support", ""]


@pytest.mark.parametrize("more", ["", "hourly: true\nbudget: {tokens: 1}"])
def test_imports(cloud: Cloud, program: Program, more: str) -> None:
    """A `collect` without teams, budgets and limits does not import their classes."""
    program.command.insert(1, "-Ximporttime")
    done = program.process("collect", "--config", program.cloud_config(cloud, more))
    assert (" maas_usage_check.config.teams\n" in done.stderr) == bool(more)
