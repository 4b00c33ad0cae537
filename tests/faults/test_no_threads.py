"""A user who may start no more threads: slower, but it gets done, and it says so."""

from __future__ import annotations

import os
from typing import Any, Iterator, List

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.errors import Result
from maas_usage_check.standin.emulator import PROJECT_ID

from ..conftest import Cloud, FixedClock
from .server import Server
from .somebody import Somebody, somebody

UID = 60_000 + os.getpid() % 5_000
"""Nobody else's, nor another worker's: the limit counts all processes of a user."""
THREADS = [1, 2, 3, 5]
"""How many there may be, the first included."""


@pytest.fixture
def limited(cloud: Cloud, clock: FixedClock) -> Iterator[Somebody]:
    yield from somebody(UID, ["setpriv", "prlimit"], cloud, clock)


def configured(limited: Somebody, server: Server, project: str = f"project_id: {PROJECT_ID}") -> str:
    return limited.program.config(
        f"instances:\n  - {{endpoint: '{server.url}', iam_endpoint: '{server.url}', {project}}}\n"
    )


def read(output: str) -> List[Any]:
    return [parse_line(line) for line in output.splitlines()]


def check_errors(errors: str) -> None:
    assert "Traceback" not in errors
    assert "fault in" not in errors, errors


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("secret", ["right", "wrong"])
def test_collect_gets_its_numbers_or_says_why_not(limited: Somebody, server: Server, threads: int, secret: str) -> None:
    config = configured(limited, server)
    limited.limit(f"--nproc={threads}")
    done = limited.program.process(
        "collect", "--config", config, **({"HW_SECRET_KEY": "wrong"} if secret == "wrong" else {})
    )
    *usage, api = read(done.stdout)
    expected = (0, 3, Result.OK) if secret == "right" else (1, 0, Result.KEY_REFUSED)
    assert (done.returncode, len(usage), api["fields"]["result_code"]) == expected
    check_errors(done.stderr)


@pytest.mark.parametrize("threads", THREADS)
def test_execd_answers_every_newline_even_if_it_has_no_thread(limited: Somebody, server: Server, threads: int) -> None:
    config = configured(limited, server)
    limited.limit(f"--nproc={threads}")
    done = limited.program.process("execd", "--config", config, stdin="\n")
    *usage, api = read(done.stdout)
    assert (done.returncode, len(usage), api["fields"]["result_code"]) == (0, 3, Result.OK)
    check_errors(done.stderr)
