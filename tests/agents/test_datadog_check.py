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
    """Run a check as the Agent does; return its error, or an empty text."""
    report = check.run()
    return json.loads(report)[0]["message"] if report else ""


def in_threads(checks: List[Any]) -> List[str]:
    """Run checks in parallel, as the Agent does; return their errors."""
    with ThreadPoolExecutor(len(checks)) as threads:
        return list(threads.map(run, checks))


def refuse(request: Request) -> Response:
    answer = json_reply(
        401, {"error_code": "APIGW.0301", "error_msg": f"verify ak sk signature fail, Access={AK} {SK}"}
    )
    return Response(answer.body, answer.status, answer.headers)


def test_gauges(cloud: Cloud, make_check: Make, aggregator: Any, dd_run_check: Any) -> None:
    """Every field of the ranges is a gauge with the documented tags."""
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
    ("entry", "error"),
    [
        ({"init_config": {"ak": "typed-here-by-mistake"}}, "init_config.ak: access keys do not belong here"),
        ({"region": "Not a region"}, "instance.region: must be a region's id such as cn-southwest-2"),
        ({"secret_key": "typed-here-by-mistake"}, "instance.secret_key: access keys do not belong here"),
    ],
)
def test_bad_instance(make_check: Make, aggregator: Any, cloud: Cloud, entry: Dict[str, Any], error: str) -> None:
    """A bad instance is one line that names the configuration key."""
    init_config = entry.pop("init_config", {})
    check = make_check(cloud.entry(**entry), init_config=init_config)
    report = json.loads(check.run())[0]
    assert error in report["message"]
    assert "\n" not in report["message"]
    assert "ConfigurationError" in report["traceback"]
    assert "typed-here-by-mistake" not in json.dumps(report)
    assert not aggregator.metric_names
    assert not cloud.requests
    assert run(check) == report["message"]  # repeated until it is corrected


def test_defaults_of_init_config(make_check: Make, aggregator: Any, cloud: Cloud) -> None:
    """Every key may stand in `init_config`; the HTTP client takes its options from there too."""
    check = make_check({"timeout": 7}, init_config=cloud.entry(timeout=3, tls_verify=False, tags=["team:search"]))
    assert run(check) == ""
    assert values(aggregator, UP) == [1]
    assert "team:search" in aggregator.metrics(UP)[0].tags
    options = check._make_client().options
    assert (options["verify"], options["timeout"]) == (False, (7.0, 7.0))


def test_warnings(cloud: Cloud, make_check: Make, tmp_path: Path) -> None:
    """Warnings name the instance, and are those of the last run."""
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
        # A schedule of exactly the interval runs a cycle each time.
        (120, [119.9, 120.1, 119.0, 121.0, 119.5], 5),
    ],
)
def test_repeated_cycle(
    cloud: Cloud, make_check: Make, aggregator: Any, clock: FixedClock, interval: int, steps: List[float], cycles: int
) -> None:
    """Runs within the interval repeat the last cycle."""
    entry = cloud.entry(ranges=["last_7d", "last_24h"], min_collection_interval=interval)
    del entry["project_id"]
    check = make_check(entry)
    assert not cloud.requests
    for seconds in steps:
        assert run(check) == ""
        clock.at += seconds
    assert len(cloud.requests) == 1 + 2 * cycles  # the project lookup, and one query per range
    aggregator.assert_metric(TOKENS, count=2 * len(steps))
    aggregator.assert_metric(UP, value=1, count=len(steps))


