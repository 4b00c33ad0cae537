from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple

import pytest

from maas_usage_check.emulator.emulator import Emulator

from ..agents.conftest import make_check, need, need_library  # noqa: F401
from ..conftest import AK, SK, FixedClock
from .fake_socket import faulty_cloud, local_program  # noqa: F401
from .faulty_cloud import FaultyServer


class Lengths(NamedTuple):
    """Lengths of the long tests; tests/soak has longer ones.

    lockout_minutes: of a wrong key; kill_step: writes from one kill to the next; days: of hours and models;
    daemon_days: of execd's cycles every 5 minutes; requests: scrapes, or requests of one transport.
    """

    lockout_minutes: int = 180
    kill_step: int = 5
    days: int = 7
    daemon_days: int = 3
    requests: int = 300


@pytest.fixture
def lengths() -> Lengths:
    return Lengths()


@pytest.fixture
def server(clock: FixedClock) -> Iterator[FaultyServer]:
    """Serve a faulty cloud at the tests' time; it accepts signatures that are up to 15 minutes off."""
    server = FaultyServer(Emulator({AK: SK}, now=clock.now))
    yield server
    server.stop()


@pytest.fixture
def agent(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return `make_check` of tests/agents, which makes checks as the Agent does."""
    need_library("datadog_checks.base")
    need_library("datadog_checks.dev")
    return request.getfixturevalue("make_check")
