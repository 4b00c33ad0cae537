from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest

from maas_usage_check.standin.emulator import Emulator

from ..agents.conftest import make_check, need, need_library  # noqa: F401
from ..conftest import AK, SK, FixedClock
from .played import scene  # noqa: F401
from .server import Server


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


@pytest.fixture
def minutes() -> int:
    """Minutes of a lockout; tests/soak has a day of them."""
    return 180


@pytest.fixture
def step() -> int:
    """Writes from one kill to the next; tests/soak kills at each."""
    return 5


@pytest.fixture
def days() -> int:
    """Simulated days of hours and models; tests/soak has a month and a half of them."""
    return 7


@pytest.fixture
def run_days() -> int:
    """Simulated days of a daemon's cycles; tests/soak has a week of them."""
    return 3


@pytest.fixture
def times() -> int:
    """Scrapes and requests; tests/soak has ten thousand of them."""
    return 300
