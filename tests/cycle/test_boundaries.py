"""Each limit of a cycle: one below it, at it, one above."""

from __future__ import annotations

import threading
from typing import List, Optional

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.config import load_instance
from maas_usage_check.cycle import Crew
from maas_usage_check.cycle.forewarning import over_rate

from ..conftest import NOW


@pytest.mark.parametrize(
    ("deadline", "room"), [(1.0, 10), (60.0, 10), (60.9, 10), (61.0, 20), (121.0, 20), (122.0, 30), (183.0, 40)]
)
def test_minutes_of_a_plan(deadline: float, room: int) -> None:
    """A deadline gives a plan the rate of one minute, and of one more for each 61 s."""
    instance = load_instance({"max_requests_per_minute": 10, "project_id": "a" * 32}, {}, "x", NOW)
    assert over_rate([instance], room, deadline) is None
    told = f"let {room} through within the deadline of {deadline:g} s: 1 will be left out"
    assert told in str(over_rate([instance], room + 1, deadline))


def test_nothing_starts_after_a_stop() -> None:
    """A worker whose piece ends after the stop starts no other one."""
    heard, ended = threading.Event(), threading.Event()
    began: List[str] = []

    def monotonic() -> float:  # first read when the stop is heard
        heard.set()
        ended.wait(20)
        return Clock().monotonic()

    crew = Crew(Clock(monotonic=monotonic))

    def stop() -> Optional[bool]:
        began.append("stop")
        crew.stop()
        return heard.wait(20)

    works = {"stop": stop, "next": lambda: began.append("next")}
    crew.do(works, progress=ended.set)
    assert began == ["stop"]
