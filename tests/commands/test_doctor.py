"""`doctor`: its stages, and at most six requests, none while a refused access key waits."""

from __future__ import annotations

import json
import re
import socket
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

import pytest
from werkzeug import Request, Response

from maas_usage_check.commands.doctor import count_problems
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.traffic import HOUR

from ..conftest import AK, SK, Cloud, FixedClock, Program
from ..fixed_clock import MONDAY
from ..program import only_line

NINE = int(MONDAY * 1000) // HOUR * HOUR - 3 * HOUR
"""9:00 of that Monday, the end of the newest final hour."""
MODELS = "models: true"
CLOUD_EYE = ["Cloud Eye"]
STAGES = ["configuration", "state", "credentials", "name resolution", "TCP and TLS", "clock", "project", "permission"]
STAGES += ["answer", "hours"]
Findings = Dict[str, Tuple[str, str]]
"""Mark and text by stage."""
Examine = Callable[..., Tuple[int, Findings]]


@pytest.fixture
def examine(cloud: Cloud, program: Program) -> Examine:
    """Run `doctor` on an instance with this YAML, or on a configuration; return its exit code and findings."""

    def run(yaml: str = "", config: str = "", **environ: Any) -> Tuple[int, Findings]:
        done = program("doctor", "--config", config or program.cloud_config(cloud, yaml), **environ)
        *shown, last = done.stdout.splitlines()
        lines = [(line[:4].strip(), line[6:21].strip(), line[23:]) for line in shown]
        assert last == count_problems([mark for mark, _, _ in lines])
        assert [stage for _, stage, _ in lines] == [*STAGES, *(CLOUD_EYE if MODELS in yaml else [])]
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


def failed(found: Findings) -> List[str]:
    return [stage for stage, (mark, _) in found.items() if mark == "FAIL"]


@pytest.mark.parametrize(("keys", "filters"), [("api_keys: [a]", {"a"}), ("teams: {t: {api_keys: [a]}}", set())])
def test_labels(cloud: Cloud, examine: Examine, keys: str, filters: Set[str]) -> None:
    """Calls are filtered by `api_keys`; labels that are reported separately are parts of the whole."""
    examine(f"hourly: true\n{keys}")
    assert {label for query in cloud.statistics() for label in query.get("api_keys", ())} == filters


def test_all_ok(cloud: Cloud, examine: Examine) -> None:
    """Every stage is ok, in six requests."""
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
    assert sorted(windows[2:]) == [(begin, half), (begin, NINE), (half, NINE)], "a final day, whole and in halves"
    assert len(cloud.requests) == 6
    assert examine(f"project_id: {'d3m0' * 8}")[0] == 0
    assert [request.method for request in cloud.requests[6:]] == ["POST"] * 5


def test_credentials_file(cloud: Cloud, program: Program, examine: Examine) -> None:
    """The file is shown with its mode; `collect` also warns if others can read it."""
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


def test_wrong_secret_is_tried_once(cloud: Cloud, examine: Examine) -> None:
    """A wrong secret is sent once; during the wait after the refusal, nothing is sent."""
    code, found = examine(HW_SECRET_KEY="wrong")
    assert (code, found["project"][0], len(cloud.requests)) == (1, "FAIL", 1)
    assert "secret key belongs to the access key" in found["project"][1]
    for _ in range(3):
        code, found = examine(HW_SECRET_KEY="wrong")
        assert (code, found["project"][0], len(cloud.requests)) == (1, "FAIL", 1)
        assert "Retrying in 5 min to avoid a lockout" in found["project"][1]
        assert "the signature was refused" in found["project"][1]
    assert examine()[0] == 0


def test_clock_off(cloud: Cloud, clock: FixedClock, examine: Examine) -> None:
    """A wrong clock is reported with its minutes."""
    cloud.emulator.now = lambda: clock.now() + 1212
    for _ in range(2):  # the second time nothing is sent; the refusal is stored
        code, found = examine()
        assert (code, found["clock"][0], found["project"][0]) == (1, "FAIL", "FAIL")
        assert found["clock"][1].startswith("20.2 minutes behind the cloud's")
    assert len(cloud.requests) == 1


def test_waits_for_the_rate(cloud: Cloud, clock: FixedClock, program: Program) -> None:
    """Its own requests may use up the rate: it waits for a minute and says so, and the clock is not off by the wait."""
    done = program("doctor", "--config", program.cloud_config(cloud, "max_requests_per_minute: 2"))
    assert done.stderr.startswith("W! rate limit: waiting 61 s, max_requests_per_minute (2) is used up\n")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "no problems")
    assert "ok    clock            0.0 minutes" in done.stdout
    assert clock.at >= MONDAY + 60


