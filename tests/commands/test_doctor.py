"""The diagnosis as a user runs it, and its promise: six requests at most, none with a key that is held back."""

from __future__ import annotations

import json
import re
import socket
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest
from werkzeug import Request, Response

from maas_usage_check.commands.doctor import count_problems
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import HOUR

from ..conftest import AK, SK, Cloud, FixedClock, Program
from ..fixed_clock import MONDAY
from ..program import only_line

NINE = int(MONDAY * 1000) // HOUR * HOUR - 3 * HOUR
"""9:00 of that Monday, where the newest hour ends that is final."""
MODELS = "models: true"
CLOUD_EYE = ["Cloud Eye"]
STAGES = ["configuration", "state", "credentials", "name resolution", "TCP and TLS", "clock", "project", "permission"]
STAGES += ["answer", "hours"]
Found = Dict[str, Tuple[str, str]]
"""Mark and text by stage."""
Examine = Callable[..., Tuple[int, Found]]


@pytest.fixture
def examine(cloud: Cloud, program: Program) -> Examine:
    """Run `doctor` on an instance with some keys, or on a configuration; return its exit code and what it found."""

    def run(keys: str = "", config: str = "", **environ: Any) -> Tuple[int, Found]:
        done = program("doctor", "--config", config or program.cloud_config(cloud, keys), **environ)
        *shown, last = done.stdout.splitlines()
        lines = [(line[:4].strip(), line[6:21].strip(), line[23:]) for line in shown]
        assert last == count_problems([mark for mark, _, _ in lines])
        assert [stage for _, stage, _ in lines] == [*STAGES, *(CLOUD_EYE if MODELS in keys else [])]
        assert done.stderr == ""
        assert not any(secret in done.stdout for secret in (AK, SK))
        return done.returncode, {stage: (mark, text) for mark, stage, text in lines}

    return run


@pytest.mark.parametrize(
    ("marks", "text"),
    [
        ([], "no problems"),
        (["ok", "skip", "FAIL"], "1 problem"),
        (["warn", "ok"], "no problems, 1 warning"),
        (["FAIL", "warn", "FAIL", "warn"], "2 problems, 2 warnings"),
    ],
)
def test_last_line(marks: List[str], text: str) -> None:
    assert count_problems(marks) == text


def failed(found: Found) -> List[str]:
    return [stage for stage, (mark, _) in found.items() if mark == "FAIL"]


def test_when_all_is_well_every_stage_says_so_in_six_requests(cloud: Cloud, examine: Examine) -> None:
    code, found = examine()
    assert code == 0
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert found["state"][1].endswith("/state/maas-usage-check/maas-usage-check.sqlite3")
    assert found["credentials"][1] == "key from the environment"
    assert "127.0.0.1 by plain TCP" in found["TCP and TLS"][1].replace(cloud.url[7:], "127.0.0.1")
    assert "0.0 minutes" in found["clock"][1]
    assert "found by the region's name" in found["project"][1]
    assert "calls in the last 24 hours, " in found["answer"][1]
    assert "the 24 hours up to 2026-11-23 09:00 UTC and their halves add up: " in found["hours"][1]
    windows = [(body["start_time"], body["end_time"] + 1) for body in cloud.statistics()]
    begin, half = NINE - 24 * HOUR, NINE - 12 * HOUR
    assert sorted(windows[2:]) == [(begin, half), (begin, NINE), (half, NINE)], "a settled day, whole and in halves"
    assert len(cloud.requests) == 6
    assert examine(f"project_id: {'d3m0' * 8}")[0] == 0
    assert [request.method for request in cloud.requests[6:]] == ["POST"] * 5


