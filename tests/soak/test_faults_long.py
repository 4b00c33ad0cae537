"""The long tests of the faults at their full length: a day of lockouts, months, every write, ten thousand scrapes."""

from __future__ import annotations

import pytest

from ..faults.conftest import Lengths, agent, make_check, need  # noqa: F401
from ..faults.test_connections import (
    server,  # noqa: F401
    test_requests_leave_no_connection_and_no_object,  # noqa: F401
)
from ..faults.test_killed import test_every_write  # noqa: F401
from ..faults.test_lockout import test_agent, test_collect, test_execd, world  # noqa: F401
from ..faults.test_long_run import test_right_values_and_a_short_log  # noqa: F401
from ..faults.test_month import test_every_hour_count_and_cost_is_the_clouds  # noqa: F401
from ..faults.test_serve import test_scrapes_leave_memory_and_files_as_they_were  # noqa: F401


@pytest.fixture
def lengths() -> Lengths:
    return Lengths(minutes=24 * 60, step=1, days=45, run_days=7, times=10_000)