@pytest.mark.parametrize(
    ("method", "status", "stage", "words"),
    [
        ("GET", 403, "project", "iam:projects:get"),
        ("POST", 403, "permission", "modelarts:monitoring:get"),
        ("POST", 500, "answer", "an internal error"),
    ],
)
def test_refusal(cloud: Cloud, examine: Examine, method: str, status: int, stage: str, words: str) -> None:
    cloud.responder = lambda request: Response(b"{}", status) if request.method == method else None
    code, found = examine()
    assert (code, failed(found)) == (1, [stage])
    assert words in found[stage][1]
    assert len(cloud.requests) <= 2


def test_no_use(examine: Examine) -> None:
    """An account without use is not a failure, and the text explains it."""
    code, found = examine('api_keys: ["nobody"]')
    assert (code, found["answer"][0]) == (0, "ok")
    assert "another service type, label or region" in found["answer"][1]
    assert "nobody called" in found["answer"][1]
    assert found["hours"][0] == "warn"
    assert "no usage in the 24 hours up to" in found["hours"][1]


def window_length(request: Request) -> int:
    """Return the length of the queried window in milliseconds; 0 if there is none."""
    body = json.loads(request.get_data()) if request.method == "POST" else {"start_time": 0, "end_time": 0}
    return int(body["end_time"] - body["start_time"])


def test_halves_do_not_add_up(cloud: Cloud, clock: FixedClock, examine: Examine) -> None:
    day = {"service_type": 2, "start_time": NINE - 24 * HOUR, "end_time": NINE - 1}
    whole = cloud.emulator.usage.totals(day, int(clock.now() * 1000))
    doubled = json.dumps({name: 2 * value for name, value in whole.items()})
    cloud.responder = lambda request: Response(doubled) if window_length(request) == 24 * HOUR - 1 else None
    code, found = examine()
    assert (code, found["hours"][0]) == (1, "FAIL")
    counts = re.search(r"have ([\d,]+) total tokens, but their halves ([\d,]+):", found["hours"][1])
    assert counts
    whole, halves = (int(count.replace(",", "")) for count in counts.groups())
    assert whole == 2 * halves > 0


def test_failed_half(cloud: Cloud, examine: Examine) -> None:
    """A half whose query failed fails only the stage `hours`."""
    cloud.responder = lambda request: Response(b"{}", 500) if window_length(request) == 12 * HOUR - 1 else None
    code, found = examine()
    assert (code, failed(found)) == (1, ["hours"])
    assert "an internal error" in found["hours"][1]


def test_rate_limit(cloud: Cloud, program: Program) -> None:
    """It waits a minute for the rate limit, and says so; a stage that finds no room then is skipped."""
    done = program("doctor", "--config", program.cloud_config(cloud, "max_requests_per_minute: 3\ntimeout: 1"))
    assert done.stderr == "W! rate limit: waiting 61 s, max_requests_per_minute (3) is used up\n"
    assert "skip  hours            rate limit: " in done.stdout
    assert done.returncode == 0
    assert len(cloud.requests) == 4


def test_several_instances(cloud: Cloud, program: Program) -> None:
    """Every instance is examined and named."""
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


def test_refused_key_of_two_instances(cloud: Cloud, program: Program) -> None:
    """An access key that was refused is not tried by the next instance."""
    entry = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}"
    config = program.config(f"instances:\n  - {{{entry}}}\n  - {{{entry}, tags: ['n:2']}}\n")
    done = program("doctor", "--config", config, HW_SECRET_KEY="wrong")
    assert (done.returncode, len(cloud.requests)) == (1, 1)
    assert done.stdout.count("FAIL  project") == 2


