"""The check under the Agent's real base library, against the emulator over real HTTP."""

from __future__ import annotations

import csv
import importlib
import itertools
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
from werkzeug import Request, Response

import maas_usage_check
from maas_usage_check.emulator.emulator import PROJECT_ID, json_reply
from maas_usage_check.metrics import API, CATALOGUE, KEY_USAGE, USAGE
from maas_usage_check.metrics.datadog import metric_name

from ..conftest import AK, SK, Cloud, FixedClock
from .conftest import need_library

need_library("datadog_checks.base")
need_library("datadog_checks.dev")

Make = Callable[..., Any]
METADATA = Path(maas_usage_check.__file__).parent / "assets" / "metadata.csv"
NAMES = {
    measurement: [metric_name(measurement, field.name) for field in CATALOGUE[measurement]] for measurement in CATALOGUE
}
UP, CODE, TOKENS = "huawei_maas.api.up", "huawei_maas.api.result_code", "huawei_maas.usage.total_tokens"


def metadata() -> Dict[str, Dict[str, str]]:
    with METADATA.open(encoding="utf-8") as file:
        return {row["metric_name"]: row for row in csv.DictReader(file)}


def values(aggregator: Any, name: str) -> List[float]:
    return [metric.value for metric in aggregator.metrics(name)]


def run(check: Any) -> str:
    """Run as the Agent does; return the error's message."""
    report = check.run()
    return json.loads(report)[0]["message"] if report else ""


def in_threads(checks: List[Any]) -> List[str]:
    """Run checks side by side, as the Agent does; return the errors' messages."""
    with ThreadPoolExecutor(len(checks)) as threads:
        return list(threads.map(run, checks))


def refuse(request: Request) -> Response:
    answer = json_reply(
        401, {"error_code": "APIGW.0301", "error_msg": f"verify ak sk signature fail, Access={AK} {SK}"}
    )
    return Response(answer.body, answer.status, answer.headers)


def test_every_field_of_the_ranges_is_a_gauge_with_the_tags_of_the_design(
    cloud: Cloud, make_check: Make, aggregator: Any, dd_run_check: Any
) -> None:
    spans, services = ["last_7d", "last_24h"], ["preset", "custom_endpoint"]
    by_key = {"api_keys": ["team-search", ""], "per_api_key": True}
    dd_run_check(make_check(cloud.entry(ranges=spans, service_types=services, tags=["team:search"], **by_key)))
    here = ["region:cn-southwest-2", f"project_id:{PROJECT_ID}", "team:search"]
    kinds = [(USAGE, []), *((KEY_USAGE, [f"api_key_label:{one}"]) for one in ("team-search", "online_experience"))]
    for (measurement, label), span, service in itertools.product(kinds, spans, services):
        tags = [f"range:{span}", f"service_type:{service}", "infer_type:real_time", *here, *label]
        for name in NAMES[measurement]:
            aggregator.assert_metric(name, tags=tags, count=1, metric_type=aggregator.GAUGE)
    of_hours = {"huawei_maas.api.missing_hours", "huawei_maas.api.newest_usage_timestamp_seconds"}
    for name in set(NAMES[API]) - of_hours:
        aggregator.assert_metric(name, tags=here, count=1, metric_type=aggregator.GAUGE)
    aggregator.assert_metrics_using_metadata(metadata())
    aggregator.assert_all_metrics_covered()
    aggregator.assert_no_duplicate_all()


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"init_config": {"ak": "typed-here-by-mistake"}}, "init_config.ak: access keys do not belong here"),
        ({"region": "Not a region"}, "instance.region: must be a region's id such as cn-southwest-2"),
        ({"secret_key": "typed-here-by-mistake"}, "instance.secret_key: access keys do not belong here"),
    ],
)
def test_a_bad_instance_is_one_line_that_names_the_key(
    make_check: Make, aggregator: Any, cloud: Cloud, entry: Dict[str, Any], says: str
) -> None:
    init_config = entry.pop("init_config", {})
    check = make_check(cloud.entry(**entry), init_config=init_config)
    report = json.loads(check.run())[0]
    assert says in report["message"]
    assert "\n" not in report["message"]
    assert "ConfigurationError" in report["traceback"]
    assert "typed-here-by-mistake" not in json.dumps(report)
    assert not aggregator.metric_names
    assert not cloud.requests
    assert run(check) == report["message"]  # and again, until it is mended


