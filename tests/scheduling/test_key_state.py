"""The stored state of an access key: its name, its age, and who may send the probe."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import List, Optional

import msgspec
import pytest

from maas_usage_check.cloud import Credentials
from maas_usage_check.errors import Result
from maas_usage_check.scheduling import Group, Schedulers
from maas_usage_check.scheduling.key_state import KeyEntry, KeyState
from maas_usage_check.state import Store

from ..fixed_clock import MONDAY, FixedClock
from .account import Account

AT = int(MONDAY)


def open_store(folder: Path, clock: FixedClock) -> Store:
    return Store(lambda: str(folder / "s.sqlite3"), pytest.fail, clock.now)


def stored_names(folder: Path) -> List[str]:
    with sqlite3.connect(folder / "s.sqlite3") as file:
        return [name for (name,) in file.execute("SELECT name FROM entries WHERE kind = 'KeyEntry'")]


def key_name(store: Store, credentials: Credentials) -> str:
    return Schedulers(store, FixedClock().clock).of(credentials).key.name


def test_state_of_another_version() -> None:
    """Fields that this version does not know are skipped."""
    assert msgspec.json.decode('{"refusals":1,"unknown":[2]}', type=KeyEntry) == KeyEntry(refusals=1)


def test_key_names(tmp_path: Path, clock: FixedClock) -> None:
    """A key is named by a digest under the salt of its state: the same in each run, another in each state."""
    named = {}
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        names = [
            key_name(open_store(folder, clock), credentials)
            for credentials in (
                Credentials("ak", "sk"),
                Credentials("ak", "sk", "token"),
                Credentials("ak", "sk2"),
                Credentials("aks", "k"),
            )
        ]
        assert names[0] == names[1]
        assert len(set(names)) == 3
        assert not any("ak" in name or "sk" in name for name in names)
        named[folder] = names[0]
    assert len(set(named.values())) == 2


@pytest.mark.parametrize(("age", "stays"), [(7 * 86_400 - 1, True), (7 * 86_400, True), (7 * 86_400 + 1, False)])
def test_age_of_an_entry(tmp_path: Path, clock: FixedClock, age: int, stays: bool) -> None:
    """Another key's entry that did not change for a week is deleted; the salt is not."""
    store = open_store(tmp_path, clock)
    old, new = Credentials("old", "sk"), Credentials("new", "sk")
    for credentials in (old, new):
        name = key_name(store, credentials)
        with KeyState(name, store, clock.clock).transaction() as entry:
            entry.refusals = 1
        clock.at += age
    assert (key_name(store, old) in stored_names(tmp_path)) == stays
    assert key_name(store, new) in stored_names(tmp_path)
    assert key_name(open_store(tmp_path, clock), new) == key_name(store, new)


@pytest.mark.parametrize(
    ("age", "verified"), [(-0.001, False), (0, True), (59.999, True), (60, False), (60.001, False)]
)
def test_age_of_a_verification(clock: FixedClock, age: float, verified: bool) -> None:
    """Another process's counts for a minute, and not at all where it lies in the future."""
    store, entry = Store(), KeyEntry()
    one, other = KeyState("key", store, clock.clock), KeyState("key", store, clock.clock)
    clock.at = AT  # exact
    one.entry = other.entry = entry
    other.record_verification(entry, True)
    clock.at += age
    assert one.is_verified() == verified
    assert not other.is_verified()


def test_verification_ends_with_a_refusal(clock: FixedClock) -> None:
    store, entry = Store(), KeyEntry()
    one, other = KeyState("key", store, clock.clock), KeyState("key", store, clock.clock)
    one.entry = entry
    other.record_verification(entry, True)
    other.record_verification(entry, False)
    assert not one.is_verified()


class OtherHasLock(Store):
    """A store whose locks another process holds, or that has no locks."""

    acquired: Optional[bool] = False

    def acquire(self, name: str) -> Optional[bool]:
        return self.acquired


@pytest.mark.parametrize("acquired", [False, None])
@pytest.mark.parametrize(
    ("until", "claimed"),
    [(-0.001, True), (0, True), (0.001, False), (3599.999, False), (3600, False), (3600.001, True)],
)
def test_claim_of_another_process(
    clock: FixedClock, monkeypatch: pytest.MonkeyPatch, acquired: Optional[bool], until: float, claimed: bool
) -> None:
    """It holds until its time, unless that is beyond the longest: the clock was set back since."""
    monkeypatch.setattr(OtherHasLock, "acquired", acquired)
    clock.at = AT
    key, entry = KeyState("key", OtherHasLock(), clock.clock), KeyEntry(probe_until=AT + until)
    assert key.claim_probe(entry, 25) == claimed
    assert entry.probe_until == AT + (25 if claimed else until)


@pytest.mark.parametrize(("seconds", "until"), [(25, 25), (3600, 3600), (3600.001, 3600)])
def test_length_of_a_claim(clock: FixedClock, seconds: float, until: float) -> None:
    """A longer one would count as made under another clock."""
    clock.at = AT
    entry = KeyEntry(probe_until=AT + 10)  # the kernel says that its process died
    key = KeyState("key", Store(), clock.clock)
    assert key.claim_probe(entry, seconds)
    assert entry.probe_until == AT + until
    key.release_probe(entry)
    assert entry.probe_until == 0


@pytest.mark.parametrize(
    ("result", "durable"),
    [(Result.KEY_REFUSED, [True]), (Result.THROTTLED, [True]), (Result.OK, [False]), (Result.NETWORK, [False])],
)
def test_durable_refusals(clock: FixedClock, result: Result, durable: List[bool]) -> None:
    """A refusal and a 429 survive a power failure; the end of a probe need not."""

    class Recorder(Store):
        def entry(self, kind, name, durable=False):  # type: ignore[no-untyped-def]
            recorded.append(durable)
            return super().entry(kind, name, durable)

    recorded: List[bool] = []
    account = Account(clock, Recorder())
    account.submit(account.group(retries_s=()), "a")
    request = account.next()
    assert request is not None
    recorded.clear()
    account.end(request, result)
    assert recorded == durable


def test_release_of_a_probe_that_was_taken_over(clock: FixedClock) -> None:
    """A process that comes back from a hung probe does not end the claim of another."""
    store = Store()
    hung, other = (KeyState("key", store, clock.clock) for _ in range(2))
    with hung.transaction() as entry:
        assert hung.claim_probe(entry, 10)
    clock.at += 11
    with other.transaction() as entry:
        assert other.claim_probe(entry, 10)
    with hung.transaction() as entry:
        hung.release_probe(entry)
        assert entry.probe_until == clock.at + 10


def test_schedulers_of_temporary_keys(clock: FixedClock) -> None:
    """A key that is replaced every hour leaves no scheduler behind, unless a cycle still uses it."""
    schedulers = Schedulers(Store(), clock.clock)
    busy = schedulers.of(Credentials("busy", "sk"))
    busy.open(Group(1, 1, 1e12))
    for number in range(3):
        schedulers.of(Credentials(f"ak {number}", "sk"))
    assert schedulers.of(Credentials("busy", "sk")) is busy
    assert len(schedulers._schedulers) == 2
