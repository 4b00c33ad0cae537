"""The stand-in must be strict: each rule of the cloud that is known is shown to bite."""

from __future__ import annotations

import json
from typing import Any, Dict, Optional

import pytest

from maas_usage_check.cloud import Credentials
from maas_usage_check.cloud.signing import signed
from maas_usage_check.config.ranges import DAY
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator, Reply

from ..conftest import AK, NOW, SK, FixedClock

NOW_MS = int(NOW * 1000)
PATH = f"/v1/{PROJECT_ID}/maas/monitoring/show-statistics"
QUESTION = {"service_type": 2, "start_time": NOW_MS - 7 * DAY, "end_time": NOW_MS, "infer_type": "real_time"}


@pytest.fixture
def emulator(clock: FixedClock) -> Emulator:
    clock.at = NOW
    return Emulator({AK: SK}, now=clock.now)


def ask(
    emulator: Emulator,
    body: Any = QUESTION,
    sk: str = SK,
    ak: str = AK,
    at: Optional[float] = None,
    token: Optional[str] = None,
    path: str = PATH,
) -> Reply:
    now = emulator.now() if at is None else at
    request = signed("POST", f"https://cloud.example{path}", Credentials(ak, sk, token), now, body=body)
    return emulator.answer("POST", path, request.headers, request.body)


def text(reply: Reply) -> str:
    return str(json.loads(reply.body)["error_msg"])


def test_a_request_signed_by_the_sdk_is_answered_with_the_documented_fields(emulator: Emulator) -> None:
    reply = ask(emulator)
    answer = json.loads(reply.body)
    assert reply.status == 200
    assert set(answer) == {
        "total_request_count", "total_error_count", "total_token", "total_prompt_token", "total_completion_token",
        "total_completion_tasks", "total_infer_count",
    }  # fmt: skip
    assert answer["total_token"] > answer["total_prompt_token"] + answer["total_completion_token"] > 0


def test_a_body_that_is_not_the_signed_one_is_refused(emulator: Emulator) -> None:
    request = signed("POST", f"https://cloud.example{PATH}", Credentials(AK, SK), NOW, body=QUESTION)
    assert emulator.answer("POST", PATH, request.headers, request.body + b" ").status == 401
    assert emulator.answer("POST", PATH + "?x=1", request.headers, request.body).status == 401
    assert emulator.answer("POST", PATH, {**request.headers, "Host": "other"}, request.body).status == 401
    assert emulator.answer("POST", PATH, request.headers, request.body).status == 200


def test_a_wrong_secret_an_unknown_key_and_no_signature_are_told_apart(emulator: Emulator) -> None:
    assert "verify ak sk signature fail" in text(ask(emulator, sk="wrong"))
    assert "ak not exist" in text(ask(emulator, ak="NOBODY"))
    assert emulator.answer("POST", PATH, {}, b"{}").status == 401


@pytest.mark.parametrize(("minutes", "status"), [(-16, 401), (-14, 200), (14, 200), (16, 401)])
def test_a_clock_more_than_15_minutes_off_is_refused(emulator: Emulator, minutes: int, status: int) -> None:
    assert ask(emulator, at=NOW + minutes * 60).status == status


def test_a_temporary_key_needs_its_token_signed(clock: FixedClock) -> None:
    emulator = Emulator({AK: SK}, now=clock.now, tokens={AK: "token"})
    assert ask(emulator, token="token").status == 200
    assert ask(emulator, token="other").status == 401
    assert ask(emulator).status == 401


def test_more_than_five_refusals_in_a_row_lock_the_key_for_five_minutes(emulator: Emulator, clock: FixedClock) -> None:
    for _ in range(20):  # five minutes apart they are no row
        assert ask(emulator, sk="wrong").status == 401
        clock.at += 300
    assert emulator.lockouts == 0
    for _ in range(5):
        assert "signature fail" in text(ask(emulator, sk="wrong"))
    assert ask(emulator).status == 200
    assert {ask(emulator, sk="wrong").status for _ in range(6)} == {401}
    assert "reach the limit" in text(ask(emulator))
    assert emulator.lockouts == 1
    clock.at += 300
    assert ask(emulator).status == 200


def test_the_201st_request_of_a_minute_is_answered_429(emulator: Emulator, clock: FixedClock) -> None:
    assert [ask(emulator).status for _ in range(201)] == [200] * 200 + [429]
    clock.at += 61
    assert ask(emulator).status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"service_type": 3}, {"service_type": True}, {"service_type": None}, {"infer_type": "x"}, {"start_time": 0},
        {"start_time": NOW_MS + 1}, {"start_time": NOW_MS - 29 * DAY - 1}, {"start_time": 1.5}, {"api_keys": "a"},
        {"ips": [1]}, {"surprise": 1}, {"service_type": []}, {"infer_type": {}},
    ],
)  # fmt: skip
def test_a_question_that_the_api_does_not_take_is_answered_400(emulator: Emulator, change: Dict[str, Any]) -> None:
    assert ask(emulator, {**QUESTION, **change}).status == 400


def test_a_signed_body_that_is_no_object_is_answered_400(emulator: Emulator) -> None:
    assert {ask(emulator, body).status for body in ([], [[]], "x", 1)} == {400}


def test_labels_add_up_to_everything(emulator: Emulator) -> None:
    def requests(**filters: Any) -> int:
        return int(json.loads(ask(emulator, {**QUESTION, **filters}).body)["total_request_count"])

    parts = [requests(api_keys=[label]) for label in ("team-search", "team-support", "batch-jobs", "")]
    assert sum(parts) == requests()
    assert requests(api_keys=["unknown"]) == 0
    assert 0 < requests(ips=["192.0.2.7"]) < requests()


def test_the_project_list_holds_a_sub_project_before_the_one_that_is_meant(emulator: Emulator) -> None:
    request = signed("GET", "https://iam.example/v3/projects", Credentials(AK, SK), NOW, [("name", "cn-southwest-2")])
    reply = emulator.answer("GET", "/v3/projects?name=cn-southwest-2", request.headers, b"")
    names = [project["name"] for project in json.loads(reply.body)["projects"]]
    assert names == ["cn-southwest-2_sub", "cn-southwest-2"]


def test_another_project_or_path_is_refused(emulator: Emulator) -> None:
    assert ask(emulator, path=f"/v1/{'0' * 32}/maas/monitoring/show-statistics").status == 403
    assert ask(emulator, path="/v1/x").status == 404