def test_a_credentials_file_is_shown_with_its_mode(cloud: Cloud, program: Program, examine: Examine) -> None:
    """One that others can read is a warning of `collect` too."""
    path = program.folder / "key"
    path.write_text(f"{AK},{SK}")
    keys = f"credentials: {{source: file, path: {path}}}"
    remedy = f"others can read it: chown it to the user who runs this, and chmod 600 {path}"
    shown = f"key from file {path}, mode 06"
    for mode, mark, text, warning in (
        (0o600, "ok", f"{shown}00", ""),
        (0o640, "warn", f"{shown}40: {remedy}", f"W! credentials file {path}: {remedy}\n"),
    ):
        path.chmod(mode)
        code, found = examine(keys)
        assert (code, found["credentials"]) == (0, (mark, text))
        assert program("collect", "--config", program.cloud_config(cloud, keys)).stderr == warning
    path.unlink()
    code, found = examine(keys)
    assert (code, found["credentials"][0]) == (1, "FAIL")
    assert "check the path and who may read it" in found["credentials"][1]
    assert {found[stage][0] for stage in STAGES[5:]} == {"skip"}
    assert found["TCP and TLS"][0] == "ok"


def test_a_wrong_secret_is_one_request_and_while_it_is_held_back_none(cloud: Cloud, examine: Examine) -> None:
    code, found = examine(HW_SECRET_KEY="wrong")
    assert (code, found["project"][0], len(cloud.requests)) == (1, "FAIL", 1)
    assert "secret key belongs to the access key" in found["project"][1]
    for _ in range(3):
        code, found = examine(HW_SECRET_KEY="wrong")
        assert (code, found["project"][0], len(cloud.requests)) == (1, "FAIL", 1)
        assert "Retrying in 5 min to avoid a lockout" in found["project"][1]
        assert "the signature was refused" in found["project"][1]
    assert examine()[0] == 0


def test_a_clock_that_is_off_is_named_with_its_minutes(cloud: Cloud, clock: FixedClock, examine: Examine) -> None:
    cloud.emulator.now = lambda: clock.now() + 1212
    for _ in range(2):  # the second time nothing is sent, and the refusal is remembered
        code, found = examine()
        assert (code, found["clock"][0], found["project"][0]) == (1, "FAIL", "FAIL")
        assert found["clock"][1].startswith("20.2 minutes behind the cloud's")
    assert len(cloud.requests) == 1


@pytest.mark.parametrize(
    ("method", "status", "stage", "words"),
    [
        ("GET", 403, "project", "iam:projects:get"),
        ("POST", 403, "permission", "modelarts:monitoring:get"),
        ("POST", 500, "answer", "a fault of its own"),
    ],
)
def test_refusal(cloud: Cloud, examine: Examine, method: str, status: int, stage: str, words: str) -> None:
    cloud.responder = lambda request: Response(b"{}", status) if request.method == method else None
    code, found = examine()
    assert (code, failed(found)) == (1, [stage])
    assert words in found[stage][1]
    assert len(cloud.requests) <= 2


def test_no_use_at_all_is_no_failure_and_says_what_it_may_mean(examine: Examine) -> None:
    code, found = examine('api_keys: ["nobody"]')
    assert (code, found["answer"][0]) == (0, "ok")
    assert "another service type, label or region" in found["answer"][1]
    assert "nobody called" in found["answer"][1]
    assert found["hours"][0] == "warn"
    assert "no usage in the 24 hours up to" in found["hours"][1]


def asked_length(request: Request) -> int:
    """Tell how long a window is asked about, in milliseconds; 0 where none is."""
    body = json.loads(request.get_data()) if request.method == "POST" else {"start_time": 0, "end_time": 0}
    return int(body["end_time"] - body["start_time"])


def test_halves_that_do_not_add_up(cloud: Cloud, clock: FixedClock, examine: Examine) -> None:
    day = {"service_type": 2, "start_time": NINE - 24 * HOUR, "end_time": NINE - 1}
    whole = cloud.emulator.usage.totals(day, int(clock.now() * 1000))
    doubled = json.dumps({name: 2 * value for name, value in whole.items()})
    cloud.responder = lambda request: Response(doubled) if asked_length(request) == 24 * HOUR - 1 else None
    code, found = examine()
    assert (code, found["hours"][0]) == (1, "FAIL")
    counts = re.search(r"have ([\d,]+) total tokens, but their halves ([\d,]+):", found["hours"][1])
    assert counts
    whole, halves = (int(count.replace(",", "")) for count in counts.groups())
    assert whole == 2 * halves > 0


