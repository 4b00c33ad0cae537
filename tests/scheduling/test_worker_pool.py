from __future__ import annotations

import threading
from functools import partial
from typing import List

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.scheduling import Crew


def test_what_ends_in_time_is_returned_by_name_and_errors_are_too() -> None:
    wrong = KeyError("no")

    def fail() -> int:
        raise wrong

    assert Crew(Clock()).do({"a": lambda: 1, "b": fail}, workers=2) == {"a": 1, "b": wrong}


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


@pytest.mark.parametrize("count", [2, 3])
def test_what_every_worker_hangs_in_keeps_nothing_back_once_the_crowd_is_gone(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("maas_usage_check.scheduling.worker_pool.AGAIN", 0.01)
    crowd, others = iter([True]), threading.Event()
    ended: List[int] = []

    def work(number: int) -> bool:
        if number:
            ended.append(number)
            others.set()
            return True
        return others.wait(20)  # until another worker came

    works = {number: partial(work, number) for number in range(count)}
    done = Crew(Clock()).do(works, workers=2, is_crowded=lambda: next(crowd, False))
    assert done == dict.fromkeys(range(count), True)
