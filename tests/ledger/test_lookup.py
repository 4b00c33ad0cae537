from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from maas_usage_check.cloud.statistics import TotalsQuery
from maas_usage_check.config import Instance, load_instance
from maas_usage_check.config.ranges import Window
from maas_usage_check.ledger import Account, list_series, lookup
from maas_usage_check.ledger.daily_check import DailyCheck
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.hour_values import HOUR
from maas_usage_check.ledger.schema import write_transaction
from maas_usage_check.state import Store

NOW = 1_795_435_200_000
SETTLED_END = NOW - 3 * HOUR
"""The end of the newest final hour."""
ACCOUNT = Account("d3m0" * 8, "key")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Store the last 8 hours of the preset service, of which 3 are not final."""
    store = Store(lambda: str(tmp_path / "state.sqlite3"), pytest.fail)
    with write_transaction(store, NOW) as transaction:
        name = list_series(instance())[0].series_name(instance().endpoint, ACCOUNT.project_id)
        hour_store = HourStore(transaction, name)
        for back in range(1, 9):
            hour_store.put(NOW - back * HOUR, NOW - back * HOUR + HOUR, (back, 10 * back, 100 * back, back, 0))
        transaction.run("UPDATE series SET asked = ?", (NOW - 1,))
    return store


def instance(**config: object) -> Instance:
    return load_instance({"endpoint": "http://127.0.0.1:1", **config}, {}, "x", NOW / 1000)


def look_up(store: Store, *windows: Tuple[int, int], **config: object) -> List[Tuple[int, int]]:
    """Look up windows, given in hours before now; return the starts and tokens of those that are answered."""
    queried = [Window(NOW - start * HOUR, NOW - end * HOUR) for start, end in windows]
    found = lookup(instance(**config), store, ACCOUNT, queried, NOW)
    return [((NOW - query.window.start) // HOUR, each.usage.total_tokens) for query, each in found.answers.items()]


def test_window_of_final_hours(store: Store) -> None:
    """It is answered by their sum."""
    assert look_up(store, (8, 3)) == [(8, 8 + 7 + 6 + 5 + 4)]
    assert look_up(store, (8, 6), (6, 5), (5, 3)) == [(8, 15), (6, 6), (5, 9)]


def test_window_with_an_unsettled_or_missing_hour(store: Store) -> None:
    """It is not answered."""
    assert look_up(store, (8, 2)) == []
    assert look_up(store, (9, 3)) == []
    assert look_up(store, (9, 8), (4, 3), (3, 2)) == [(4, 4)]


@pytest.mark.parametrize("cut", [(1, 0), (0, -1), (-1, 0), (0, -HOUR // 2), (2 * HOUR, -HOUR)])
def test_partial_hours_and_empty_windows(store: Store, cut: Tuple[int, int]) -> None:
    """They are not answered."""
    window = Window(SETTLED_END - 3 * HOUR + cut[0], SETTLED_END + cut[1])
    assert lookup(instance(), store, ACCOUNT, [window], NOW).answers == {}


def test_answers_match_the_queries_of_a_report(store: Store) -> None:
    window = Window(NOW - 8 * HOUR, SETTLED_END)
    found = lookup(instance(), store, ACCOUNT, [window], NOW)
    (query,) = found.answers
    kind = instance().service_types[0]
    assert query == TotalsQuery(window, kind, "real_time", None, None)
    usage = found.answers[query].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (300, 3000)
    assert (usage.requests, usage.inferences) == (30, None)
    assert (found.project_id, found.as_of_ms) == (ACCOUNT.project_id, NOW - 1)
    assert lookup(instance(), store, Account("0" * 32, "key"), [window], NOW).answers == {}, "another project"


@pytest.mark.parametrize(
    "config",
    [
        {"service_types": ["my_service"]},
        {"infer_types": ["batch"]},
        {"api_keys": ["a"]},
        {"ips": ["10.0.0.1"]},
        {"endpoint": "http://127.0.0.1:2"},
    ],
)
def test_other_series(store: Store, config: Dict[str, Any]) -> None:
    """They are not answered, and no series is inserted for them."""
    assert look_up(store, (8, 3), **config) == []
    with write_transaction(store, NOW) as transaction:
        assert transaction.run("SELECT COUNT(*) FROM series").fetchone() == (1,)


def test_failed_daily_check(store: Store) -> None:
    """Hours that do not add up to their day answer nothing."""
    with write_transaction(store, NOW) as transaction:
        transaction.put("key", DailyCheck(failed="the 24 hours have more than their day"))
    assert look_up(store, (8, 3)) == []
