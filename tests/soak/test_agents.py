"""A simulated month of hours and models, through a real Telegraf into a real InfluxDB."""

from __future__ import annotations

from typing import Tuple

import pytest

from ..agents.test_telegraf_week import (  # noqa: F401
    test_days,
    test_hours,
    test_hours_of_models,
    test_log,
    test_minutes,
    test_queries_of_docs,
    week,
)

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def span() -> Tuple[int, int]:
    return 31, 28