def test_unreachable_hosts(program: Program, examine: Examine) -> None:
    """A host does not exist, or nothing listens on its port."""

    def at(url: str) -> Findings:
        entry = f"{{endpoint: '{url}', iam_endpoint: '{url}', skip_proxy: true}}"
        code, found = examine(config=program.config(f"instances:\n  - {entry}\n"))
        assert code == 1
        return found

    found = at("https://does-not-exist.invalid")
    assert (found["name resolution"][0], found["TCP and TLS"][0]) == ("FAIL", "skip")
    with socket.socket() as bound:  # but does not listen
        bound.bind(("127.0.0.1", 0))
        found = at(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert (found["name resolution"][0], found["TCP and TLS"][0]) == ("ok", "FAIL")
    assert "Connection refused" in found["TCP and TLS"][1]


def test_cloud_eye(cloud: Cloud, examine: Examine) -> None:
    """With `models`, Cloud Eye is queried in two more requests."""
    code, found = examine(MODELS)
    assert (code, {mark for mark, _ in found.values()}) == (0, {"ok"})
    text = found["Cloud Eye"][1]
    assert text.startswith("3 models and 3 keys; the newest minute with a call ended 2 min ago; Cloud Eye cannot")
    assert "cannot be compared with the statistics (ShowStatistics): some hours of the models are missing" in text
    assert len(cloud.requests) == 8


def test_comparison(cloud: Cloud, program: Program, examine: Examine) -> None:
    """Cloud Eye's hours are compared with the statistics in the ledger."""
    cloud.emulator.requests_per_minute = 10**6
    keys = f"{MODELS}\nhourly: true\nbackfill_days: 2\nservice_types: [1, 2]\nmax_requests_per_minute: 80000"
    assert program("collect", "--config", program.cloud_config(cloud, keys)).returncode == 0
    cloud.requests.clear()
    text = examine(keys)[1]["Cloud Eye"][1]
    compared = r"; Cloud Eye counts 100.0 % of the tokens .* for the same 45 hours of preset and my service$"
    assert re.search(compared, text)
    assert len(cloud.requests) == 7


@pytest.mark.parametrize(("permission", "requests"), [("ces:metrics:list", 7), ("ces:metricData:list", 8)])
def test_cloud_eye_permission(cloud: Cloud, examine: Examine, permission: str, requests: int) -> None:
    cloud.emulator.denied_permissions.add(permission)
    code, found = examine(MODELS)
    assert (code, failed(found), len(cloud.requests)) == (1, CLOUD_EYE, requests)
    assert f"allow `{permission}` in an IAM policy" in found["Cloud Eye"][1]


def test_cloud_eye_without_statistics(cloud: Cloud, examine: Examine) -> None:
    """Cloud Eye is queried even if the statistics are denied."""
    cloud.emulator.denied_permissions.add("modelarts:monitoring:get")
    code, found = examine(MODELS)
    assert (code, failed(found), found["hours"][0], found["Cloud Eye"][0]) == (1, ["permission"], "skip", "ok")


def test_refused_key_skips_cloud_eye(cloud: Cloud, examine: Examine) -> None:
    """An access key that was refused is not tried at Cloud Eye."""
    code, found = examine(MODELS, HW_SECRET_KEY="wrong")
    assert (code, found["Cloud Eye"], len(cloud.requests)) == (1, ("skip", "not queried: no project"), 1)
    code, found = examine(f"{MODELS}\nproject_id: {'d3m0' * 8}", HW_SECRET_KEY="wrong2")
    assert (code, found["answer"][0], found["Cloud Eye"][0], len(cloud.requests)) == (1, "FAIL", "skip", 2)


def test_models_without_calls(cloud: Cloud, examine: Examine) -> None:
    """Models without calls are not a failure."""
    cloud.emulator.models = SimulatedModels(models=0)
    code, found = examine(MODELS)
    assert (code, found["Cloud Eye"][0]) == (0, "warn")
    assert "may list metrics, but there are none" in found["Cloud Eye"][1]
    cloud.emulator.models = SimulatedModels(busy=lambda model, at: at < MONDAY * 1000 - 70 * 60_000)
    code, found = examine(MODELS)
    assert (code, found["Cloud Eye"][0]) == (0, "ok")
    assert "3 keys; no call in the last hour: nobody called, or Cloud Eye is late;" in found["Cloud Eye"][1]


def test_minute_of_zeros(cloud: Cloud, examine: Examine) -> None:
    """A minute of zeros is not a minute with a call."""

    def zeros(request: Request) -> Optional[Response]:
        if not request.path.endswith("/batch-query-metric-data"):
            return None
        body = request.get_json()
        points = [{"average": 0, "timestamp": body["from"] + 60_000}]
        metrics = [{**metric, "unit": "Count", "datapoints": points} for metric in body["metrics"]]
        return Response(json.dumps({"metrics": metrics}))

    cloud.responder = zeros
    assert "no call in the last hour" in examine(MODELS)[1]["Cloud Eye"][1]


def test_cloud_eye_out_of_reach(cloud: Cloud, program: Program, examine: Examine) -> None:
    hosts = f"endpoint: {cloud.url}, iam_endpoint: {cloud.url}, cloud_eye_endpoint: 'http://127.0.0.1:1'"
    code, found = examine(MODELS, program.config(f"instances:\n  - {{{hosts}, {MODELS}}}\n"))
    assert (code, [stage for stage, (mark, _) in found.items() if mark != "ok"]) == (1, CLOUD_EYE)
    assert found["Cloud Eye"][1].startswith("127.0.0.1:1: no connection (Connection refused): check network, firewall")
    assert examine(config=program.config(f"instances:\n  - {{{hosts}}}\n"))[0] == 0
