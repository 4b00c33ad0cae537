"""A user who may start no more threads: slower, but it gets done, and it says so."""

from __future__ import annotations

import os
from typing import Iterator

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result

from ..conftest import SK, Cloud, FixedClock
from .server import Server
from .somebody import Somebody, somebody

UID = 60_000 + os.getpid() % 5_000
"""Nobody else's, nor another worker's: the limit counts all processes of a user."""


@pytest.fixture
def limited(cloud: Cloud, clock: FixedClock) -> Iterator[Somebody]:
    yield from somebody(UID, ["setpriv", "prlimit"], cloud, clock)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("command", "secret", "expected"),
    [
        ("collect", SK, (0, 3, Result.OK)),
        ("collect", "wrong", (1, 0, Result.KEY_REFUSED)),
        ("execd", SK, (0, 3, Result.OK)),
    ],
)
def test_it_gets_its_numbers_or_says_why_not(
    limited: Somebody, server: Server, threads: int, command: str, secret: str, expected: object
) -> None:
    """There may be so many threads, the first included."""
    config = server.config(limited.program, project_id=PROJECT_ID)
    limited.limit(f"--nproc={threads}")
    done = limited.program.process(command, "--config", config, stdin="\n", HW_SECRET_KEY=secret)
    *usage, api = map(parse_line, done.stdout.splitlines())
    assert (done.returncode, len(usage), api["fields"]["result_code"]) == expected
    assert "Traceback" not in done.stderr
    assert "fault in" not in done.stderr, done.stderr
