"""The long tests of tests/faults at full length: a day of lockouts, months, every write, 10,000 scrapes."""

from __future__ import annotations

import pytest

from ..faults.conftest import Lengths, agent, make_check, need  # noqa: F401
from ..faults.test_connections import (
    server,  # noqa: F401
    test_requests_leak_nothing,  # noqa: F401
)
from ..faults.test_kills import test_every_write  # noqa: F401
from ..faults.test_lockout import simulation, test_agent, test_collect, test_execd  # noqa: F401
from ..faults.test_long_run import test_right_values_and_a_short_log  # noqa: F401
from ..faults.test_month import test_month  # noqa: F401
from ..faults.test_serve import test_scrapes_leak_nothing  # noqa: F401


@pytest.fixture
def lengths() -> Lengths:
    return Lengths(lockout_minutes=24 * 60, kill_step=1, days=45, daemon_days=7, requests=10_000)
