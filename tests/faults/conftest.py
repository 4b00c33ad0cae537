from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple

import pytest

from maas_usage_check.emulator.emulator import Emulator

from ..agents.conftest import make_check, need, need_library  # noqa: F401
from ..conftest import AK, SK, FixedClock
from .played import played, scene  # noqa: F401
from .server import Server


class Lengths(NamedTuple):
    """How long the long tests are; see the longer ones in tests/soak.

    Minutes of a lockout, writes from one kill to the next, days of hours and models, days of a daemon's cycles at five
    minutes, and scrapes and requests.
    """

    minutes: int = 180
    step: int = 5
    days: int = 7
    run_days: int = 3
    times: int = 300


@pytest.fixture
def lengths() -> Lengths:
    return Lengths()


@pytest.fixture
def server(clock: FixedClock) -> Iterator[Server]:
    """Serve at the time at which processes begin: the emulator allows them a quarter of an hour."""
    server = Server(Emulator({AK: SK}, now=clock.now))
    yield server
    server.stop()


@pytest.fixture
def agent(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Make checks as the Agent does; see the agents' own tests."""
    need_library("datadog_checks.base")
    need_library("datadog_checks.dev")
    return request.getfixturevalue("make_check")
