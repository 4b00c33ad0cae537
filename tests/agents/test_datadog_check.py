"""The check under the Agent's real base library, against the emulator over real HTTP."""

from __future__ import annotations

import csv
import itertools
import json
import logging
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
from werkzeug import Request, Response

import maas_usage_check
from maas_usage_check.metrics import API, CATALOGUE, KEY_USAGE, USAGE
from maas_usage_check.metrics.datadog import metric_name
from maas_usage_check.standin.emulator import PROJECT_ID, reply

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


def refuse(request: Request) -> Response:
    answer = reply(401, {"error_code": "APIGW.0301", "error_msg": f"verify ak sk signature fail, Access={AK} {SK}"})
    return Response(answer.body, answer.status, answer.headers)


def fail(request: Request) -> Response:
    return Response(b"{}", 500)


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


def test_the_values_are_those_that_the_cloud_answered(
    cloud: Cloud, make_check: Make, aggregator: Any, clock: FixedClock
) -> None:
    assert run(make_check(cloud.entry(ranges=["last_7d"]))) == ""
    answer = cloud.emulator.ledger.totals(cloud.statistics()[-1], int(clock.now() * 1000))
    assert values(aggregator, TOKENS) == [round(answer["total_token"] * 1000)]
    assert values(aggregator, "huawei_maas.usage.errors") == [answer["total_error_count"]]
    assert values(aggregator, "huawei_maas.api.last_success_timestamp_seconds") == [int(clock.now())]


def test_the_constructor_asks_nobody_and_needs_no_key(cloud: Cloud, make_check: Make, monkeypatch: Any) -> None:
    monkeypatch.delenv("HW_ACCESS_KEY")
    check = make_check({"region": "not a region"})
    assert check.HA_SUPPORTED is True
    assert not cloud.seen


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"init_config": {"ak": "typed-here-by-mistake"}}, "init_config.ak: keys do not belong here"),
        ({"region": "Not a region"}, "instance.region: must be a region's id such as cn-southwest-2"),
        ({"ranges": ["last_0d"]}, "instance.ranges[0]: "),
        ({"servce_types": ["preset"]}, "did you mean `service_types`?"),
        ({"secret_key": "typed-here-by-mistake"}, "instance.secret_key: keys do not belong here"),
        ({"timezone": "Mars/Olympus"}, "instance.timezone: "),
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
    assert not cloud.seen
    assert run(check) == report["message"]  # and again, until it is mended


def test_no_key_is_in_what_the_agent_logs_shows_or_scrubs(
    cloud: Cloud, make_check: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    cloud.always = refuse
    check = make_check(cloud.entry())
    told = check.run() + caplog.text + "".join(check.get_warnings())
    assert "the signature was refused: check that the secret key belongs to the access key" in told
    assert (AK in told, SK in told) == (False, False)
    assert check.sanitize(f"a traceback with {AK} and {SK}") == "a traceback with ******** and ********"
    stored = b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir())
    assert (b"KeyEntry" in stored, AK.encode() in stored, SK.encode() in stored) == (True, False, False)


@pytest.mark.parametrize(
    ("environ", "requests_per_minute", "code", "says", "requests"),
    [
        ({"HW_SECRET_KEY": None}, 200, 2, "HW_SECRET_KEY not set in the environment", 0),
        ({"HW_SECRET_KEY": "wrong"}, 200, 3, "the signature was refused", 1),
        ({}, 0, 11, "the cloud's request limit was reached", 1),
    ],
)
def test_a_failed_cycle_is_one_line_with_the_remedy_after_up_0_went_out(
    cloud: Cloud, make_check: Make, aggregator: Any, monkeypatch: Any, environ: Dict[str, Optional[str]],
    requests_per_minute: int, code: int, says: str, requests: int,
) -> None:  # fmt: skip
    check = make_check(cloud.entry())
    for name, value in environ.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    cloud.emulator.requests_per_minute = requests_per_minute
    said = run(check)
    assert says in said
    assert "\n" not in said
    assert (values(aggregator, UP), values(aggregator, CODE), len(cloud.seen)) == ([0], [code], requests)
    assert not any(name.startswith("huawei_maas.usage") for name in aggregator.metric_names)


