"""What hangs until the test ends."""

from __future__ import annotations

import threading
from typing import Any, Callable, Iterator, List

import pytest

from ..conftest import FixedClock


class Hang:
    """A response, a transport, a provider or a state that hangs until the test ends; every deadline passes."""

    def __init__(self, clock: FixedClock) -> None:
        self.on_call: Callable[[], object] = lambda: clock.sleep(60)
        self.release = threading.Event()
        self.threads: List[threading.Thread] = []
        self.is_awaited = False

    def __call__(self, *_: Any) -> Any:
        self.threads.append(threading.current_thread())
        self.on_call()
        self.is_awaited = not self.release.wait(30)


@pytest.fixture
def hang(clock: FixedClock) -> Iterator[Hang]:
    hang = Hang(clock)
    yield hang
    hang.release.set()
    assert not hang.is_awaited, "a cycle waited for what hangs"
