from __future__ import annotations

import itertools
import threading
import time
from functools import partial
from typing import Callable, List

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.cycle import Crew
from maas_usage_check.cycle.crew import hanging

from ..conftest import wait_for


def soon(seconds: float = 0.2) -> float:
    return Clock().monotonic() + seconds


def test_what_ends_in_time_is_returned_by_name_and_errors_are_too() -> None:
    wrong = KeyError("no")

    def fail() -> int:
        raise wrong

    assert Crew(Clock()).do({"a": lambda: 1, "b": fail}, workers=2) == {"a": 1, "b": wrong}


def test_what_hangs_is_left_behind_and_what_it_hands_in_late_is_no_result_of_any_work() -> None:
    release, handed_in = threading.Event(), threading.Event()
    crew = Crew(Clock())
    early = crew.do({"same": lambda: release.wait(30) and "late"}, give_up=soon(), progress=handed_in.set)
    assert early == {}

    def work() -> str:
        release.set()
        assert handed_in.wait(20)
        return "in time"

    assert crew.do({"same": work, "other": lambda: 1}, give_up=soon(20)) == {"same": "in time", "other": 1}
    assert early == {}


def test_a_crew_that_is_told_to_stop_waits_for_nothing_any_more() -> None:
    release = threading.Event()
    crew = Crew(Clock())
    threading.Thread(target=crew.stop).start()
    assert crew.do({"a": lambda: release.wait(30)}) == {}
    assert crew.do({"b": lambda: release.wait(30)}) == {}
    release.set()


def test_what_ended_before_the_stop_counts() -> None:
    release, crew = threading.Event(), Crew(Clock())

    def stop() -> None:
        crew.stop()
        release.wait(30)

    assert crew.do({"a": lambda: 1, "b": lambda: 2, "stop": stop}) == {"a": 1, "b": 2}
    release.set()


def test_no_more_work_is_begun_when_the_time_is_up() -> None:
    begun: List[int] = []
    ended: List[None] = []
    release, crew = threading.Event(), Crew(Clock())

    def work(number: int) -> bool:
        begun.append(number)
        if len(begun) == 2:
            crew.stop()
        return release.wait(30)

    works = {number: lambda number=number: work(number) for number in range(5)}  # type: ignore[misc]
    assert crew.do(works, workers=2, give_up=soon(20), progress=lambda: ended.append(None)) == {}
    release.set()
    wait_for(lambda: len(ended) == 2, "those that were under way")
    assert sorted(begun) == [0, 1]


def test_what_was_left_behind_is_counted_until_it_ends() -> None:
    release, crew = threading.Event(), Crew(Clock())
    all_began = threading.Barrier(3, action=crew.stop)

    def work() -> None:
        all_began.wait(20)
        release.wait(30)

    crew.do(dict.fromkeys(range(3), work), workers=3, give_up=soon(20))
    assert hanging(Clock().monotonic()) == 0, "slow is not yet hanging"
    later = Clock().monotonic() + 61
    assert hanging(later) == 3
    release.set()
    wait_for(lambda: hanging(later) == 0, "them to end")


def test_what_was_left_behind_and_failed_at_last_is_counted_no_more() -> None:
    release = threading.Event()
    caught: List[Exception] = []

    def fail() -> None:
        release.wait(30)
        try:
            raise KeyError("its traceback is kept, and with it each frame")
        except KeyError as error:
            caught.append(error)
            raise

    Crew(Clock()).do({"": fail}, give_up=soon())
    later = Clock().monotonic() + 61
    assert hanging(later) == 1
    release.set()
    wait_for(lambda: hanging(later) == 0, "it to end")
    assert caught


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_work_at_once_than_told_and_as_much_where_there_is_no_crowd(most: int) -> None:
    assert at_once(most, lambda: False) == most


def test_a_crowd_has_one_worker() -> None:
    assert at_once(5, lambda: True) == 1


def test_once_the_crowd_is_gone_the_others_help() -> None:
    crowd = iter([True, True])
    assert at_once(3, lambda: next(crowd, False)) == 3


@pytest.mark.parametrize("count", [2, 3])
def test_what_every_worker_hangs_in_keeps_nothing_back_once_the_crowd_is_gone(count: int) -> None:
    crowd, others = iter([True]), threading.Event()
    ended: List[int] = []

    def work(number: int) -> bool:
        if number:
            ended.append(number)
            others.set()
            return True
        return others.wait(20)  # until another worker came

    works = {number: partial(work, number) for number in range(count)}
    done = Crew(Clock()).do(works, workers=2, give_up=soon(20), is_crowded=lambda: next(crowd, False))
    assert done == dict.fromkeys(range(count), True)


def test_workers_that_reach_for_the_last_place_at_once_lose_no_work() -> None:
    both, looks = threading.Barrier(2), itertools.count(1)

    def is_crowded() -> bool:
        if next(looks) in (2, 3):  # the first and the second worker, while there is a place for a third
            both.wait(20)
        return False

    works = {number: (lambda: time.sleep(0.05)) for number in range(10)}
    assert Crew(Clock()).do(works, workers=3, give_up=soon(20), is_crowded=is_crowded).keys() == works.keys()


def at_once(workers: int, is_crowded: Callable[[], bool]) -> int:
    """Do twenty pieces; return how many were under way at once, at most."""
    now: List[None] = []
    most: List[int] = []
    full = threading.Event()

    def work() -> None:
        now.append(None)
        most.append(len(now))
        if len(now) >= workers:
            full.set()
        full.wait(0.02)
        now.pop()

    assert len(Crew(Clock()).do(dict.fromkeys(range(20), work), workers, is_crowded=is_crowded)) == 20
    return max(most)
