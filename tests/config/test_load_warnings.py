"""What can hardly be meant is said once, when the file is loaded, and the cycle runs all the same."""

from __future__ import annotations

import datetime as dt
from typing import Any, Dict, List

import pytest

from maas_usage_check.config import load
from maas_usage_check.config.load_warnings import load_warnings

from ..conftest import NOW, Cloud, Program

REMEDY = "begin it at least 3 hours ago, as last_3h does"
TWICE = (
    "instances[1]: queries the same calls as instances[0] (last_7d preset real_time) under different tags: a sum over "
    "both may count them twice, and the shipped dashboards show only the larger; use one instance (per_api_key "
    "separates keys), or name the ranges differently"
)


def said(*entries: Dict[str, Any], now: float = NOW) -> List[str]:
    return list(load_warnings(load({"instances": list(entries)}, now), now))


def ago(hours: float) -> str:
    return dt.datetime.fromtimestamp(NOW - hours * 3600, dt.timezone.utc).isoformat()


@pytest.mark.parametrize("span", ["last_2h", {"name": "x", "from": ago(2.9), "to": ago(1)}], ids=str)
def test_a_range_within_the_clouds_lag_is_named_by_its_path_with_the_remedy(span: Any) -> None:
    (text,) = said({"tags": ["n:1"]}, {"ranges": ["last_30d", span], "service_types": ["my_service"]})
    name = span if isinstance(span, str) else "x"
    assert text.startswith(f"instances[1].ranges[1]: {name} begins less than 3 hours ago and may show zeros")
    assert text.endswith(REMEDY)


@pytest.mark.parametrize("span", ["last_3h", {"name": "x", "from": ago(3)}], ids=str)
def test_a_range_that_reaches_further_back_is_in_no_doubt(span: Any) -> None:
    assert said({"ranges": [span]}) == []


def test_a_calendar_range_just_after_midnight_is_no_fault_of_the_file() -> None:
    assert said({"ranges": ["today", "this_month"], "timezone": "UTC"}, now=1_793_491_500.0) == []  # 1 Nov, 00:05


@pytest.mark.parametrize("command", ["collect", "execd", "report"])
def test_every_surface_says_what_is_doubtful_once_and_runs(cloud: Cloud, program: Program, command: str) -> None:
    hosts = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}"
    entries = "".join(f"  - {{{hosts}, tags: ['n:{i}']}}\n" for i in range(5))
    done = program(command, "--config", program.config(f"instances:\n{entries}"), stdin="\n")
    assert (done.returncode, done.stderr) == (0, f"W! {TWICE}\n")
    assert done.stdout


def test_report_names_the_option_that_the_range_came_from_and_doubts_no_day_of_a_longer_one(
    cloud: Cloud, program: Program
) -> None:
    entry = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}"
    config = program.config(
        f"instances:\n  - {{{entry}}}\n  - {{{entry}, tags: ['n:2'], service_types: [my_service]}}\n"
    )
    done = program("report", "--config", config, "--last", "2h")
    assert done.stderr.startswith("W! --last: last_2h begins less than 3 hours ago")
    assert done.stderr.count("\n") == 1
    done = program("report", "--config", config, "--from", "2026-11-23T11:30:00")
    assert done.stderr.startswith("W! --from: 2026-11-23T11:30:00..now begins less than 3 hours ago")
    assert program("report", "--config", config, "--last", "2d", "--daily").stderr == ""


OTHER = {"tags": ["n:2"]}


@pytest.mark.parametrize(
    "pair",
    [
        ({"project_id": "a" * 32}, OTHER),
        ({}, {**OTHER, "project_id": "a" * 32}),
        ({"project_id": "a" * 32}, {**OTHER, "project_id": "a" * 32}),
        ({"api_keys": ["a"], "per_api_key": True}, {**OTHER, "api_keys": ["b"]}),
        ({"api_keys": ["a", "b"]}, {**OTHER, "api_keys": ["c", "b"]}),
        ({"api_keys": ["a"]}, {**OTHER, "ips": ["10.0.0.1"]}),
        ({"ranges": ["today", "last_7d"]}, {**OTHER, "ranges": ["last_7d"], "service_types": [1, 2]}),
        ({"endpoint": "https://a.example"}, {**OTHER, "endpoint": "https://a.example/"}),
    ],
    ids=str,
)
def test_two_instances_that_may_count_the_same_calls_are_said_with_the_remedy(pair: Any) -> None:
    assert said(*pair) == [TWICE]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"project_id": "a" * 32}, {"project_id": "b" * 32}),
        ({"region": "ap-southeast-1"}, {}),
        ({"endpoint": "https://a.example"}, {}),
        ({"credentials": {"source": "file", "path": "/a"}}, {"credentials": {"source": "file", "path": "/b"}}),
        ({"ranges": ["last_7d"]}, {"ranges": ["last_30d"]}),
        ({"service_types": ["my_service"]}, {"service_types": ["preset"]}),
        ({"infer_types": ["batch"]}, {"infer_types": ["real_time"]}),
        ({"api_keys": ["a"]}, {"api_keys": ["b"]}),
        ({"ips": ["10.0.0.1"]}, {"ips": ["10.0.0.2"]}),
    ],
    ids=str,
)
def test_instances_that_share_no_call_are_in_no_doubt(one: Any, other: Any) -> None:
    assert said(one, {**other, **OTHER}) == []


MODELS = {"models": True, "ranges": ["last_7d"]}


@pytest.mark.parametrize("project", [{}, {"project_id": "a" * 32}])
def test_two_instances_that_tell_of_the_same_models_are_said(project: Any) -> None:
    first = {**MODELS, "service_types": ["preset"], "tags": ["n:1"]}
    second = {**MODELS, **project, "service_types": ["my_service"], "tags": ["n:2"]}
    (text,) = said(first, second)
    assert text.startswith("instances[1].models: reports the same models as instances[0]")


@pytest.mark.parametrize(
    "difference",
    [{"models": False}, {"region": "ap-southeast-1"}, {"credentials": {"source": "sdk"}}, {"project_id": "b" * 32}],
    ids=str,
)
def test_instances_that_share_no_model_are_in_no_doubt(difference: Any) -> None:
    first = {**MODELS, "project_id": "a" * 32, "service_types": ["preset"], "tags": ["n:1"]}
    assert not said(first, {**first, "service_types": ["my_service"], "tags": ["n:2"], **difference})


@pytest.mark.parametrize(("priced", "doubted"), [(["a", "b", "chat"], True), (["a", "chat"], False), (["a"], False)])
def test_a_price_by_a_name_whose_models_all_have_one_by_their_ids_is_said(priced: List[str], doubted: bool) -> None:
    prices = {"currency": "CNY", "models": {name: {"prompt": 1, "completion": 2} for name in priced}}
    lines = said({**MODELS, "hourly": True, "model_names": {"a": "chat", "b": "chat"}, "prices": prices})
    assert [line.split(":")[0] for line in lines] == ["instances[0].prices.models.chat"] * doubted