def test_a_partial_cycle_is_submitted_with_a_warning(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    cloud.always = lambda request: fail(request) if b'"service_type":4' in request.get_data() else None  # type: ignore
    check = make_check(cloud.entry(ranges=["last_7d"], service_types=["preset", "custom_endpoint"]))
    assert run(check) == ""
    assert [metric.tags[1] for metric in aggregator.metrics(TOKENS)] == ["service_type:preset"]
    assert values(aggregator, UP) == [1]
    assert values(aggregator, CODE) == [1]
    assert values(aggregator, "huawei_maas.api.failed_queries") == [1]
    warnings = check.get_warnings()
    assert len(warnings) == 1
    assert "no values for last_7d custom_endpoint" in warnings[0]


def test_a_credentials_file_that_others_can_read_is_warned_of(
    cloud: Cloud, make_check: Make, tmp_path: Path, aggregator: Any
) -> None:
    path = tmp_path / "key"
    path.write_text(f"{AK},{SK}")
    path.chmod(0o644)
    check = make_check(cloud.entry(credentials={"source": "file", "path": str(path)}))
    assert run(check) == ""
    assert check.get_warnings() == [
        f"credentials file {path}: others can read it: chown it to the user who runs this, and chmod 600 {path}"
    ]
    assert run(check) == ""
    assert len(check.get_warnings()) == 1  # the status page shows the last run's warnings alone


@pytest.mark.parametrize(
    ("interval", "steps", "cycles"),
    [
        (300, [0.0] * 100, 1),
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
    for seconds in steps:
        assert run(check) == ""
        clock.at += seconds
    assert len(cloud.seen) == 1 + 2 * cycles  # the project, and one question per range
    aggregator.assert_metric(TOKENS, count=2 * len(steps))
    aggregator.assert_metric(UP, value=1, count=len(steps))


def test_a_failure_is_repeated_as_a_failure_and_no_old_value_passes_for_new(
    cloud: Cloud, make_check: Make, aggregator: Any, clock: FixedClock
) -> None:
    check = make_check(cloud.entry(ranges=["last_7d"]))
    assert run(check) == ""
    clock.at += 300
    cloud.always = refuse
    aggregator.reset()
    first = run(check)
    asked = len(cloud.seen)
    clock.at += 15
    assert "refused" in first
    assert run(check) == first
    assert len(cloud.seen) == asked
    assert values(aggregator, UP) == [0, 0]
    assert values(aggregator, CODE) == [3, 3]
    assert not values(aggregator, TOKENS)
    clock.at += 600
    cloud.always = None
    assert run(check) == ""
    assert len(values(aggregator, TOKENS)) == 1


def test_an_edited_tag_keeps_the_project_id_and_the_lockout_over_a_restart(
    cloud: Cloud, make_check: Make, aggregator: Any
) -> None:
    entry = cloud.entry(ranges=["last_7d"])
    del entry["project_id"]
    assert run(make_check(entry)) == ""
    edited = {**entry, "tags": ["team:new"]}
    cloud.always = refuse
    assert "refused" in run(make_check(edited, start=2, check_id="maas_usage_check:decaf"))
    assert [request.method for request in cloud.seen] == ["GET", "POST", "POST"]
    cloud.always = None
    last = make_check({**edited, "name": "new"}, start=3, check_id="maas_usage_check:new:decaf")
    assert "nothing is asked for another 5 min, so that the key is not locked" in run(last)
    assert (len(cloud.seen), values(aggregator, CODE)) == (3, [0, 3, 5])


def test_a_store_that_cannot_be_written_still_keeps_the_lockout_while_the_agent_runs(
    cloud: Cloud, make_check: Make, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("no folder")
    cloud.always = refuse
    for tag in ("a:1", "a:2", "a:3"):
        run(make_check(cloud.entry(tags=[tag])))
    assert len(cloud.seen) == 1


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
def test_two_instances_in_two_threads_try_a_wrong_key_once(
    cloud: Cloud, datadog_agent: Any, aggregator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HW_ACCESS_KEY", "AKOFTHETHREADSTEST00")  # the gates of the process outlive the test
    monkeypatch.setenv("HW_SECRET_KEY", "a secret key that is wrong".replace(" ", "-"))
    checks = [
        maas_usage_check.MaasUsageCheck("maas_usage_check", {}, [cloud.entry(tags=[f"account:{i}"])]) for i in (1, 2)
    ]
    assert in_threads(checks) == 2
    assert len(cloud.seen) == 1
    assert sorted(values(aggregator, CODE)) in ([3, 3], [3, 5])
    assert values(aggregator, UP) == [0, 0]


def test_two_instances_in_two_threads_both_collect(cloud: Cloud, make_check: Make, aggregator: Any) -> None:
    checks = [make_check(cloud.entry(tags=[f"account:{i}"])) for i in (1, 2)]
    assert in_threads(checks) == 0
    aggregator.assert_metric(UP, value=1, count=2)
    aggregator.assert_metric(TOKENS, count=6)
    aggregator.assert_no_duplicate_all()


def in_threads(checks: List[Any]) -> int:
    """Run checks side by side, as the Agent does; count the errors."""
    said: List[str] = []
    threads = [threading.Thread(target=lambda check=check: said.append(run(check))) for check in checks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(said) == len(checks)
    return len([text for text in said if text])


def test_an_instance_that_the_agent_drops_leaves_no_false_alarm(
    cloud: Cloud, make_check: Make, aggregator: Any
) -> None:
    check = make_check(cloud.entry())

    def dropped(request: Request) -> Response:
        check.cancel()
        return fail(request)

    cloud.always = dropped
    assert run(check) == ""
    assert not aggregator.metric_names
    assert len(cloud.seen) == 1


def test_a_range_within_the_clouds_lag_is_warned_of_by_its_path_in_the_instance(
    cloud: Cloud, make_check: Make, aggregator: Any
) -> None:
    check = make_check(cloud.entry(ranges=["last_7d", "last_2h"]))
    assert run(check) == ""
    (warning,) = check.get_warnings()
    assert warning.startswith(
        "instance.ranges[1]: last_2h lies within the hours that the cloud's statistics lag behind"
    )
