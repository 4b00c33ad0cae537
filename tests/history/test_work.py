from __future__ import annotations

import threading
from typing import Any, List, Optional, Sequence

from maas_usage_check.history.work import BACKFILL, CHECK, DUE, HEALING, Ask, Work


def nothing(answer: Any) -> Sequence[Ask]:
    return ()


def taken(work: Work) -> List[Any]:
    queries = []
    for ask in iter(work.take, None):
        queries.append(ask.query)
        work.done()
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
    assert taken(Work(asks)) == ["asked long ago", "asked lately", "wrong", "look", "newer", "older"]


def test_a_worker_waits_for_what_another_ones_answer_may_bring() -> None:
    work = Work([Ask((DUE,), "first", nothing)])
    assert work.take() is not None
    got: List[Optional[Ask]] = []
    waiter = threading.Thread(target=lambda: got.append(work.take()))
    waiter.start()
    work.done([Ask((DUE,), "second", nothing)])
    waiter.join(10)
    assert got[0] is not None
    assert got[0].query == "second"


def test_who_waits_is_let_go_when_all_is_answered_or_it_is_stopped() -> None:
    for end in (Work.done, Work.stop):
        work = Work([Ask((DUE,), "only", nothing)])
        work.take()
        got: List[Optional[Ask]] = []
        waiter = threading.Thread(target=lambda work=work, got=got: got.append(work.take()))
        waiter.start()
        end(work)
        waiter.join(10)
        assert got == [None]


def test_nothing_is_handed_out_after_a_stop() -> None:
    work = Work([Ask((DUE,), "only", nothing)])
    work.stop()
    assert work.take() is None