def test_repeated_failure(cloud: Cloud, make_check: Make, aggregator: Any, clock: FixedClock) -> None:
    """A failure is repeated as a failure, without old values."""
    check = make_check(cloud.entry(ranges=["last_7d"]))
    assert run(check) == ""
    clock.at += 300
    cloud.responder = refuse
    aggregator.reset()
    first = run(check)
    requests = len(cloud.requests)
    clock.at += 15
    assert "refused" in first
    assert "\n" not in first
    assert run(check) == first
    assert len(cloud.requests) == requests
    assert values(aggregator, UP) == [0, 0]
    assert values(aggregator, CODE) == [3, 3]
    assert not values(aggregator, TOKENS)
    clock.at += 600
    cloud.responder = None
    assert run(check) == ""
    assert len(values(aggregator, TOKENS)) == 1


def test_edited_tag(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    """An edited tag keeps the project id and the wait after a refusal over a restart."""
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
def test_state_folder(cloud: Cloud, datadog_agent: Any, tmp_path: Path, make_check: Make) -> None:
    """The state is in the Agent's run_path unless state_dir is set."""
    datadog_agent._config["run_path"] = str(tmp_path / "run_path")
    for state_dir in (None, str(tmp_path / "configured")):
        check = maas_usage_check.MaasUsageCheck("maas_usage_check", {}, [cloud.entry(state_dir=state_dir)])
        assert run(check) == ""
    found = sorted(path.parent.name for path in tmp_path.rglob("maas-usage-check.sqlite3"))
    assert found == ["configured", "run_path"]


@pytest.mark.usefixtures("real_time")
@pytest.mark.parametrize("state", ["a folder", "a file"])
def test_wrong_key_in_two_threads(
    cloud: Cloud, datadog_agent: Any, aggregator: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str
) -> None:
    """Two instances in two threads try a wrong key once, with or without a state folder."""
    (tmp_path / "a file").write_text("a file, no folder")
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


def test_two_threads(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    """Two instances in two threads both collect."""
    checks = [make_check(cloud.entry(tags=[f"account:{i}"])) for i in (1, 2)]
    assert in_threads(checks) == ["", ""]
    aggregator.assert_metric(UP, value=1, count=2)
    aggregator.assert_metric(TOKENS, count=6)
    aggregator.assert_no_duplicate_all()


def test_cancelled(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    """A cancelled check submits no failure."""
    check = make_check(cloud.entry())

    def dropped(request: Request) -> Response:
        check.cancel()
        return Response(b"{}", 500)

    cloud.responder = dropped
    assert run(check) == ""
    assert not aggregator.metric_names
    assert len(cloud.requests) == 1


def find_checks(name: str) -> List[Any]:
    """Find checks as the Agent's loader does: strict subclasses of AgentCheck without subclasses, sorted by name."""
    from datadog_checks.base import AgentCheck

    module = importlib.import_module(name)
    values = [getattr(module, attribute) for attribute in dir(module)]
    strict = [value for value in values if isinstance(value, type) and issubclass(value, AgentCheck)]
    return [value for value in strict if value is not AgentCheck and not value.__subclasses__()]


@pytest.mark.usefixtures("real_time")
def test_loader(cloud: Cloud, aggregator: Any, datadog_agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Agent's loader finds the class, loads an instance and runs it."""
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
    assert len(check.get_warnings()) == 1  # the cloud no longer has data of May


WITHOUT_BASE = """
import sys
sys.modules["datadog_checks"] = None  # as if it were not installed
import maas_usage_check, maas_usage_check.cli
assert "MaasUsageCheck" not in dir(maas_usage_check)
assert not hasattr(maas_usage_check, "MaasUsageCheck")
"""
COMMAND_LINE = """
import sys, maas_usage_check.cli
assert not {"datadog_checks", "requests", "urllib3"} & set(sys.modules)
"""


@pytest.mark.parametrize("code", [WITHOUT_BASE, COMMAND_LINE], ids=["base library missing", "command line"])
def test_without_base_library(code: str) -> None:
    """The package works without the base library."""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_wrong_clock_at_the_first_start(cloud: Cloud, make_check: Make, aggregator: Any, clock: FixedClock) -> None:
    """A history begins with the first answer: no earlier usage is submitted, nor its cost."""
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
