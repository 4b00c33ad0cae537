"""Which minutes of models are asked over random cycles, failures and lists, held against a plain account."""

from __future__ import annotations

from typing import Dict, List, Set, Tuple

from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud.cloud_eye import DataQuery, Dimensions, Listing
from maas_usage_check.ledger.models.minute_queries import (
    Batch,
    HeldMinutes,
    complete_until,
    gap_batches,
    missed_since,
    recent_batches,
)
from maas_usage_check.ledger.models.model_list import ListedModel, ModelList

MINUTE = 60_000
START = 1_795_435_200_000
MINUTES_RETENTION, RECENT = 240, 15
MODELS = [Dimensions(f"model-{i}", key) for i in range(3) for key in ("", "a", "b", "c", "d", "e")]
NAMES = [f"metric-{i}" for i in range(11)]


class Account:
    """Run cycles, and hold for each model the minutes that were answered."""

    def __init__(self) -> None:
        self.now = START
        self.models, self.held = ModelList(), HeldMinutes()
        self.answered: Dict[Dimensions, Set[int]] = {each: set() for each in MODELS}

    def cycle(self, listed: List[Dimensions], lost: Set[int]) -> None:
        """Ask as a cycle does; the calls of these numbers are not answered."""
        if self.models.is_due(self.now):
            self.models.update(Listing({each: list(NAMES) for each in listed}), self.now)
        until = complete_until(self.now)
        left, calls = [], [*recent_batches(self.models, until), *gap_batches(self.models, self.held, until)]
        for number, batch in enumerate(calls):
            query = batch.query
            assert len(query.metrics) * ((query.until - query.start) // MINUTE + 1) < 3000
            assert len(query.metrics) <= 500
            assert query.start >= until - MINUTES_RETENTION * MINUTE
            if number in lost:
                left.append(batch)
            else:
                for dimensions, _ in query.metrics:
                    self.answered[dimensions].update(range(query.start, query.until, MINUTE))
        self.held.update(until, self.models, missed_since(left))


STEPS = st.lists(st.tuples(st.integers(1, 120), st.sets(st.integers(0, 6), max_size=4)), min_size=1, max_size=8)


@given(STEPS)
def test_every_minute_since_the_first_cycle_is_answered_once_the_cloud_answers_in_time(
    steps: List[Tuple[int, Set[int]]],
) -> None:
    account = Account()
    account.cycle(MODELS, set())
    first = complete_until(account.now) - RECENT * MINUTE
    behind = 0
    for minutes, lost in steps:
        # What lies more than four hours back is lost to everybody.
        behind = behind + minutes if lost else 0
        minutes = minutes if behind < MINUTES_RETENTION - 130 else 1
        lost = lost if behind < MINUTES_RETENTION - 130 else set()
        behind = behind if lost else 0
        account.now += minutes * MINUTE
        account.cycle(MODELS, lost)
    account.now += MINUTE
    account.cycle(MODELS, set())
    truth = set(range(first, complete_until(account.now), MINUTE))
    assert all(answered >= truth for answered in account.answered.values())


@given(st.lists(st.sets(st.sampled_from(MODELS)), min_size=1, max_size=12), st.integers(1, 59))
def test_a_model_that_comes_between_two_lists_loses_no_minute_since_the_earlier_one(
    lists: List[Set[Dimensions]], minutes: int
) -> None:
    account, since = Account(), {}
    for listed in lists:
        read = account.models.read
        account.cycle(sorted(listed), set())
        if account.models.read != read:
            present = {each.dimensions for each in account.models.present}
            since = {each: since.get(each, max(read, START)) for each in present}
        until = complete_until(account.now)
        for each, at in since.items():
            start = max(complete_until(at), until - MINUTES_RETENTION * MINUTE)
            assert set(range(start, until, MINUTE)) <= account.answered[each]
        account.now += minutes * MINUTE


def test_of_several_calls_that_were_missed_the_oldest_says_where_the_minutes_of_a_model_go_on() -> None:
    listed = ListedModel(MODELS[0], NAMES, 0, 0)
    assert missed_since([Batch(DataQuery((), start, 40, MINUTE), [listed]) for start in (20, 10, 30)]) == {
        MODELS[0]: 10
    }