def test_a_half_that_is_not_answered_fails_at_the_hours_alone(cloud: Cloud, examine: Examine) -> None:
    cloud.responder = lambda request: Response(b"{}", 500) if asked_length(request) == 12 * HOUR - 1 else None
    code, found = examine()
    assert (code, failed(found)) == (1, ["hours"])
    assert "a fault of its own" in found["hours"][1]


def test_hours_for_which_the_rate_leaves_no_room_are_no_failure(cloud: Cloud, examine: Examine) -> None:
    code, found = examine("max_requests_per_minute: 3\ntimeout: 1")
    assert (code, found["answer"][0], found["hours"][0]) == (0, "ok", "skip")
    assert len(cloud.requests) == 3


def test_every_instance_is_examined_and_named(cloud: Cloud, program: Program) -> None:
    entry = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}"
    config = program.config(
        f"instances:\n  - {{{entry}, tags: ['n:1']}}\n  - {{{entry}, tags: ['n:2'], project_id: {'beef' * 8}}}\n"
    )
    done = program("doctor", "--config", config)
    lines = done.stdout.splitlines()[:-1]
    assert lines[0] == f"ok    configuration    {config}: 2 instances"
    assert [line[6:21].strip() for line in lines[1:]] == ["instance", *STAGES[1:]] * 2
    assert [line for line in lines if line.startswith("--")] == [
        "--    instance         instances[0]: cn-southwest-2 (n:1)",
        f"--    instance         instances[1]: cn-southwest-2 (project_id:{'beef' * 8} n:2)",
    ]
    first, second = lines[2 : 1 + len(STAGES)], lines[2 + len(STAGES) :]
    assert {line[:4] for line in first} == {"ok  "}
    assert [line[6:16] for line in second if line.startswith("FAIL")] == ["permission"]
    assert done.returncode == 1
    other = program.config(f"instances:\n  - {{{entry}}}\n  - {{{entry}, tags: ['n:2'], tls_ca_cert: /nowhere}}\n")
    assert "instances[1].tls_ca_cert: " in only_line(program("doctor", "--config", other), 2)


def test_a_key_that_one_instance_was_refused_with_is_not_tried_by_the_next(cloud: Cloud, program: Program) -> None:
    entry = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}"
    config = program.config(f"instances:\n  - {{{entry}}}\n  - {{{entry}, tags: ['n:2']}}\n")
    done = program("doctor", "--config", config, HW_SECRET_KEY="wrong")
    assert (done.returncode, len(cloud.requests)) == (1, 1)
    assert done.stdout.count("FAIL  project") == 2


