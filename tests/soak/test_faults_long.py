"""The long tests of the faults at their full length: a day of lockouts, months, every write, ten thousand scrapes."""

from __future__ import annotations

import pytest

from ..faults.conftest import agent, make_check, need, server  # noqa: F401
from ..faults.test_connections import Forgetting
from ..faults.test_connections import server as forgetting  # noqa: F401
from ..faults.test_connections import test_requests_leave_no_connection_and_no_object as leave_nothing
from ..faults.test_hours_month import test_every_hour_and_count_is_the_clouds_to_the_token  # noqa: F401
from ..faults.test_killed import test_every_write  # noqa: F401
from ..faults.test_lockout import (  # noqa: F401
    test_agent,
    test_collect,
    test_execd,
    test_processes,
    world,
)
from ..faults.test_long_run import test_right_values_and_a_short_log  # noqa: F401
from ..faults.test_models_month import test_every_hour_count_and_cost_is_the_clouds  # noqa: F401
from ..faults.test_serve import test_scrapes_leave_memory_and_files_as_they_were  # noqa: F401


@pytest.fixture
def minutes() -> int:
    return 24 * 60


@pytest.fixture
def days() -> int:
    return 45


@pytest.fixture
def run_days() -> int:
    return 7


@pytest.fixture
def step() -> int:
    return 1


@pytest.fixture
def times() -> int:
    return 10_000


@pytest.mark.timeout(600)
def test_requests_leave_no_connection_and_no_object(forgetting: Forgetting, times: int) -> None:  # noqa: F811
    leave_nothing(forgetting, times)
