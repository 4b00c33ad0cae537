"""A user whose limit of threads is reached: cycles are slower, but they end, and failures are reported."""

from __future__ import annotations

import os
from typing import Iterator

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result

from ..conftest import SK, Cloud, FixedClock
from .faulty_cloud import FaultyServer
from .other_user import OtherUser, other_user

UID = 60_000 + os.getpid() % 5_000
"""A user of this pytest worker alone: the limit counts all processes of a user."""


@pytest.fixture
def limited(cloud: Cloud, clock: FixedClock) -> Iterator[OtherUser]:
    yield from other_user(UID, ["setpriv", "prlimit"], cloud, clock)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("command", "secret", "expected"),
    [
        ("collect", SK, (0, 3, Result.OK)),
        ("collect", "wrong", (1, 0, Result.KEY_REFUSED)),
        ("execd", SK, (0, 3, Result.OK)),
    ],
)
def test_limit_of_threads(
    limited: OtherUser, server: FaultyServer, threads: int, command: str, secret: str, expected: object
) -> None:
    """With any limit, the main thread included, the cycle collects or reports its failure."""
    config = server.config(limited.program, project_id=PROJECT_ID)
    limited.limit(f"--nproc={threads}")
    done = limited.program.process(command, "--config", config, stdin="\n", HW_SECRET_KEY=secret)
    *usage, api = map(parse_line, done.stdout.splitlines())
    assert (done.returncode, len(usage), api["fields"]["result_code"]) == expected
    assert "Traceback" not in done.stderr
    assert "fault in" not in done.stderr, done.stderr
