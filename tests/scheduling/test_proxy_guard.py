"""The waits after a proxy refused a password: at each boundary, for several threads, processes and passwords."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Iterator, List
from urllib.parse import SplitResult, urlsplit

import pytest

from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import proxy_guard
from maas_usage_check.scheduling.proxy_guard import ProxyGuard
from maas_usage_check.state import Store

from ..fixed_clock import FixedClock

PROXY = urlsplit("http://user:wrong@proxy.invalid:3128")
OTHER = urlsplit("http://user:right@proxy.invalid:3128")


class Tunnels:
    """What the proxy answers: it refuses the passwords of `refused`."""

    def __init__(self, guard: ProxyGuard) -> None:
        self.guard = guard
        self.refused = {PROXY}
        self.tries: List[SplitResult] = []

    def open(self, proxy: SplitResult = PROXY) -> str:
        """Return `open`, or the error's text."""

        def connect() -> str:
            self.tries.append(proxy)
            if proxy in self.refused:
                raise QueryError(Result.PROXY_REFUSED, "refused")
            return "open"

        try:
            return self.guard(proxy, connect)
        except QueryError as error:
            assert error.result == Result.PROXY_REFUSED
            assert error.is_consequence == (str(error) != "refused")
            return str(error)


@pytest.fixture
def store(tmp_path: Path, clock: FixedClock) -> Iterator[Store]:
    with contextlib.closing(Store(lambda: str(tmp_path / "s.sqlite3"), pytest.fail, clock.now)) as store:
        yield store


@pytest.fixture
def tunnels(store: Store, clock: FixedClock) -> Tunnels:
    return Tunnels(ProxyGuard(store, clock.clock))


def test_waits(tunnels: Tunnels, clock: FixedClock) -> None:
    for minutes in (5, 10, 20, 40, 60, 60):
        assert tunnels.open() == "refused"
        clock.at += minutes * 60 - 1
        assert tunnels.open() == ("refused. Retrying in 1 min to avoid a lockout; another password is tried at once")
        clock.at += 1
    assert len(tunnels.tries) == 6


def test_other_password(tunnels: Tunnels, clock: FixedClock) -> None:
    """It has no wait; the refused one keeps its own."""
    assert [tunnels.open(), tunnels.open(OTHER)] == ["refused", "open"]
    assert "Retrying in 5 min" in tunnels.open()


def test_accepted_later(tunnels: Tunnels, clock: FixedClock) -> None:
    """A success ends the row of refusals: the next one waits for 5 minutes again."""
    tunnels.open()
    clock.at += 300
    tunnels.refused.clear()
    assert tunnels.open() == "open"
    tunnels.refused.add(PROXY)
    clock.at += 60
    assert tunnels.open() == "refused"
    assert "Retrying in 5 min" in tunnels.open()


@pytest.mark.parametrize(("after_s", "says"), [(59.9, "refused"), (60, "refused")])
def test_refused_after_success(tunnels: Tunnels, clock: FixedClock, after_s: float, says: str) -> None:
    """A password that was changed is refused once, also while the old answer still verifies it."""
    tunnels.refused.clear()
    tunnels.open()
    tunnels.refused.add(PROXY)
    clock.at += after_s
    assert tunnels.open() == says
    assert "Retrying in 5 min" in tunnels.open()
    assert len(tunnels.tries) == 2


def test_clock_set_back(tunnels: Tunnels, clock: FixedClock) -> None:
    """A wait lasts an hour at most."""
    tunnels.open()
    clock.set_by(-86_400)
    assert "Retrying in 60 min" in tunnels.open()
    clock.set_by(3600)
    assert tunnels.open() == "refused"


def test_restart(tunnels: Tunnels, store: Store, clock: FixedClock) -> None:
    tunnels.open()
    assert "Retrying in 5 min" in Tunnels(ProxyGuard(store, clock.clock)).open()


def test_other_errors(tunnels: Tunnels) -> None:
    """A tunnel that fails for another reason is tried again."""

    def fail() -> None:
        raise ConnectionResetError

    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            tunnels.guard(PROXY, fail)
    assert tunnels.open() == "refused"


def test_several_threads(tunnels: Tunnels, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a password is not verified, one tries it and the others wait for the answer."""
    monkeypatch.setattr(proxy_guard, "ANSWER_S", 60)
    entered, answered = threading.Event(), threading.Event()
    errors: List[str] = []

    def connect() -> None:
        entered.set()
        answered.wait(30)
        raise QueryError(Result.PROXY_REFUSED, "refused")

    def first() -> None:
        with pytest.raises(QueryError):
            tunnels.guard(PROXY, connect)

    threads = [
        threading.Thread(target=first),
        *(threading.Thread(target=lambda: errors.append(tunnels.open())) for _ in range(3)),
    ]
    threads[0].start()
    assert entered.wait(30)
    for thread in threads[1:]:
        thread.start()
    answered.set()
    for thread in threads:
        thread.join()
    assert (len(errors), tunnels.tries) == (3, [])
    assert all("Retrying in 5 min" in error for error in errors)
