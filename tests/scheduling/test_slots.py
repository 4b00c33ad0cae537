from __future__ import annotations

import threading
from typing import Callable, List

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.scheduling.slots import Places

from ..conftest import wait_for

FAR = 1e9


class OverError(Exception):
    """There is nothing to wait for any more."""


class Queue:
    """Requests that wait for a place, each in a thread; `looks` counts how often they looked, `went` who went."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.looks = 0
        self.went: List[int] = []
        self.over: List[str] = []

    def add(
        self, name: str, at_once: int = 5, is_proven: Callable[[], bool] = lambda: True, ends: bool = False
    ) -> None:
        """Start one, and wait until it waits; `ends` makes it give up when it is woken."""
        seen: List[str] = []

        def look() -> None:
            self.looks += 1
            if ends and seen:
                raise OverError
            seen.append(name)

        def work() -> None:
            try:
                self.went.append(self.places.take(FAR, at_once, is_proven, look))
            except OverError:
                self.over.append(name)

        threading.Thread(target=work, daemon=True).start()
        wait_for(lambda: seen, name)
        with self.places.lock:  # it lets go of it when it waits
            pass


@pytest.fixture
def places() -> Places:
    return Places(Clock())


def full(places: Places, count: int = 5) -> List[int]:
    return [places.take(FAR, count, lambda: True, lambda: None) for _ in range(count)]


def test_each_of_many_who_wait_is_woken_once(places: Places) -> None:
    tickets, queue = full(places), Queue(places)
    for n in range(100):
        queue.add(str(n))
    for n in range(100):
        places.give_back(tickets.pop() if tickets else queue.went[n - 5])
        wait_for(lambda n=n: len(queue.went) == n + 1, "the next")  # type: ignore[misc]
    assert queue.looks == 200


def test_a_place_that_one_who_was_woken_does_not_take_is_the_next_ones(places: Places) -> None:
    tickets, queue = full(places), Queue(places)
    queue.add("gives up", ends=True)
    queue.add("goes")
    places.give_back(tickets[0])
    wait_for(lambda: queue.went, "the one behind")
    assert queue.over == ["gives up"]


def test_who_may_go_beside_others_goes_before_one_who_must_go_alone(places: Places) -> None:
    tickets, queue = full(places), Queue(places)
    queue.add("alone", is_proven=lambda: False)
    queue.add("beside")
    places.give_back(tickets[0])
    wait_for(lambda: len(queue.went) == 1, "the one behind")
    for ticket in [*tickets[1:], *queue.went]:
        assert len(queue.went) == 1
        places.give_back(ticket)
    wait_for(lambda: len(queue.went) == 2, "the one alone")


def test_who_asked_for_more_at_once_gets_more_although_others_wait_longer(places: Places) -> None:
    tickets, queue = full(places, 8), Queue(places)
    queue.add("five", at_once=5)
    queue.add("eight", at_once=8)
    places.give_back(tickets[0])
    wait_for(lambda: queue.went, "the one behind")
    assert len(places.in_flight) == 8


def test_it_is_crowded_while_as_many_wait_as_may_be_under_way(places: Places) -> None:
    assert not places.is_crowded()
    tickets, queue = full(places), Queue(places)
    for n in range(5):
        assert not places.is_crowded()
        queue.add(str(n))
    assert places.is_crowded()
    places.give_back(tickets[0])
    wait_for(lambda: not places.is_crowded(), "one to go")