def test_warnings_name_the_instance_and_are_those_of_the_last_run(
    cloud: Cloud, make_check: Make, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_text(f"{AK},{SK}")
    path.chmod(0o644)
    credentials = {"source": "file", "path": str(path)}
    check = make_check(cloud.entry(credentials=credentials, ranges=["last_7d", "last_2h"]))
    for _ in range(2):
        assert run(check) == ""
        lag, others = sorted(check.get_warnings(), reverse=True)
        assert lag.startswith("instance.ranges[1]: last_2h begins less than 3 hours ago and may show zeros")
        assert others == (
            f"credentials file {path}: others can read it: chown it to the user who runs this, and chmod 600 {path}"
        )


@pytest.mark.parametrize(
    ("interval", "steps", "cycles"),
    [
        (300, [15.0] * 100, 6),  # at 0, 285, 570, 855, 1140 and 1425 s
        # A schedule of exactly the interval never misses its turn.
        (120, [119.9, 120.1, 119.0, 121.0, 119.5], 5),
    ],
)
def test_runs_within_the_interval_repeat_the_last_cycle(
    cloud: Cloud, make_check: Make, aggregator: Any, clock: FixedClock, interval: int, steps: List[float], cycles: int
) -> None:
    entry = cloud.entry(ranges=["last_7d", "last_24h"], min_collection_interval=interval)
    del entry["project_id"]
    check = make_check(entry)
    assert not cloud.requests
    for seconds in steps:
        assert run(check) == ""
        clock.at += seconds
    assert len(cloud.requests) == 1 + 2 * cycles  # the project, and one question per range
    aggregator.assert_metric(TOKENS, count=2 * len(steps))
    aggregator.assert_metric(UP, value=1, count=len(steps))


def test_a_failure_is_repeated_as_a_failure_and_no_old_value_passes_for_new(
    cloud: Cloud, make_check: Make, aggregator: Any, clock: FixedClock
) -> None:
    check = make_check(cloud.entry(ranges=["last_7d"]))
    assert run(check) == ""
    clock.at += 300
    cloud.responder = refuse
    aggregator.reset()
    first = run(check)
    asked = len(cloud.requests)
    clock.at += 15
    assert "refused" in first
    assert "\n" not in first
    assert run(check) == first
    assert len(cloud.requests) == asked
    assert values(aggregator, UP) == [0, 0]
    assert values(aggregator, CODE) == [3, 3]
    assert not values(aggregator, TOKENS)
    clock.at += 600
    cloud.responder = None
    assert run(check) == ""
    assert len(values(aggregator, TOKENS)) == 1


def test_an_edited_tag_keeps_the_project_id_and_the_lockout_over_a_restart(
    cloud: Cloud, make_check: Make, aggregator: Any
) -> None:
    entry = cloud.entry(ranges=["last_7d"])
    del entry["project_id"]
    assert run(make_check(entry)) == ""
    edited = {**entry, "tags": ["team:new"]}
    cloud.responder = refuse
    assert "refused" in run(make_check(edited, start=2, check_id="maas_usage_check:decaf"))
    assert [request.method for request in cloud.requests] == ["GET", "POST", "POST"]
    cloud.responder = None
    last = make_check({**edited, "name": "new"}, start=3, check_id="maas_usage_check:new:decaf")
    assert "Retrying in 5 min to avoid a lockout" in run(last)
    assert (len(cloud.requests), values(aggregator, CODE)) == (3, [0, 3, 3])


@pytest.mark.usefixtures("real_time")
def test_the_store_is_in_the_agents_own_folder_unless_state_dir_says_otherwise(
    cloud: Cloud, datadog_agent: Any, tmp_path: Path, make_check: Make
) -> None:
    datadog_agent._config["run_path"] = str(tmp_path / "run_path")
    for state_dir in (None, str(tmp_path / "configured")):
        check = maas_usage_check.MaasUsageCheck("maas_usage_check", {}, [cloud.entry(state_dir=state_dir)])
        assert run(check) == ""
    found = sorted(path.parent.name for path in tmp_path.rglob("maas-usage-check.sqlite3"))
    assert found == ["configured", "run_path"]


@pytest.mark.usefixtures("real_time")
@pytest.mark.parametrize("state", ["a folder", "a file"])
def test_two_instances_in_two_threads_try_a_wrong_key_once_wherever_the_state_is(
    cloud: Cloud, datadog_agent: Any, aggregator: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str
) -> None:
    (tmp_path / "a file").write_text("no folder: nothing can be kept in it")
    monkeypatch.setenv("HW_ACCESS_KEY", AK)
    monkeypatch.setenv("HW_SECRET_KEY", "wrong")
    checks = [
        maas_usage_check.MaasUsageCheck(
            "maas_usage_check", {}, [cloud.entry(tags=[f"account:{i}"], state_dir=str(tmp_path / state))]
        )
        for i in (1, 2)
    ]
    assert all(in_threads(checks))
    assert len(cloud.requests) == 1
    assert sorted(values(aggregator, CODE)) in ([3, 3], [3, 5])
    assert values(aggregator, UP) == [0, 0]


def test_two_instances_in_two_threads_both_collect(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    checks = [make_check(cloud.entry(tags=[f"account:{i}"])) for i in (1, 2)]
    assert in_threads(checks) == ["", ""]
    aggregator.assert_metric(UP, value=1, count=2)
    aggregator.assert_metric(TOKENS, count=6)
    aggregator.assert_no_duplicate_all()


def test_an_instance_that_the_agent_drops_leaves_no_false_alarm(
    cloud: Cloud, make_check: Make, aggregator: Any
) -> None:
    check = make_check(cloud.entry())

    def dropped(request: Request) -> Response:
        check.cancel()
        return Response(b"{}", 500)

    cloud.responder = dropped
    assert run(check) == ""
    assert not aggregator.metric_names
    assert len(cloud.requests) == 1


def find_checks(name: str) -> List[Any]:
    """Find checks as the Agent's loader does, which takes the first: strict subclasses without subclasses, by name."""
    from datadog_checks.base import AgentCheck

    module = importlib.import_module(name)
    values = [getattr(module, attribute) for attribute in dir(module)]
    strict = [value for value in values if isinstance(value, type) and issubclass(value, AgentCheck)]
    return [value for value in strict if value is not AgentCheck and not value.__subclasses__()]


@pytest.mark.usefixtures("real_time")
def test_the_agent_finds_the_class_feeds_it_an_instance_and_runs_it(
    cloud: Cloud, aggregator: Any, datadog_agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HW_ACCESS_KEY", AK)
    monkeypatch.setenv("HW_SECRET_KEY", SK)
    (found,) = find_checks("maas_usage_check")
    assert (found.__name__, found.HA_SUPPORTED) == ("MaasUsageCheck", True)
    instance = found.load_config(
        f"""
        endpoint: {cloud.url}
        iam_endpoint: {cloud.url}
        min_collection_interval: 300
        empty_default_hostname: true
        ranges: [last_7d, {{name: may, from: "2026-05-08", to: "2026-05-21"}}]
        tags: ["team:search", "kube_cluster_name:c1"]
        """
    )
    check = found(name="maas_usage_check", init_config=found.load_config("{}"), instances=(instance,))
    check.check_id = "maas_usage_check:c0ffee"
    report = check.run()
    assert report == "", json.loads(report)[0]["traceback"]
    aggregator.assert_metric(
        "huawei_maas.api.up", value=1, tags=["region:cn-southwest-2", "team:search", "kube_cluster_name:c1"]
    )
    assert check.sanitize(f"a traceback with {AK} and {SK}") == "a traceback with ******** and ********"
    assert len(check.get_warnings()) == 1  # of May the cloud holds nothing any more


WITHOUT_BASE = """
import sys
sys.modules["datadog_checks"] = None  # as if it were not there
import maas_usage_check, maas_usage_check.cli
assert "MaasUsageCheck" not in dir(maas_usage_check)
assert not hasattr(maas_usage_check, "MaasUsageCheck")
"""
COMMAND_LINE = """
import sys, maas_usage_check.cli
assert not {"datadog_checks", "requests", "urllib3"} & set(sys.modules)
"""


@pytest.mark.parametrize("code", [WITHOUT_BASE, COMMAND_LINE], ids=["base library missing", "command line"])
def test_the_package_does_without_the_base_library(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_wrong_clock_at_the_first_start(cloud: Cloud, make_check: Make, aggregator: Any, clock: FixedClock) -> None:
    """A history begins with the first answer: nothing that was used before is submitted, nor its cost."""
    prices = {
        "currency": "CNY",
        "models": {model: {"prompt": 2, "completion": 8} for model in cloud.emulator.models.ids()},
    }
    check = make_check(cloud.entry(hourly=True, models=True, backfill_days=2, prices=prices))
    now = clock.now()
    cloud.emulator.now = lambda: now
    clock.set_by(-20 * 86_400)
    assert "20 days" in run(check) or "28800 minutes" in run(check)
    clock.set_by(20 * 86_400)
    cloud.emulator.now = clock.now
    for _ in range(3):
        clock.at += 300
        assert run(check) == ""
    counts = [
        values(aggregator, f"huawei_maas.{name}")
        for name in ("consumed.tokens", "model_consumed.tokens", "model_cost_consumed.cost")
    ]
    assert [bool(each) for each in counts] == [True] * 3
    assert {value for each in counts for value in each} == {0}
