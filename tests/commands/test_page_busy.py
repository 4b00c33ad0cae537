"""Many requests for pages at once, and a state that hangs: nothing waits without end."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Iterator, List

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.commands.serve.page.page_responses import BUSY, DEADLINE_S, MAX_WAITING, PageResponse
from maas_usage_check.watchdog import hung_threads

from ..conftest import Cloud, FixedClock, Program, wait_for
from .served_pages import ServedPages, access_key

__all__ = ["access_key"]
UNAVAILABLE = ("503 Service Unavailable", f"{BUSY}\n".encode())


@pytest.fixture
def pages(cloud: Cloud, program: Program, clock: FixedClock, tmp_path: Path, access_key: None) -> ServedPages:
    return ServedPages(program, program.cloud_config(cloud, f"hourly: true\nstate_dir: {tmp_path}"), clock.clock)


class Waiting:
    """Requests that wait, each in a thread of its own."""

    def __init__(self, pages: ServedPages) -> None:
        self._pages = pages
        self._threads: List[threading.Thread] = []
        self.responses: List[PageResponse] = []

    def add(self, count: int, query: str = "") -> None:
        """Send requests; return when all of them wait."""
        slots, before = self._pages.pages._waiting, len(self._threads)
        for _ in range(count):
            thread = threading.Thread(target=lambda: self.responses.append(self._pages.get(query=query)), daemon=True)
            self._threads.append(thread)
            thread.start()
        wait_for(lambda: slots._value == MAX_WAITING - before - count, "the requests to wait")

    def join(self) -> List[str]:
        for thread in self._threads:
            thread.join(60)
        return [response.status for response in self.responses]


@pytest.fixture
def waiting(pages: ServedPages) -> Iterator[Waiting]:
    """Let all requests wait until the test ends, or releases the lock."""
    waiting = Waiting(pages)
    pages.pages._lock.acquire()
    yield waiting
    if pages.pages._lock.locked():
        pages.pages._lock.release()
    waiting.join()


def test_eight_wait(pages: ServedPages, waiting: Waiting) -> None:
    """8 requests wait; the 9th is refused at once, and those that wait get their page."""
    waiting.add(MAX_WAITING - 1)
    waiting.add(1)
    refused = pages.get(query="period=today")
    assert (refused.status, refused.body) == UNAVAILABLE
    assert dict(refused.headers)["Cache-Control"] == "no-store"
    pages.pages._lock.release()
    assert waiting.join() == ["200 OK"] * MAX_WAITING
    assert len({response.body for response in waiting.responses}) == 1
    assert pages.get(query="period=today").status == "200 OK"


def test_kept_page_does_not_wait(pages: ServedPages) -> None:
    """A page that is kept, and a wrong parameter, are answered while all others wait."""
    assert pages.get().status == "200 OK"
    waiting = Waiting(pages)
    with pages.pages._lock:
        waiting.add(MAX_WAITING, "period=today")
        assert pages.get().status == "200 OK"
        assert pages.get(query="period=x").status == "400 Bad Request"
    assert waiting.join() == ["200 OK"] * MAX_WAITING


@pytest.mark.parametrize("path", ["/", "/usage.csv"])
def test_hanging_state(cloud: Cloud, program: Program, clock: FixedClock, pages: ServedPages, path: str) -> None:
    """A page that is not made within 8 seconds is given up; a later one is made once the state answers."""
    times = [0.0, DEADLINE_S - 0.001, DEADLINE_S]
    monotonic = iter(times)
    pages.pages._clock = Clock(clock.now, lambda: next(monotonic, DEADLINE_S))
    with pages.pages._lock:
        response = pages.get(path)
        assert (response.status, response.body) == UNAVAILABLE
        assert next(monotonic, None) is None
    assert pages.pages._waiting._value == MAX_WAITING
    pages.pages._clock = clock.clock
    assert pages.get(path).status == "200 OK"
    wait_for(lambda: not hung_threads(math.inf), "the first page to be made after all")


def test_hanging_page_does_not_pile_up(pages: ServedPages, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one page hangs, others give up after the same time, and leave no thread behind."""
    monkeypatch.setattr("maas_usage_check.commands.serve.page.page_responses.DEADLINE_S", 0)
    with pages.pages._lock:
        before = threading.active_count()
        for _ in range(3 * MAX_WAITING):
            assert pages.get().status == "503 Service Unavailable"
        wait_for(lambda: threading.active_count() <= before, "the threads to end")
