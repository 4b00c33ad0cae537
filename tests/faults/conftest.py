from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest

from maas_usage_check.standin.emulator import Emulator

from ..agents.conftest import make_check, need, need_library  # noqa: F401
from ..conftest import AK, SK
from .server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(Emulator({AK: SK}))
    yield server
    server.stop()


@pytest.fixture
def agent(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Make checks as the Agent does; see the agents' own tests."""
    need_library("datadog_checks.base")
    need_library("datadog_checks.dev")
    return request.getfixturevalue("make_check")
