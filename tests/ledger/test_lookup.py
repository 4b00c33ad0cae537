from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from maas_usage_check.cloud.statistics import Totals
from maas_usage_check.config import Instance, load_instance
from maas_usage_check.config.ranges import Window
from maas_usage_check.ledger import Account, list_series, lookup
from maas_usage_check.ledger.daily_check import DailyCheck
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.hour_values import HOUR
from maas_usage_check.ledger.schema import write_transaction
from maas_usage_check.state import Store

NOW = 1_795_435_200_000
EDGE = NOW - 3 * HOUR
"""Where the newest hour ends that is final."""
ACCOUNT = Account("d3m0" * 8, "key")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Keep the hours of the preset service: the last 5, of which 3 are not final, and 3 before them, one by one."""
    store = Store(lambda: str(tmp_path / "state.sqlite3"), pytest.fail)
    with write_transaction(store, NOW) as transaction:
        hour_store = HourStore(
            transaction, list_series(instance())[0].series_name(instance().endpoint, ACCOUNT.project_id)
        )
        for back in range(1, 9):
            hour_store.put(NOW - back * HOUR, NOW - back * HOUR + HOUR, (back, 10 * back, 100 * back, back, 0))
        transaction.run("UPDATE series SET asked = ?", (NOW - 1,))
    return store


def instance(**keys: object) -> Instance:
    return load_instance({"endpoint": "http://127.0.0.1:1", **keys}, {}, "x", NOW / 1000)


def found(store: Store, *windows: Tuple[int, int], **keys: object) -> List[Tuple[int, int]]:
    """Look at windows, given in hours before now; tell which are answered, and by how many tokens."""
    asked = [Window(NOW - start * HOUR, NOW - end * HOUR) for start, end in windows]
    held = lookup(instance(**keys), store, ACCOUNT, asked, NOW)
    return [((NOW - query.window.start) // HOUR, each.usage.total_tokens) for query, each in held.answers.items()]


def test_a_window_of_final_hours_is_their_sum(store: Store) -> None:
    assert found(store, (8, 3)) == [(8, 8 + 7 + 6 + 5 + 4)]
    assert found(store, (8, 6), (6, 5), (5, 3)) == [(8, 15), (6, 6), (5, 9)]


def test_a_window_with_an_hour_that_is_not_final_or_not_held_is_not_answered(store: Store) -> None:
    assert found(store, (8, 2)) == []
    assert found(store, (9, 3)) == []
    assert found(store, (9, 8), (4, 3), (3, 2)) == [(4, 4)]


@pytest.mark.parametrize("cut", [(1, 0), (0, -1), (-1, 0), (0, -HOUR // 2), (2 * HOUR, -HOUR)])
def test_a_window_that_cuts_an_hour_or_is_empty_is_not_answered(store: Store, cut: Tuple[int, int]) -> None:
    window = Window(EDGE - 3 * HOUR + cut[0], EDGE + cut[1])
    assert lookup(instance(), store, ACCOUNT, [window], NOW).answers == {}


def test_the_answers_are_to_the_questions_that_a_report_asks(store: Store) -> None:
    window = Window(NOW - 8 * HOUR, EDGE)
    held = lookup(instance(), store, ACCOUNT, [window], NOW)
    (query,) = held.answers
    kind = instance().service_types[0]
    assert query == Totals(window, kind, "real_time", None, None)
    use = held.answers[query].usage
    assert (use.prompt_tokens, use.completion_tokens, use.requests, use.inferences) == (300, 3000, 30, None)
    assert (held.project_id, held.as_of_ms) == (ACCOUNT.project_id, NOW - 1)
    assert lookup(instance(), store, Account("0" * 32, "key"), [window], NOW).answers == {}, "another project's"


@pytest.mark.parametrize(
    "keys",
    [
        {"service_types": ["my_service"]},
        {"infer_types": ["batch"]},
        {"api_keys": ["a"]},
        {"ips": ["10.0.0.1"]},
        {"endpoint": "http://127.0.0.1:2"},
    ],
)
def test_other_calls_are_not_answered_and_get_no_ledger(store: Store, keys: Dict[str, Any]) -> None:
    assert found(store, (8, 3), **keys) == []
    with write_transaction(store, NOW) as transaction:
        assert transaction.run("SELECT COUNT(*) FROM series").fetchone() == (1,)


def test_hours_that_do_not_add_up_answer_nothing(store: Store) -> None:
    with write_transaction(store, NOW) as transaction:
        transaction.put("key", DailyCheck(failed="the 24 hours have more than their day"))
    assert found(store, (8, 3)) == []
