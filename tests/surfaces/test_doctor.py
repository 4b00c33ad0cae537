"""The diagnosis as a user runs it, and its promise: six requests at most, none with a key that is held back."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Dict, List, Optional, Sequence, Tuple

import pytest
from werkzeug import Request, Response

from maas_usage_check.standin.emulator import Emulator
from maas_usage_check.standin.ledger import HOUR
from maas_usage_check.standin.models import Models

from ..conftest import AK, SK, Cloud, Program
from ..faults.server import Server

STAGES = [
    "configuration",
    "credentials",
    "name resolution",
    "TCP and TLS",
    "clock",
    "project",
    "permission",
    "answer",
    "hours",
]


def examined(
    program: Program, *arguments: str, more: Sequence[str] = (), **environ: str
) -> Tuple[int, Dict[str, Tuple[str, str]]]:
    """Run `doctor`; return its exit code, and mark and text by stage, of which there may be more."""
    done = program("doctor", *arguments, **environ)
    lines: List[Tuple[str, str, str]] = [
        (line[:4].strip(), line[6:21].strip(), line[23:]) for line in done.stdout.splitlines()
    ]
    assert [stage for _, stage, _ in lines] == [*STAGES, *more]
    assert done.stderr == ""
    assert not any(secret in done.stdout for secret in (AK, SK))
    return done.returncode, {stage: (mark, text) for mark, stage, text in lines}


def test_when_all_is_well_every_stage_says_so_in_six_requests(cloud: Cloud, program: Program) -> None:
    code, found = examined(program, "--config", program.for_cloud(cloud))
    assert code == 0
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert found["credentials"][1] == "key from the environment"
    assert "127.0.0.1 by plain TCP" in found["TCP and TLS"][1].replace(cloud.url[7:], "127.0.0.1")
    assert "0.0 minutes" in found["clock"][1]
    assert "found by the region's name" in found["project"][1]
    assert "calls in 24 hours" in found["answer"][1]
    assert "and their halves add up: " in found["hours"][1]
    assert len(cloud.seen) == 6


def test_a_configured_project_needs_one_request_less(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, f"project_id: {'d3m0' * 8}")
    assert examined(program, "--config", config)[0] == 0
    assert [request.method for request in cloud.seen] == ["POST"] * 5


def test_a_credentials_file_is_shown_with_its_mode(cloud: Cloud, program: Program) -> None:
    path = program.folder / "key"
    path.write_text(f"{AK},{SK}")
    config = program.for_cloud(cloud, f"credentials: {{source: file, path: {path}}}")
    for mode, mark in ((0o600, "ok"), (0o644, "warn"), (0o640, "warn")):
        path.chmod(mode)
        code, found = examined(program, "--config", config)
        assert (code, found["credentials"][0]) == (0, mark)
        assert f"mode {mode:04o}" in found["credentials"][1]
    path.unlink()
    code, found = examined(program, "--config", config)
    assert (code, found["credentials"][0]) == (1, "FAIL")
    assert "check the path and who may read it" in found["credentials"][1]
    assert {found[stage][0] for stage in STAGES[4:]} == {"skip"}
    assert found["TCP and TLS"][0] == "ok"


def test_a_wrong_secret_is_one_request_and_while_it_is_held_back_none(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud)
    code, found = examined(program, "--config", config, HW_SECRET_KEY="wrong")
    assert (code, found["project"][0], len(cloud.seen)) == (1, "FAIL", 1)
    assert "secret key belongs to the access key" in found["project"][1]
    for _ in range(3):
        code, found = examined(program, "--config", config, HW_SECRET_KEY="wrong")
        assert (code, found["project"][0], len(cloud.seen)) == (1, "FAIL", 1)
        assert "nothing is asked for another" in found["project"][1]
        assert "the signature was refused" in found["project"][1]
    assert examined(program, "--config", config)[0] == 0


def test_what_collect_learned_of_a_key_holds_for_doctor_too(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud)
    program("collect", "--config", config, HW_SECRET_KEY="wrong")
    assert examined(program, "--config", config, HW_SECRET_KEY="wrong")[0] == 1
    assert len(cloud.seen) == 1


def test_a_clock_that_is_off_is_named_with_its_minutes(program: Program) -> None:
    server = Server(Emulator({AK: SK}, now=lambda: time.time() + 1210))  # whose Date is the emulator's alone
    config = program.config(f"instances:\n  - {{endpoint: '{server.url}', iam_endpoint: '{server.url}'}}\n")
    code, found = examined(program, "--config", config)
    server.stop()
    assert (code, found["clock"][0], found["project"][0]) == (1, "FAIL", "FAIL")
    assert found["clock"][1].startswith("20.")
    assert "behind the cloud's" in found["clock"][1]


@pytest.mark.parametrize(
    ("method", "status", "stage", "words"),
    [
        ("GET", 403, "project", "iam:projects:get"),
        ("POST", 403, "permission", "modelarts:monitoring:get"),
        ("POST", 500, "answer", "a fault of its own"),
        ("POST", 404, "answer", "check region, endpoint and project_id"),
    ],
)
def test_a_refusal_is_shown_at_its_stage_and_not_tried_again(
    cloud: Cloud, program: Program, method: str, status: int, stage: str, words: str
) -> None:
    cloud.always = lambda request: Response(b"{}", status) if request.method == method else None
    code, found = examined(program, "--config", program.for_cloud(cloud))
    assert (code, found[stage][0]) == (1, "FAIL")
    assert words in found[stage][1]
    assert [mark for mark, _ in found.values()].count("FAIL") == 1
    assert len(cloud.seen) <= 2


def test_no_use_at_all_is_no_failure_and_says_what_it_may_mean(cloud: Cloud, program: Program) -> None:
    code, found = examined(program, "--config", program.for_cloud(cloud, 'api_keys: ["nobody"]'))
    assert (code, found["answer"][0]) == (0, "ok")
    assert "another service type, label or region" in found["answer"][1]
    assert "nobody called" in found["answer"][1]
    assert found["hours"][0] == "warn"
    assert "nothing was used in the 24 hours up to" in found["hours"][1]


def asked_length(request: Request) -> int:
    """Tell how long a window is asked about, in milliseconds; 0 where none is."""
    body = json.loads(request.get_data()) if request.method == "POST" else {"start_time": 0, "end_time": 0}
    return int(body["end_time"] - body["start_time"])


def test_the_settled_day_is_asked_in_full_hours_that_end_a_millisecond_early_and_in_its_halves(
    cloud: Cloud, program: Program
) -> None:
    assert examined(program, "--config", program.for_cloud(cloud))[0] == 0
    bodies = [body for body in cloud.statistics() if body["start_time"] % HOUR == 0]
    windows = sorted((body["start_time"], body["end_time"] + 1) for body in bodies)
    (start, noon), (_, until), _ = windows
    assert sorted(windows) == sorted([(start, until), (start, start + 12 * HOUR), (start + 12 * HOUR, until)])
    assert noon == start + 12 * HOUR
    assert until - start == 24 * HOUR
    assert 3 * HOUR <= time.time() * 1000 - until < 4 * HOUR + 60_000


def test_halves_that_do_not_add_up_to_their_day_fail_with_the_numbers(cloud: Cloud, program: Program) -> None:
    def doubled(request: Request) -> Optional[Response]:
        if asked_length(request) != 24 * HOUR - 1:
            return None
        whole = cloud.emulator.ledger.totals(json.loads(request.get_data()), int(time.time() * 1000))
        return Response(json.dumps({name: 2 * value for name, value in whole.items()}))

    cloud.always = doubled
    code, found = examined(program, "--config", program.for_cloud(cloud))
    assert (code, found["hours"][0]) == (1, "FAIL")
    counts = re.search(r"have ([\d,]+) total tokens, but their halves ([\d,]+):", found["hours"][1])
    assert counts
    whole, halves = (int(count.replace(",", "")) for count in counts.groups())
    assert whole == 2 * halves > 0


def test_a_half_that_is_not_answered_fails_at_the_hours_alone(cloud: Cloud, program: Program) -> None:
    cloud.always = lambda request: Response(b"{}", 500) if asked_length(request) == 12 * HOUR - 1 else None
    code, found = examined(program, "--config", program.for_cloud(cloud))
    assert (code, found["answer"][0], found["hours"][0]) == (1, "ok", "FAIL")
    assert "a fault of its own" in found["hours"][1]


def test_hours_for_which_the_rate_leaves_no_room_are_no_failure(cloud: Cloud, program: Program) -> None:
    code, found = examined(program, "--config", program.for_cloud(cloud, "max_requests_per_minute: 3\ntimeout: 1"))
    assert (code, found["answer"][0], found["hours"][0]) == (0, "ok", "skip")
    assert len(cloud.seen) == 3


def test_every_instance_is_examined_and_named(cloud: Cloud, program: Program) -> None:
    entry = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}"
    config = program.config(
        f"instances:\n  - {{{entry}, tags: ['n:1']}}\n  - {{{entry}, tags: ['n:2'], project_id: {'beef' * 8}}}\n"
    )
    done = program("doctor", "--config", config)
    lines = done.stdout.splitlines()
    assert lines[0] == f"ok    configuration    {config}: 2 instances"
    assert [line[6:21].strip() for line in lines[1:]] == ["instance", *STAGES[1:]] * 2
    names = [line for line in lines if line.startswith("--")]
    assert names == [
        "--    instance         instances[0]: cn-southwest-2 (n:1)",
        f"--    instance         instances[1]: cn-southwest-2 (project_id:{'beef' * 8} n:2)",
    ]
    first, second = lines[2 : 1 + len(STAGES)], lines[2 + len(STAGES) :]
    assert {line[:4] for line in first} == {"ok  "}
    assert [line[6:16] for line in second if line.startswith("FAIL")] == ["permission"]
    assert done.returncode == 1
    other = program.config(f"instances:\n  - {{{entry}}}\n  - {{{entry}, tags: ['n:2'], tls_ca_cert: /nowhere}}\n")
    assert (program("doctor", "--config", other).returncode, program("doctor", "--config", other).stdout) == (2, "")


def test_a_key_that_one_instance_was_refused_with_is_not_tried_by_the_next(cloud: Cloud, program: Program) -> None:
    entry = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}"
    config = program.config(f"instances:\n  - {{{entry}}}\n  - {{{entry}, tags: ['n:2']}}\n")
    done = program("doctor", "--config", config, HW_SECRET_KEY="wrong")
    assert (done.returncode, len(cloud.seen)) == (1, 1)
    assert done.stdout.count("FAIL  project") == 2


def test_a_host_that_does_not_exist_and_a_port_where_nobody_listens(program: Program) -> None:
    url = "https://does-not-exist.invalid"
    config = program.config(f"instances:\n  - {{endpoint: '{url}', iam_endpoint: '{url}', skip_proxy: true}}\n")
    code, found = examined(program, "--config", config)
    assert (code, found["name resolution"][0], found["TCP and TLS"][0]) == (1, "FAIL", "skip")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    code, found = examined(
        program, "--config", program.config(f"instances:\n  - {{endpoint: '{url}', iam_endpoint: '{url}'}}\n")
    )
    assert (code, found["name resolution"][0], found["TCP and TLS"][0]) == (1, "ok", "FAIL")
    assert "Connection refused" in found["TCP and TLS"][1]


def test_a_wrong_configuration_is_exit_code_2_as_everywhere(program: Program) -> None:
    done = program("doctor", "--config", program.config("instances:\n  - {timeout: -1}\n"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "timeout: must be greater than 0" in done.stderr


MODELS = "models: true"
CLOUD_EYE = ["Cloud Eye"]


def test_with_models_cloud_eye_is_asked_in_two_requests_more(cloud: Cloud, program: Program) -> None:
    code, found = examined(program, "--config", program.for_cloud(cloud, MODELS), more=CLOUD_EYE)
    assert (code, {mark for mark, _ in found.values()}) == (0, {"ok"})
    text = found["Cloud Eye"][1]
    assert re.match(
        r"3 models and 3 keys; the newest minute with a call ended [0-9] min ago; Cloud Eye's numbers", text
    )
    assert "cannot be compared with the statistics' (ShowStatistics): the hours of its models are not all known" in text
    assert len(cloud.seen) == 8


def test_what_the_ledgers_hold_of_both_is_compared(cloud: Cloud, program: Program) -> None:
    cloud.emulator.requests_per_minute = 10**6
    more = f"{MODELS}\nhourly: true\nbackfill_days: 2\nservice_types: [1, 2]\nmax_requests_per_minute: 80000"
    config = program.for_cloud(cloud, more)
    assert program("collect", "--config", config).returncode == 0
    cloud.seen.clear()
    text = examined(program, "--config", config, more=CLOUD_EYE)[1]["Cloud Eye"][1]
    assert re.search(
        r"; Cloud Eye counts [\d.]+ % of the tokens .* for the same 4\d hours of preset and my service$", text
    )
    assert len(cloud.seen) == 7


@pytest.mark.parametrize(("permission", "requests"), [("ces:metrics:list", 7), ("ces:metricData:list", 8)])
def test_a_permission_for_cloud_eye_that_is_missing_is_named(
    cloud: Cloud, program: Program, permission: str, requests: int
) -> None:
    cloud.emulator.refused.add(permission)
    code, found = examined(program, "--config", program.for_cloud(cloud, MODELS), more=CLOUD_EYE)
    assert (code, found["Cloud Eye"][0], len(cloud.seen)) == (1, "FAIL", requests)
    assert f"allow `{permission}` in an IAM policy" in found["Cloud Eye"][1]
    assert [mark for mark, _ in found.values()].count("FAIL") == 1


def test_cloud_eye_is_asked_though_the_statistics_are_refused(cloud: Cloud, program: Program) -> None:
    cloud.emulator.refused.add("modelarts:monitoring:get")
    code, found = examined(program, "--config", program.for_cloud(cloud, MODELS), more=CLOUD_EYE)
    assert (code, found["permission"][0], found["hours"][0], found["Cloud Eye"][0]) == (1, "FAIL", "skip", "ok")


def test_a_key_that_is_refused_is_not_tried_at_cloud_eye(cloud: Cloud, program: Program) -> None:
    code, found = examined(program, "--config", program.for_cloud(cloud, MODELS), more=CLOUD_EYE, HW_SECRET_KEY="wrong")
    assert (code, found["Cloud Eye"], len(cloud.seen)) == (1, ("skip", "not asked: no project"), 1)
    config = program.for_cloud(cloud, f"{MODELS}\nproject_id: {'d3m0' * 8}")
    code, found = examined(program, "--config", config, more=CLOUD_EYE, HW_SECRET_KEY="wrong2")
    assert (code, found["answer"][0], found["Cloud Eye"][0], len(cloud.seen)) == (1, "FAIL", "skip", 2)


def test_models_that_nobody_calls_are_no_failure(cloud: Cloud, program: Program) -> None:
    cloud.emulator.models = Models(models=0)
    config = program.for_cloud(cloud, MODELS)
    code, found = examined(program, "--config", config, more=CLOUD_EYE)
    assert (code, found["Cloud Eye"][0]) == (0, "warn")
    assert "may list metrics, but there are none" in found["Cloud Eye"][1]
    an_hour_ago = int(time.time() * 1000) - 70 * 60_000
    cloud.emulator.models = Models(busy=lambda model, at: at < an_hour_ago)
    code, found = examined(program, "--config", config, more=CLOUD_EYE)
    assert (code, found["Cloud Eye"][0]) == (0, "ok")
    assert "3 keys; no call in the last hour: nobody called, or Cloud Eye is late;" in found["Cloud Eye"][1]


def test_a_minute_of_zeros_is_no_minute_with_a_call(cloud: Cloud, program: Program) -> None:
    def zeros(request: Request) -> Optional[Response]:
        if not request.path.endswith("/batch-query-metric-data"):
            return None
        asked = request.get_json()
        points = [{"average": 0, "timestamp": asked["from"] + 60_000}]
        metrics = [{**metric, "unit": "Count", "datapoints": points} for metric in asked["metrics"]]
        return Response(json.dumps({"metrics": metrics}))

    cloud.always = zeros
    _, found = examined(program, "--config", program.for_cloud(cloud, MODELS), more=CLOUD_EYE)
    assert "no call in the last hour" in found["Cloud Eye"][1]


@pytest.mark.parametrize("part", ["/metrics", "/batch-query-metric-data"])
@pytest.mark.parametrize("body", [b"<html>", b'{"metrics": 1}', b'{"metrics": [1]}'])
def test_an_answer_of_cloud_eye_that_is_none_fails_at_its_stage_alone(
    cloud: Cloud, program: Program, part: str, body: bytes
) -> None:
    cloud.always = lambda request: Response(body) if request.path.endswith(part) else None
    code, found = examined(program, "--config", program.for_cloud(cloud, MODELS), more=CLOUD_EYE)
    assert (code, [stage for stage, (mark, _) in found.items() if mark != "ok"]) == (1, CLOUD_EYE)
    assert "the cloud's answer was not believed" in found["Cloud Eye"][1]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://does-not-exist.invalid", "does-not-exist.invalid: no such host: check region, endpoint and name"),
        ("http://127.0.0.1:1", "127.0.0.1:1: no connection (Connection refused): check network, firewall and proxy"),
    ],
)
def test_a_host_of_cloud_eye_that_is_not_reached_fails_at_its_stage_alone(
    cloud: Cloud, program: Program, url: str, text: str
) -> None:
    hosts = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}, cloud_eye_endpoint: '{url}'"
    config = program.config(f"instances:\n  - {{{hosts}, models: true, skip_proxy: true}}\n")
    code, found = examined(program, "--config", config, more=CLOUD_EYE)
    assert (code, [stage for stage, (mark, _) in found.items() if mark != "ok"]) == (1, CLOUD_EYE)
    assert found["Cloud Eye"][1].startswith(text)
    without = program.config(f"instances:\n  - {{{hosts}, skip_proxy: true}}\n")
    assert examined(program, "--config", without)[0] == 0
