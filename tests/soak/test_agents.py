"""A simulated month of hours and models, through a real Telegraf into a real InfluxDB."""

from __future__ import annotations

from typing import Tuple

import pytest

from ..agents.test_telegraf_week import (  # noqa: F401
    test_every_complete_minute_is_there_at_its_own_time_to_the_value,
    test_every_day_in_the_database_is_that_of_the_ledger,
    test_every_hour_of_a_model_and_its_cost_are_there_to_the_token_and_settled,
    test_every_hour_that_is_over_is_there_once_and_settled,
    test_telegraf_logs_the_troubles_once_each_and_where_the_backfill_begins_and_ends,
    test_the_queries_of_the_docs_give_the_ledgers_numbers,
    week,
)

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def span() -> Tuple[int, int]:
    return 31, 28
