"""A probable mistake is warned of once, when the file is loaded, and the cycle runs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Dict, List

import pytest

from maas_usage_check.config import load
from maas_usage_check.config.load_warnings import load_warnings

from ..conftest import NOW, Cloud, Program

REMEDY = "begin it at least 3 hours ago, as last_3h does"
SAME_CALLS = (
    "instances[1]: queries the same calls as instances[0] (last_7d preset real_time) under different tags: a sum over "
    "both may count them twice, and the shipped dashboards show only the larger; use one instance (per_api_key "
    "separates keys), or name the ranges differently"
)


def warnings(*entries: Dict[str, Any], now: float = NOW) -> List[str]:
    return list(load_warnings(load({"instances": list(entries)}, now), now))


def ago(hours: float) -> str:
    return dt.datetime.fromtimestamp(NOW - hours * 3600, dt.timezone.utc).isoformat()


@pytest.mark.parametrize("span", ["last_2h", {"name": "x", "from": ago(2.9), "to": ago(1)}], ids=str)
def test_range_within_lag(span: Any) -> None:
    """A range within the cloud's lag is named by its path, with the remedy."""
    (text,) = warnings({"tags": ["n:1"]}, {"ranges": ["last_30d", span], "service_types": ["my_service"]})
    name = span if isinstance(span, str) else "x"
    assert text.startswith(f"instances[1].ranges[1]: {name} begins less than 3 hours ago and may show zeros")
    assert text.endswith(REMEDY)


@pytest.mark.parametrize("span", ["last_3h", {"name": "x", "from": ago(3)}], ids=str)
def test_range_beyond_lag(span: Any) -> None:
    """A range that begins 3 hours ago has no warning."""
    assert warnings({"ranges": [span]}) == []


def test_calendar_range_after_midnight() -> None:
    """A calendar range has no warning, even just after midnight."""
    assert warnings({"ranges": ["today", "this_month"], "timezone": "UTC"}, now=1_793_491_500.0) == []  # 1 Nov, 00:05


@pytest.mark.parametrize("command", ["collect", "execd", "report"])
def test_every_command_warns_once(cloud: Cloud, program: Program, command: str) -> None:
    """Every command prints the warning once, and runs."""
    hosts = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}"
    entries = "".join(f"  - {{{hosts}, tags: ['n:{i}']}}\n" for i in range(5))
    done = program(command, "--config", program.config(f"instances:\n{entries}"), stdin="\n")
    assert (done.returncode, done.stderr) == (0, f"W! {SAME_CALLS}\n")
    assert done.stdout


def test_report_names_option(cloud: Cloud, program: Program) -> None:
    """`report` names the option that sets the range. The days of a longer range have no warning."""
    entry = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}"
    config = program.config(
        f"instances:\n  - {{{entry}}}\n  - {{{entry}, tags: ['n:2'], service_types: [my_service]}}\n"
    )
    done = program("report", "--config", config, "--last", "2h")
    assert done.stderr.startswith("W! --last: last_2h begins less than 3 hours ago")
    assert done.stderr.count("\n") == 1
    done = program("report", "--config", config, "--from", "2026-11-23T11:30:00")
    assert done.stderr.startswith("W! --from: 2026-11-23T11:30:00..now begins less than 3 hours ago")
    assert "W! " not in program("report", "--config", config, "--last", "2d", "--daily").stderr


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
def test_same_calls(pair: Any) -> None:
    """Two instances that may count the same calls are named, with the remedy."""
    assert warnings(*pair) == [SAME_CALLS]


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
def test_distinct_calls(one: Any, other: Any) -> None:
    """Instances without a common call have no warning."""
    assert warnings(one, {**other, **OTHER}) == []


MODELS = {"models": True, "ranges": ["last_7d"]}


@pytest.mark.parametrize("project", [{}, {"project_id": "a" * 32}])
def test_same_models(project: Any) -> None:
    first = {**MODELS, "service_types": ["preset"], "tags": ["n:1"]}
    second = {**MODELS, **project, "service_types": ["my_service"], "tags": ["n:2"]}
    (text,) = warnings(first, second)
    assert text.startswith("instances[1].models: reports the same models as instances[0]")


