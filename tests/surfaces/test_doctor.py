"""The diagnosis as a user runs it, and its promise: three requests at most, none with a key that is held back."""

from __future__ import annotations

import socket
import time
from typing import Dict, List, Tuple

import pytest
from werkzeug import Response

from maas_usage_check.standin.emulator import Emulator

from ..conftest import AK, SK, Cloud, Program
from ..faults.server import Server

STAGES = ["configuration", "credentials", "name resolution", "TCP and TLS", "clock", "project", "permission", "answer"]


def examined(program: Program, *arguments: str, **environ: str) -> Tuple[int, Dict[str, Tuple[str, str]]]:
    """Run `doctor`; return its exit code, and mark and text by stage."""
    done = program("doctor", *arguments, **environ)
    lines: List[Tuple[str, str, str]] = [
        (line[:4].strip(), line[6:21].strip(), line[23:]) for line in done.stdout.splitlines()
    ]
    assert [stage for _, stage, _ in lines] == STAGES
    assert done.stderr == ""
    assert not any(secret in done.stdout for secret in (AK, SK))
    return done.returncode, {stage: (mark, text) for mark, stage, text in lines}


def test_when_all_is_well_every_stage_says_so_in_three_requests(cloud: Cloud, program: Program) -> None:
    code, found = examined(program, "--config", program.for_cloud(cloud))
    assert code == 0
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert found["credentials"][1] == "key from the environment"
    assert "127.0.0.1 by plain TCP" in found["TCP and TLS"][1].replace(cloud.url[7:], "127.0.0.1")
    assert "0.0 minutes" in found["clock"][1]
    assert "found by the region's name" in found["project"][1]
    assert "calls in 24 hours" in found["answer"][1]
    assert len(cloud.seen) == 3


def test_a_configured_project_needs_one_request_less(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, f"project_id: {'d3m0' * 8}")
    assert examined(program, "--config", config)[0] == 0
    assert [request.method for request in cloud.seen] == ["POST", "POST"]


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
