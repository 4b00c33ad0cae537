"""The queried minutes of models over random cycles, failures and lists, compared with a plain set of minutes."""

from __future__ import annotations

from typing import Dict, List, Set, Tuple

from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud.cloud_eye import CloudEye, Dimensions, Listing, MetricData
from maas_usage_check.ledger.live_minutes import HeldMinutes, LiveMinutes
from maas_usage_check.ledger.model_list import ModelList

MINUTE = 60_000
START = 1_795_435_200_000
MINUTES_RETENTION, RECENT = 240, 15
MODELS = [Dimensions(f"model-{i}", key) for i in range(3) for key in ("", "a", "b", "c", "d", "e")]
NAMES = [f"metric-{i}" for i in range(11)]


def complete_until(now_ms: int) -> int:
    """Return the end of the newest minute that ended five minutes ago."""
    return (now_ms - 5 * MINUTE) // MINUTE * MINUTE


class MinuteCollector:
    """Run cycles, and store the answered minutes of each model."""

    def __init__(self) -> None:
        self.now_ms = START
        self.models, self.held = ModelList(), HeldMinutes()
        self.answered: Dict[Dimensions, Set[int]] = {each: set() for each in MODELS}

    def run_cycle(self, listed: List[Dimensions], lost: Set[int]) -> None:
        """Query as a cycle does; the requests with these numbers are not answered."""
        if self.models.is_due(self.now_ms):
            self.models.update(Listing({each: list(NAMES) for each in listed}), self.now_ms)
        minutes = LiveMinutes(CloudEye(), self.models, self.held, self.now_ms)
        for number, task in enumerate(list(minutes.plan())):
            query = task.query
            assert len(query.metrics) * ((query.until_ms - query.start_ms) // MINUTE + 1) < 3000
            assert len(query.metrics) <= 500
            assert query.start_ms >= complete_until(self.now_ms) - MINUTES_RETENTION * MINUTE
            if number not in lost:
                task.on_answer(MetricData({}, [], set(), set()))
                for dimensions, _ in query.metrics:
                    self.answered[dimensions].update(range(query.start_ms, query.until_ms, MINUTE))
        minutes.update(self.held)


STEPS = st.lists(st.tuples(st.integers(1, 120), st.sets(st.integers(0, 6), max_size=4)), min_size=1, max_size=8)


@given(STEPS)
def test_no_minute_is_missing(steps: List[Tuple[int, Set[int]]]) -> None:
    """Every minute since the first cycle is answered, if the cloud answers within four hours."""
    collector = MinuteCollector()
    collector.run_cycle(MODELS, set())
    first = complete_until(collector.now_ms) - RECENT * MINUTE
    behind = 0
    for minutes, lost in steps:
        # Minutes of more than four hours ago can no longer be queried.
        behind = behind + minutes if lost else 0
        minutes = minutes if behind < MINUTES_RETENTION - 130 else 1
        lost = lost if behind < MINUTES_RETENTION - 130 else set()
        behind = behind if lost else 0
        collector.now_ms += minutes * MINUTE
        collector.run_cycle(MODELS, lost)
    collector.now_ms += MINUTE
    collector.run_cycle(MODELS, set())
    expected = set(range(first, complete_until(collector.now_ms), MINUTE))
    assert all(answered >= expected for answered in collector.answered.values())


@given(st.lists(st.sets(st.sampled_from(MODELS)), min_size=1, max_size=12), st.integers(1, 59))
def test_new_model(lists: List[Set[Dimensions]], minutes: int) -> None:
    """A model that appears between two lists has every minute since the earlier one."""
    collector, since = MinuteCollector(), {}
    for listed in lists:
        read = collector.models.read
        collector.run_cycle(sorted(listed), set())
        if collector.models.read != read:
            present = {each.dimensions for each in collector.models.present}
            since = {each: since.get(each, max(read, START)) for each in present}
        until = complete_until(collector.now_ms)
        for each, at in since.items():
            start = max(complete_until(at), until - MINUTES_RETENTION * MINUTE)
            assert set(range(start, until, MINUTE)) <= collector.answered[each]
        collector.now_ms += minutes * MINUTE


def test_oldest_unanswered_query() -> None:
    """It decides where the minutes of a model continue."""
    collector = MinuteCollector()
    collector.run_cycle(MODELS[:1], set())
    collector.now_ms += 30 * MINUTE
    gap = collector.held.until
    collector.run_cycle(MODELS[:1], {0, 1})
    assert collector.held.behind == {" ".join(MODELS[0]): gap}
