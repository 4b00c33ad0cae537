from __future__ import annotations

import sys
import threading
from typing import Any, Callable, List, Optional, Sequence, Tuple

import pytest

from maas_usage_check.scheduling.priority_queue import (
    BACKFILL,
    CHECK,
    DUE,
    HEALING,
    LATE,
    LIVE,
    PriorityQueue,
    QueryTask,
)

from ..conftest import wait_for


def nothing(answer: Any) -> Sequence[QueryTask]:
    return ()


def taken(work: PriorityQueue) -> List[Any]:
    queries = []
    for keeper, ask in iter(work.take, None):
        queries.append(ask.query)
        work.done(keeper, ask)
    return queries


class Taker(threading.Thread):
    """Take one question in a thread of its own; made once it has it or waits for it."""

    def __init__(self, work: PriorityQueue) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.got: List[Optional[Tuple[int, QueryTask]]] = []
        self.start()
        wait_for(lambda: self.got or self.is_waiting(), "the taker to wait")

    def run(self) -> None:
        self.got.append(self._work.take())

    def is_waiting(self) -> bool:
        frame = sys._current_frames().get(self.ident or 0)
        return frame is not None and frame.f_code is threading.Condition.wait.__code__


def test_order() -> None:
    """What is live goes first, whoever asks; then gaps, what is due, what is wrong, the check, the newest hours."""
    hours = [
        QueryTask((BACKFILL, -5), "older", nothing),
        QueryTask((BACKFILL, -9), "newer", nothing),
        QueryTask((CHECK,), "check", nothing),
        QueryTask((HEALING, -3), "wrong", nothing),
        QueryTask((DUE, 7, -9), "asked lately", nothing),
        QueryTask((DUE, 1, -2), "asked long ago", nothing),
    ]
    models = [QueryTask((LATE, 0), "gap", nothing), QueryTask((LIVE, 0), "minute", nothing)]
    ordered = ["minute", "gap", "asked long ago", "asked lately", "wrong", "check", "newer", "older"]
    assert taken(PriorityQueue({0: hours, 1: models})) == ordered


def test_what_is_dropped_of_one_keeper_leaves_the_others_and_shows_as_left() -> None:
    mine, live, gone = (
        QueryTask((DUE, 1), "mine", nothing),
        QueryTask((LIVE, 0), "live", nothing),
        QueryTask((DUE, 0), "gone", nothing),
    )
    work = PriorityQueue({0: [mine], 1: [live, gone]})
    assert work.take() == (1, live)
    work.goes(1, live)
    work.drop(1)
    assert work.take() == (0, mine)
    work.done(0, mine)
    assert work.left() == [(1, live), (1, gone)]


def test_nothing_else_goes_before_all_that_is_live_has_left_and_then_not_even_its_answers_are_waited_for() -> None:
    live, hour = QueryTask((LIVE, 0), "live", nothing), QueryTask((DUE, 1), "hour", nothing)
    work = PriorityQueue({0: [hour], 1: [live]})
    assert work.take() == (1, live)
    taker = Taker(work)
    assert not taker.got
    work.goes(1, live)
    taker.join(20)
    assert taker.got == [(0, hour)]


def test_what_is_live_and_fails_before_it_left_holds_nothing_up() -> None:
    live, hour = QueryTask((LIVE, 0), "live", nothing), QueryTask((DUE, 1), "hour", nothing)
    work = PriorityQueue({0: [hour], 1: [live]})
    assert work.take() == (1, live)
    work.done(1, live)
    assert work.take() == (0, hour)


def test_a_worker_waits_for_what_another_ones_answer_may_bring() -> None:
    first, second = QueryTask((DUE,), "first", nothing), QueryTask((DUE,), "second", nothing)
    work = PriorityQueue({0: [first]})
    work.take()
    taker = Taker(work)
    assert not taker.got
    work.done(0, first, [second])
    taker.join(20)
    assert taker.got == [(0, second)]


ONLY = QueryTask((DUE,), "only", nothing)


@pytest.mark.parametrize("end", [lambda work: work.done(0, ONLY), PriorityQueue.stop])
def test_a_worker_that_waits_ends_when_all_is_answered_or_it_is_stopped(end: Callable[[PriorityQueue], None]) -> None:
    work = PriorityQueue({0: [ONLY]})
    work.take()
    taker = Taker(work)
    end(work)
    taker.join(20)
    assert taker.got == [None]


def test_nothing_is_handed_out_after_a_stop() -> None:
    work = PriorityQueue({0: [ONLY]})
    work.stop()
    assert work.take() is None