def test_a_host_that_does_not_exist_and_a_port_where_nobody_listens(program: Program, examine: Examine) -> None:
    def at(url: str) -> Found:
        entry = f"{{endpoint: '{url}', iam_endpoint: '{url}', skip_proxy: true}}"
        code, found = examine(config=program.config(f"instances:\n  - {entry}\n"))
        assert code == 1
        return found

    found = at("https://does-not-exist.invalid")
    assert (found["name resolution"][0], found["TCP and TLS"][0]) == ("FAIL", "skip")
    with socket.socket() as bound:  # and nobody listens
        bound.bind(("127.0.0.1", 0))
        found = at(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert (found["name resolution"][0], found["TCP and TLS"][0]) == ("ok", "FAIL")
    assert "Connection refused" in found["TCP and TLS"][1]


def test_with_models_cloud_eye_is_asked_in_two_requests_more(cloud: Cloud, examine: Examine) -> None:
    code, found = examine(MODELS)
    assert (code, {mark for mark, _ in found.values()}) == (0, {"ok"})
    text = found["Cloud Eye"][1]
    assert text.startswith("3 models and 3 keys; the newest minute with a call ended 1 min ago; Cloud Eye cannot")
    assert "cannot be compared with the statistics (ShowStatistics): some hours of the models are missing" in text
    assert len(cloud.requests) == 8


def test_what_the_ledgers_hold_of_both_is_compared(cloud: Cloud, program: Program, examine: Examine) -> None:
    cloud.emulator.requests_per_minute = 10**6
    keys = f"{MODELS}\nhourly: true\nbackfill_days: 2\nservice_types: [1, 2]\nmax_requests_per_minute: 80000"
    assert program("collect", "--config", program.cloud_config(cloud, keys)).returncode == 0
    cloud.requests.clear()
    text = examine(keys)[1]["Cloud Eye"][1]
    compared = r"; Cloud Eye counts [\d.]+ % of the tokens .* for the same 45 hours of preset and my service$"
    assert re.search(compared, text)
    assert len(cloud.requests) == 7


@pytest.mark.parametrize(("permission", "requests"), [("ces:metrics:list", 7), ("ces:metricData:list", 8)])
def test_missing_permission_for_cloud_eye(cloud: Cloud, examine: Examine, permission: str, requests: int) -> None:
    cloud.emulator.denied_permissions.add(permission)
    code, found = examine(MODELS)
    assert (code, failed(found), len(cloud.requests)) == (1, CLOUD_EYE, requests)
    assert f"allow `{permission}` in an IAM policy" in found["Cloud Eye"][1]


def test_cloud_eye_is_asked_though_the_statistics_are_refused(cloud: Cloud, examine: Examine) -> None:
    cloud.emulator.denied_permissions.add("modelarts:monitoring:get")
    code, found = examine(MODELS)
    assert (code, failed(found), found["hours"][0], found["Cloud Eye"][0]) == (1, ["permission"], "skip", "ok")


def test_a_key_that_is_refused_is_not_tried_at_cloud_eye(cloud: Cloud, examine: Examine) -> None:
    code, found = examine(MODELS, HW_SECRET_KEY="wrong")
    assert (code, found["Cloud Eye"], len(cloud.requests)) == (1, ("skip", "not queried: no project"), 1)
    code, found = examine(f"{MODELS}\nproject_id: {'d3m0' * 8}", HW_SECRET_KEY="wrong2")
    assert (code, found["answer"][0], found["Cloud Eye"][0], len(cloud.requests)) == (1, "FAIL", "skip", 2)


def test_models_without_calls_are_no_failure(cloud: Cloud, examine: Examine) -> None:
    cloud.emulator.models = SimulatedModels(models=0)
    code, found = examine(MODELS)
    assert (code, found["Cloud Eye"][0]) == (0, "warn")
    assert "may list metrics, but there are none" in found["Cloud Eye"][1]
    cloud.emulator.models = SimulatedModels(busy=lambda model, at: at < MONDAY * 1000 - 70 * 60_000)
    code, found = examine(MODELS)
    assert (code, found["Cloud Eye"][0]) == (0, "ok")
    assert "3 keys; no call in the last hour: nobody called, or Cloud Eye is late;" in found["Cloud Eye"][1]


def test_a_minute_of_zeros_is_no_minute_with_a_call(cloud: Cloud, examine: Examine) -> None:
    def zeros(request: Request) -> Optional[Response]:
        if not request.path.endswith("/batch-query-metric-data"):
            return None
        asked = request.get_json()
        points = [{"average": 0, "timestamp": asked["from"] + 60_000}]
        metrics = [{**metric, "unit": "Count", "datapoints": points} for metric in asked["metrics"]]
        return Response(json.dumps({"metrics": metrics}))

    cloud.responder = zeros
    assert "no call in the last hour" in examine(MODELS)[1]["Cloud Eye"][1]


def test_cloud_eye_out_of_reach(cloud: Cloud, program: Program, examine: Examine) -> None:
    hosts = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}, cloud_eye_endpoint: 'http://127.0.0.1:1'"
    code, found = examine(MODELS, program.config(f"instances:\n  - {{{hosts}, {MODELS}}}\n"))
    assert (code, [stage for stage, (mark, _) in found.items() if mark != "ok"]) == (1, CLOUD_EYE)
    assert found["Cloud Eye"][1].startswith("127.0.0.1:1: no connection (Connection refused): check network, firewall")
    assert examine(config=program.config(f"instances:\n  - {{{hosts}}}\n"))[0] == 0
