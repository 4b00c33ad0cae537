from __future__ import annotations

import threading
from typing import List

from maas_usage_check.clock import Clock
from maas_usage_check.cycle import Crew
from maas_usage_check.cycle.crew import hanging


def soon(seconds: float = 0.2) -> float:
    return Clock().monotonic() + seconds


def test_what_ends_in_time_is_returned_by_name_and_errors_are_too() -> None:
    wrong = KeyError("no")

    def fail() -> int:
        raise wrong

    assert Crew(Clock()).do({"a": lambda: 1, "b": fail}, workers=2) == {"a": 1, "b": wrong}


def test_what_hangs_is_left_behind_and_what_it_hands_in_late_is_no_result_of_later_work() -> None:
    release = threading.Event()
    crew = Crew(Clock())
    assert crew.do({"same": lambda: release.wait(30) and "late"}, give_up=soon()) == {}
    late = [thread for thread in threading.enumerate() if thread.name == "maas-usage-check"]

    def work() -> str:
        release.set()
        for thread in late:
            thread.join(10)
        return "in time"

    assert crew.do({"same": work}, give_up=soon(20)) == {"same": "in time"}


def test_a_crew_that_is_told_to_stop_waits_for_nothing_any_more() -> None:
    release = threading.Event()
    crew = Crew(Clock())
    threading.Thread(target=crew.stop).start()
    assert crew.do({"a": lambda: release.wait(30)}) == {}
    assert crew.do({"b": lambda: release.wait(30)}) == {}
    release.set()


def test_what_ended_before_the_stop_counts_although_nobody_had_looked_yet() -> None:
    stopped, crew = threading.Event(), Crew(Clock())

    def stop() -> None:
        crew.stop()
        stopped.set()

    works = {"a": lambda: 1, "b": lambda: 2, "stop": stop}
    ended = crew.do(works, progress=lambda: stopped.wait(20) and None)
    assert (ended["a"], ended["b"]) == (1, 2)


def test_no_more_work_is_begun_when_the_time_is_up() -> None:
    begun: List[int] = []
    release = threading.Event()

    def work(number: int) -> bool:
        begun.append(number)
        return release.wait(30)

    works = {number: lambda number=number: work(number) for number in range(5)}  # type: ignore[misc]
    assert Crew(Clock()).do(works, workers=2, give_up=soon()) == {}
    release.set()
    for thread in threading.enumerate():
        if thread.name == "maas-usage-check":
            thread.join(10)
    assert sorted(begun) == [0, 1]


def test_threads_that_were_left_behind_are_counted_until_they_end() -> None:
    release = threading.Event()
    Crew(Clock()).do({number: lambda: release.wait(30) for number in range(3)}, workers=3, give_up=soon())
    assert hanging(Clock().monotonic()) == 0, "slow is not yet hanging"
    later = Clock().monotonic() + 61
    assert hanging(later) == 3
    release.set()
    for thread in threading.enumerate():
        if thread.name == "maas-usage-check":
            thread.join(10)
    assert hanging(later) == 0