@pytest.mark.parametrize(
    "difference",
    [{"models": False}, {"region": "ap-southeast-1"}, {"credentials": {"source": "sdk"}}, {"project_id": "b" * 32}],
    ids=str,
)
def test_distinct_models(difference: Any) -> None:
    """Instances without a common model have no warning."""
    first = {**MODELS, "project_id": "a" * 32, "service_types": ["preset"], "tags": ["n:1"]}
    assert not warnings(first, {**first, "service_types": ["my_service"], "tags": ["n:2"], **difference})


PLACEHOLDER = (
    "contains a placeholder such as ${X}, %%X%% or ENC[X], which this plugin does not replace (the Datadog Agent "
    "replaces %%X%% only in autodiscovery templates); write the value itself"
)


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("tags[1]", {"tags": ["a:1", "team:${TEAM}"]}),
        ("tags[0]", {"tags": ["team:%%env_TEAM%%"]}),
        ("tags[0]", {"tags": ["team:ENC[team]"]}),
        ("tags[0]", {"tags": ["team:$TEAM"]}),
        ("tags[0]", {"tags": ["${NAME}:a"]}),
        ("state_dir", {"state_dir": "${STATE}/maas"}),
        ("state_dir", {"state_dir": "$HOME/maas"}),
        ("credentials.path", {"credentials": {"source": "file", "path": "/run/%%env_NAME%%/key"}}),
        ("ranges[0].name", {"ranges": [{"name": "${X}", "from": ago(24)}]}),
        ("api_keys[0]", {"api_keys": ["${LABEL}"]}),
        ("model_names.id", {"models": True, "model_names": {"id": "ENC[name]"}}),
        ("key_names.id", {"models": True, "key_names": {"id": "${LABEL}"}}),
        ("teams.a.api_keys[1]", {"hourly": True, "api_keys": ["b"], "teams": {"a": {"api_keys": ["a", "${LABEL}"]}}}),
        ("teams.a.cost_center", {"hourly": True, "teams": {"a": {"api_keys": ["a"], "cost_center": "%%env_X%%"}}}),
        ("proxy.https", {"proxy": {"https": "http://user:${PASSWORD}@proxy.example:3128"}}),
        ("proxy.no_proxy[0]", {"proxy": {"no_proxy": ["${HOSTS}"]}}),
    ],
    ids=str,
)
def test_placeholder(path: str, keys: Dict[str, Any]) -> None:
    """A placeholder that nobody has replaced is named by its path alone."""
    assert warnings(keys) == [f"instances[0].{path}: {PLACEHOLDER}"]


def test_placeholder_in_tls_ca_cert(tmp_path: Path) -> None:
    folder = tmp_path / "${CERTIFICATES}"
    folder.mkdir()
    assert warnings({"tls_ca_cert": str(folder)}) == [f"instances[0].tls_ca_cert: {PLACEHOLDER}"]


def test_no_placeholder() -> None:
    """A dollar or percent sign alone is none."""
    keys = {"tags": ["price:5$", "paid:US$5", "share:50%", "x:%%", "y:enc[x]"], "state_dir": "/a$b/c%d"}
    assert warnings({**keys, "proxy": {"https": "http://u:pa$word@p:1"}}) == []


@pytest.mark.parametrize(
    ("names", "budget", "warned"),
    [
        ({}, {"cost": 1}, 1),
        ({"id": "of-another-team"}, {"cost": 1}, 1),
        ({"id": "b"}, {"cost": 1}, 0),
        ({}, {"tokens": 1}, 0),
    ],
    ids=str,
)
def test_cost_of_unnamed_keys(names: Dict[str, str], budget: Dict[str, int], warned: int) -> None:
    """A team's budget in cost needs a name of one of its keys, because Cloud Eye knows only their ids."""
    prices = {"currency": "CNY", "models": {"a": {"prompt": 2.0, "completion": 8.0}}}
    keys = {"models": True, "hourly": True, "prices": prices, **({"key_names": names} if names else {})}
    lines = warnings({**keys, "teams": {"search": {"api_keys": ["a", "b"], "budget": budget}}})
    assert [line.split(": ")[0] for line in lines] == ["instances[0].teams.search.budget.cost"] * warned
