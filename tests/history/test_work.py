from __future__ import annotations

import threading
from typing import Any, Callable, List, Sequence

from maas_usage_check.history.work import BACKFILL, CHECK, DUE, HEALING, LATE, LIVE, Ask, Work


def nothing(answer: Any) -> Sequence[Ask]:
    return ()


def taken(work: Work) -> List[Any]:
    queries = []
    for keeper, ask in iter(work.take, None):
        queries.append(ask.query)
        work.done(keeper, ask)
    return queries


def test_what_is_due_goes_first_then_what_is_wrong_the_look_and_what_is_missing_the_newest_first() -> None:
    asks = [
        Ask((BACKFILL, -5), "older", nothing),
        Ask((BACKFILL, -9), "newer", nothing),
        Ask((CHECK,), "look", nothing),
        Ask((HEALING, -3), "wrong", nothing),
        Ask((DUE, 7, -9), "asked lately", nothing),
        Ask((DUE, 1, -2), "asked long ago", nothing),
    ]
    assert taken(Work({0: asks})) == ["asked long ago", "asked lately", "wrong", "look", "newer", "older"]


def test_what_is_live_goes_before_all_hours_whoever_asks() -> None:
    work = Work(
        {0: [Ask((DUE, 1), "hour", nothing)], 1: [Ask((LIVE, 0), "minute", nothing), Ask((LATE, 0), "gap", nothing)]}
    )
    assert taken(work) == ["minute", "gap", "hour"]


def test_what_is_dropped_of_one_keeper_leaves_the_others_and_shows_as_left() -> None:
    mine, live, gone = Ask((DUE, 1), "mine", nothing), Ask((LIVE, 0), "live", nothing), Ask((DUE, 0), "gone", nothing)
    work = Work({0: [mine], 1: [live, gone]})
    assert work.take() == (1, live)
    work.goes(1, live)
    work.drop(1)
    assert work.take() == (0, mine)
    work.done(0, mine)
    assert work.left() == [(1, live), (1, gone)]


def test_nothing_else_goes_before_all_that_is_live_has_left_and_then_not_even_its_answers_are_waited_for() -> None:
    live, hour = Ask((LIVE, 0), "live", nothing), Ask((DUE, 1), "hour", nothing)
    work = Work({0: [hour], 1: [live]})
    assert work.take() == (1, live)
    got: List[Any] = []
    waiter = threading.Thread(target=lambda: got.append(work.take()))
    waiter.start()
    waiter.join(0.1)
    assert waiter.is_alive()
    work.goes(1, live)
    waiter.join(10)
    assert got == [(0, hour)]


def test_what_is_live_and_fails_before_it_left_holds_nothing_up() -> None:
    live, hour = Ask((LIVE, 0), "live", nothing), Ask((DUE, 1), "hour", nothing)
    work = Work({0: [hour], 1: [live]})
    assert work.take() == (1, live)
    work.done(1, live)
    assert work.take() == (0, hour)


def test_a_worker_waits_for_what_another_ones_answer_may_bring() -> None:
    first = Ask((DUE,), "first", nothing)
    work = Work({0: [first]})
    assert work.take() is not None
    got: List[Any] = []
    waiter = threading.Thread(target=lambda: got.append(work.take()))
    waiter.start()
    work.done(0, first, [Ask((DUE,), "second", nothing)])
    waiter.join(10)
    assert got[0][1].query == "second"


def test_who_waits_is_let_go_when_all_is_answered_or_it_is_stopped() -> None:
    only = Ask((DUE,), "only", nothing)
    ends: List[Callable[[Work], None]] = [lambda work: work.done(0, only), Work.stop]
    for end in ends:
        work = Work({0: [only]})
        work.take()
        got: List[Any] = []
        waiter = threading.Thread(target=lambda work=work, got=got: got.append(work.take()))
        waiter.start()
        end(work)
        waiter.join(10)
        assert got == [None]


def test_nothing_is_handed_out_after_a_stop() -> None:
    work = Work({0: [Ask((DUE,), "only", nothing)]})
    work.stop()
    assert work.take() is None
