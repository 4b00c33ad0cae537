"""Windows of hours for commands: the hours that they read and query. The models' are tested through `report`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Dict, List, Sequence, Set, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud import Statistics
from maas_usage_check.cloud.statistics import TotalsAnswer
from maas_usage_check.cloud.usage import Usage
from maas_usage_check.config import Instance, load_instance
from maas_usage_check.config.ranges import Window
from maas_usage_check.ledger import Account
from maas_usage_check.ledger.bisect import pending_windows
from maas_usage_check.ledger.counters import update_counters
from maas_usage_check.ledger.daily_check import DailyCheck
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.hour_values import HOUR, Values
from maas_usage_check.ledger.known_usage import hour_span
from maas_usage_check.ledger.schema import write_transaction
from maas_usage_check.ledger.window import StatisticsWindow, whole_hours
from maas_usage_check.state import Store

NOW = 1_795_435_200_000
SETTLED_END = NOW - 3 * HOUR
"""The end of the newest final hour."""
ACCOUNT = Account("d3m0" * 8, "key")


def make_values(tokens: int) -> Values:
    return (tokens, 10 * tokens, 100 * tokens, tokens, 0)


def instance(**config: object) -> Instance:
    return load_instance({"endpoint": "http://127.0.0.1:1", **config}, {}, "x", NOW / 1000)


def series_name() -> str:
    return Statistics().hour_series(instance(), ACCOUNT.project_id)[0].name


def make_store(folder: Path) -> Store:
    return Store(lambda: str(folder / "state.sqlite3"), pytest.fail)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Store the last 8 hours of the preset service, of which 3 are not final: as many tokens as hours ago."""
    store = make_store(tmp_path)
    with write_transaction(store, NOW) as transaction:
        hour_store = HourStore(transaction, series_name(), 3 * HOUR)
        for back in range(1, 9):
            hour_store.put(NOW - back * HOUR, NOW - back * HOUR + HOUR, make_values(back))
    return store


def make_window(store: Store, first: int, last: int = 1, account: Account = ACCOUNT, **config: Any) -> StatisticsWindow:
    """Make a window of the hours from `first` to `last` hours ago."""
    hours = Window(NOW - first * HOUR, NOW - (last - 1) * HOUR)
    return StatisticsWindow(instance(**config), store, account, [hours], NOW)


