"""The emulator is strict: it enforces each known rule of the cloud."""

from __future__ import annotations

import json
from typing import Any, Dict, Optional

import pytest

from maas_usage_check.cloud import Credentials
from maas_usage_check.cloud.client import sign_request
from maas_usage_check.config.ranges import DAY
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator, Reply

from ..conftest import AK, NOW, SK, FixedClock

NOW_MS = int(NOW * 1000)
PATH = f"/v1/{PROJECT_ID}/maas/monitoring/show-statistics"
QUERY = {"service_type": 2, "start_time": NOW_MS - 7 * DAY, "end_time": NOW_MS, "infer_type": "real_time"}


@pytest.fixture
def emulator(clock: FixedClock) -> Emulator:
    clock.at = NOW
    return Emulator({AK: SK}, now=clock.now)


def send(
    emulator: Emulator,
    body: Any = QUERY,
    sk: str = SK,
    ak: str = AK,
    at_s: Optional[float] = None,
    token: Optional[str] = None,
    path: str = PATH,
) -> Reply:
    now = emulator.now() if at_s is None else at_s
    request = sign_request("POST", f"https://cloud.example{path}", Credentials(ak, sk, token), now, body=body)
    return emulator.answer("POST", path, request.headers, request.body)


def error_message(reply: Reply) -> str:
    return str(json.loads(reply.body)["error_msg"])


def test_answer(emulator: Emulator) -> None:
    """A signed request is answered with the documented fields."""
    reply = send(emulator)
    answer = json.loads(reply.body)
    assert reply.status == 200
    assert set(answer) == {
        "total_request_count", "total_error_count", "total_token", "total_prompt_token", "total_completion_token",
        "total_completion_tasks", "total_infer_count",
    }  # fmt: skip
    assert answer["total_token"] > answer["total_prompt_token"] + answer["total_completion_token"] > 0


def test_altered_request(emulator: Emulator) -> None:
    """A request that differs from the signed one is refused."""
    request = sign_request("POST", f"https://cloud.example{PATH}", Credentials(AK, SK), NOW, body=QUERY)
    assert emulator.answer("POST", PATH, request.headers, request.body + b" ").status == 401
    assert emulator.answer("POST", PATH + "?x=1", request.headers, request.body).status == 401
    assert emulator.answer("POST", PATH, {**request.headers, "Host": "other"}, request.body).status == 401
    assert emulator.answer("POST", PATH, request.headers, request.body).status == 200


def test_refusals(emulator: Emulator) -> None:
    """A wrong secret key, an unknown access key and a missing signature have errors of their own."""
    assert "verify ak sk signature fail" in error_message(send(emulator, sk="wrong"))
    assert "ak not exist" in error_message(send(emulator, ak="NOBODY"))
    assert emulator.answer("POST", PATH, {}, b"{}").status == 401


@pytest.mark.parametrize(("minutes", "status"), [(-16, 401), (-14, 200), (14, 200), (16, 401)])
def test_clock_tolerance(emulator: Emulator, minutes: int, status: int) -> None:
    """A clock that is wrong by more than 15 minutes is refused."""
    assert send(emulator, at_s=NOW + minutes * 60).status == status


def test_temporary_key(clock: FixedClock) -> None:
    """A temporary key needs its token, signed."""
    emulator = Emulator({AK: SK}, now=clock.now, tokens={AK: "token"})
    assert send(emulator, token="token").status == 200
    assert send(emulator, token="other").status == 401
    assert send(emulator).status == 401


def test_lockout(emulator: Emulator, clock: FixedClock) -> None:
    """More than five refusals in a row lock the access key for five minutes."""
    for _ in range(20):  # five minutes apart, they are not in a row
        assert send(emulator, sk="wrong").status == 401
        clock.at += 300
    assert emulator.lockouts == 0
    for _ in range(5):
        assert "signature fail" in error_message(send(emulator, sk="wrong"))
    assert send(emulator).status == 200
    assert {send(emulator, sk="wrong").status for _ in range(6)} == {401}
    assert "reach the limit" in error_message(send(emulator))
    assert emulator.lockouts == 1
    clock.at += 300
    assert send(emulator).status == 200


def test_rate_limit(emulator: Emulator, clock: FixedClock) -> None:
    """The 201st request of a minute is answered with 429."""
    assert [send(emulator).status for _ in range(201)] == [200] * 200 + [429]
    clock.at += 61
    assert send(emulator).status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"service_type": 3}, {"service_type": True}, {"service_type": None}, {"infer_type": "x"}, {"start_time": 0},
        {"start_time": NOW_MS + 1}, {"start_time": NOW_MS - 29 * DAY - 1}, {"start_time": 1.5}, {"api_keys": "a"},
        {"ips": [1]}, {"surprise": 1}, {"service_type": []}, {"infer_type": {}},
    ],
)  # fmt: skip
def test_invalid_query(emulator: Emulator, change: Dict[str, Any]) -> None:
    """A query that the API does not accept is answered with 400."""
    assert send(emulator, {**QUERY, **change}).status == 400


def test_body_is_not_an_object(emulator: Emulator) -> None:
    """A signed body that is not an object is answered with 400."""
    assert {send(emulator, body).status for body in ([], [[]], "x", 1)} == {400}


def test_labels_add_up_to_the_total(emulator: Emulator) -> None:
    def requests(**filters: Any) -> int:
        return int(json.loads(send(emulator, {**QUERY, **filters}).body)["total_request_count"])

    parts = [requests(api_keys=[label]) for label in ("team-search", "team-support", "batch-jobs", "")]
    assert sum(parts) == requests()
    assert requests(api_keys=["unknown"]) == 0
    assert 0 < requests(ips=["192.0.2.7"]) < requests()


def test_project_list(emulator: Emulator) -> None:
    """The project list has a sub-project with the same prefix first."""
    query = [("name", "cn-southwest-2")]
    request = sign_request("GET", "https://iam.example/v3/projects", Credentials(AK, SK), NOW, query)
    reply = emulator.answer("GET", "/v3/projects?name=cn-southwest-2", request.headers, b"")
    names = [project["name"] for project in json.loads(reply.body)["projects"]]
    assert names == ["cn-southwest-2_sub", "cn-southwest-2"]


def test_unknown_project_and_path(emulator: Emulator) -> None:
    assert send(emulator, path=f"/v1/{'0' * 32}/maas/monitoring/show-statistics").status == 403
    assert send(emulator, path="/v1/x").status == 404