def known(window: StatisticsWindow) -> Dict[int, int]:
    """Return the known tokens by hours ago."""
    (spans,) = window.read().spans.values()
    return {(NOW - span.start) // HOUR: usage.total_tokens for span, usage in spans.items()}


def planned(window: StatisticsWindow) -> List[Tuple[float, float]]:
    """Return the planned windows in hours ago, the first to be sent first."""
    tasks = sorted(window.plan(), key=lambda task: task.priority)
    return [((NOW - task.query.window.start) / HOUR, (NOW - task.query.window.end - 1) / HOUR) for task in tasks]


def test_known_hours_are_final(store: Store) -> None:
    window = make_window(store, 9)
    assert known(window) == {back: back for back in range(4, 9)}
    assert window.read().spans.popitem()[1][hour_span(NOW - 8 * HOUR)] == Usage(8, 80, 800, 8, 0)


def test_missing_hours(store: Store) -> None:
    """Runs of missing hours are queried, the newest first; settled hours and later ones apart."""
    with write_transaction(store, NOW) as transaction:
        transaction.run("DELETE FROM hours WHERE start = ?", (NOW - 6 * HOUR,))
    window = make_window(store, 12)
    assert planned(window) == [(3, 0), (6, 5), (12, 8)]
    assert (window.missing, window.requests) == (8, 9)


def test_nothing_missing(store: Store) -> None:
    assert planned(make_window(store, 8, 4)) == []


def test_answered_hours(store: Store) -> None:
    """An hour that is not final is known once it is answered, whatever an earlier answer was."""
    window = make_window(store, 1)
    (task,) = window.plan()
    assert task.on_answer(TotalsAnswer(Usage(7, 70, 700, 7, 0), "")) == []
    assert known(window) == {1: 7}
    assert known(make_window(store, 1)) == {}


def test_hours_to_be_queried_again(store: Store) -> None:
    """An hour whose total contradicts the ledger is not known until it is answered alone."""
    window = make_window(store, 3)
    (task,) = window.plan()
    follow = task.on_answer(TotalsAnswer(Usage(9, 90, 900, 9, 0), ""))
    assert known(window) == {}
    assert follow[1].on_answer(TotalsAnswer(Usage(5, 50, 500, 5, 0), "")) == []
    assert known(window) == {2: 5}


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
    """Another series has no known hours, and is not inserted to find that out."""
    assert known(make_window(store, 8, **config)) == {}
    assert known(make_window(store, 8, account=Account("0" * 32, "key"))) == {}
    with write_transaction(store, NOW) as transaction:
        assert transaction.run("SELECT COUNT(*) FROM series").fetchone() == (1,)


def test_failed_daily_check(store: Store) -> None:
    """Hours that do not add up to their day are not believed."""
    with write_transaction(store, NOW) as transaction:
        transaction.put("key", DailyCheck(failed="the 24 hours have more than their day"))
    found = make_window(store, 8).read()
    assert (list(found.spans.values()), found.failed) == ([{}], "the 24 hours have more than their day")


def run(window: StatisticsWindow, cloud: Dict[int, int], most: int = 10**6) -> int:
    """Answer at most so many queries from the cloud's tokens by hour, in any order; return how many."""
    queue, sent, shuffled = list(window.plan()), 0, random.Random(len(cloud))
    while queue and sent < most:
        task = queue.pop(shuffled.randrange(len(queue)))
        start, end = task.query.window.start, task.query.window.end + 1
        assert start % HOUR == end % HOUR == 0
        usage = Usage(*make_values(sum(tokens for at, tokens in cloud.items() if start <= at < end)))
        queue += task.on_answer(TotalsAnswer(usage, ""))
        sent += 1
    return sent


@given(
    st.lists(st.sampled_from([0, 0, 1, 5, 10**9]), min_size=1, max_size=60),
    st.sets(st.integers(1, 60)),
    st.integers(0, 40),
)
def test_completion(tmp_path_factory: Any, tokens: Sequence[int], stored: Set[int], most: int) -> None:
    """Ended early or not, only true hours are known; in the end all are, and a second completion sends nothing."""
    cloud = {NOW - back * HOUR: count for back, count in enumerate(tokens, 1)}
    store = make_store(tmp_path_factory.mktemp("state"))
    with write_transaction(store, NOW) as transaction:
        for at in [NOW - back * HOUR for back in stored if back <= len(tokens)]:
            HourStore(transaction, series_name(), 3 * HOUR).put(at, at + HOUR, make_values(cloud[at]))
    window = make_window(store, len(tokens))
    sent = run(window, cloud, most)
    assert known(window).items() <= dict(enumerate(tokens, 1)).items()
    window = make_window(store, len(tokens))
    sent += run(window, cloud)
    assert known(window) == dict(enumerate(tokens, 1))
    assert len(window.answered) == window.missing
    assert sent <= 6 / 5 * len(tokens) + 8 + most, "those of the first run may be sent again"
    settled = make_window(store, max(4, len(tokens)), 4)
    assert planned(settled) == [] or len(tokens) < 4
    assert [span for span in settled.read().spans.popitem()[1] if span.start >= SETTLED_END] == []


def test_nothing_is_counted(tmp_path: Path) -> None:
    """No history begins with a report: an agent that starts later counts from its own first cycle on."""
    store = make_store(tmp_path)
    run(make_window(store, 48), {NOW - back * HOUR: back for back in range(1, 49)})
    with write_transaction(store, NOW) as transaction:
        hour_store = HourStore(transaction, series_name(), 3 * HOUR)
        assert (hour_store.began_ms, pending_windows(hour_store)) == (0, [])
        hour_store.begin(NOW)
        assert update_counters(hour_store) == (0,) * 5


def test_second_store(store: Store, tmp_path: Path) -> None:
    """Answers go into the last store, and both are read."""
    (tmp_path / "other").mkdir()
    window = make_window(store, 10, 4)
    tasks = window.plan()
    window.stores.append(make_store(tmp_path / "other"))
    for task in tasks:
        for follow in task.on_answer(TotalsAnswer(Usage(3, 30, 300, 3, 0), "")):
            follow.on_answer(TotalsAnswer(Usage(1, 10, 100, 1, 0), ""))
    assert known(window) == {**{back: back for back in range(4, 9)}, 9: 1, 10: 2}
    assert known(make_window(store, 10, 4)) == {back: back for back in range(4, 9)}


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (-5, -2, -5, -3),
        (-5.5, -2.5, -5, -3),
        (-5, 0, -5, -1),
        (-2.001, -0.999, -2, -1),
    ],
)
def test_hours_belong_where_they_begin(start: float, end: float, first: int, last: int) -> None:
    hours = whole_hours(Window(NOW + int(start * HOUR), NOW + int(end * HOUR)), NOW, is_models=False)
    assert ((hours.start - NOW) // HOUR, (hours.end - NOW) // HOUR - 1) == (first, last)


def test_complete_hours() -> None:
    """The running hour is not listed; of models an hour is complete 5 minutes after its end."""
    for is_models, minutes, newest in (
        (False, 0, -1), (False, 4, -1), (False, 59, -1), (True, 4, -2), (True, 5, -1),
    ):  # fmt: skip
        hours = whole_hours(Window(NOW - 9 * HOUR, NOW + HOUR), NOW + minutes * 60_000, is_models)
        assert hours == Window(NOW - 9 * HOUR, NOW + (newest + 1) * HOUR)
