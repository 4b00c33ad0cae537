"""The rate of one access key, shared by the cycles of several processes: rule 11."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Tuple

import pytest

from maas_usage_check.cloud import Credentials
from maas_usage_check.collection import Batch, run_cycle
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.errors import Result
from maas_usage_check.ledger import COUNTERS
from maas_usage_check.metrics import HOURLY, MODEL, USAGE
from maas_usage_check.scheduling import WINDOW_S, Schedulers
from maas_usage_check.state import Store

from ..conftest import AK, SK, Cloud, FixedClock
from .account import HOUR, Account, Make, health, points, texts


@pytest.fixture
def account(cloud: Cloud, clock: FixedClock, make_collector: Make, tmp_path: Path) -> Account:
    account = Account(cloud, clock, make_collector, tmp_path)
    account.keys.update(backfill_days=29)
    return account


def ranges(count: int) -> List[str]:
    return [f"last_{hours}h" for hours in range(1, count + 1)]


def collect(account: Account, count: int, rate: int, **keys: Any) -> Batch:
    """Run a cycle with so many ranges and no hours, as another process of the same access key."""
    return account.cycle(ranges=ranges(count), max_requests_per_minute=rate, hourly=False, **keys)


WAITED = "rate limit: waited 61 s, max_requests_per_minute ({}) was used up"


def emitted_ranges(batch: Batch) -> List[str]:
    return [point.tags["range"] for point in points(batch, USAGE)]


def outcome(batch: Batch) -> Tuple[Any, ...]:
    return tuple(health(batch)[name] for name in ("up", "queries", "failed_queries"))


@pytest.mark.parametrize(("rate", "hours"), [(1, 0), (2, 1), (3, 1), (4, 2), (100, 50)])
def test_backfill_takes_half(account: Account, rate: int, hours: int) -> None:
    """A backfill takes at most half of the rate, so all ranges of a cycle in the same minute fit, but not one more."""
    batch = account.cycle(ranges=ranges(1), max_requests_per_minute=rate)
    assert health(batch)["http_requests"] == 1 + hours
    account.sleep(30)
    left = rate - 1 - hours
    batch = collect(account, left + 1, rate)
    assert emitted_ranges(batch) == ranges(left)
    assert outcome(batch) == (int(left > 0), left + 1, 1)


@pytest.mark.parametrize(("rate", "hours"), [(2, 1), (3, 1), (100, 50)])
def test_share_of_a_minute(account: Account, rate: int, hours: int) -> None:
    """The backfills of two processes together take half of the rate; a minute later they may take it again."""
    sent = []
    for seconds in (0, 30, WINDOW_S - 30):
        account.sleep(seconds)
        batch = account.cycle(ranges=ranges(1), max_requests_per_minute=rate)
        sent.append(health(batch)["http_requests"] - len(points(batch, USAGE)))
    assert sent == [hours, 0, hours]


@pytest.mark.parametrize(("rate", "used", "hours"), [(2, 1, 0), (3, 1, 1), (3, 2, 0), (100, 49, 50), (100, 50, 49)])
def test_backfill_takes_what_is_left(account: Account, rate: int, used: int, hours: int) -> None:
    """Ranges take more than half; the backfill takes what they leave."""
    collect(account, used, rate)
    batch = account.cycle(ranges=ranges(1), max_requests_per_minute=rate)
    assert outcome(batch) == (1, 1 + hours, 0)


@pytest.mark.parametrize(("deadline", "hours"), [(60, 0), (61, 0), (67, 1), (133, 2)])
def test_backfill_at_one_request_per_minute(account: Account, deadline: int, hours: int) -> None:
    """Background gets the one request of a minute that the ranges leave; it waits within the deadline."""
    batch = account.cycle(ranges=ranges(1), max_requests_per_minute=1, deadline=deadline)
    assert outcome(batch) == (1, 1 + hours, 0)
    sent = [body["end_time"] for body in account.cloud.statistics()]
    assert [(end + 1) % HOUR == 0 for end in sent] == [False] + [True] * hours


@pytest.mark.parametrize("rate", [1, 2, 3, 100])
def test_extension(account: Account, rate: int) -> None:
    """A cycle of `serve` or the Agent waits for the rate that others have used up, beyond its deadline."""
    collect(account, rate, rate)
    batch = run_cycle(
        [account.collector(rate_extension_s=WINDOW_S, ranges=ranges(rate), max_requests_per_minute=rate, hourly=False)]
    )[0]
    assert outcome(batch) == (1, rate, 0)
    assert batch.result == Result.OK
    assert health(batch)["duration_seconds"] <= 25 + WINDOW_S
    (text,) = texts(batch, "I")
    assert text.endswith(f": {WAITED.format(rate)}")


def test_extension_of_live_minutes(cloud: Cloud, account: Account) -> None:
    """Live minutes wait for the rate as ranges do."""
    cloud.emulator.models = SimulatedModels(1, 0)
    keys = {"models": True, "hourly": False, "ranges": ranges(1), "max_requests_per_minute": 4}
    collect(account, 3, 4)
    batch = run_cycle([account.collector(rate_extension_s=WINDOW_S, **keys)])[0]
    assert points(batch, MODEL)
    assert health(batch)["failed_queries"] == 0
    account.sleep(300)
    collect(account, 4 - 1, 4)
    batch = account.cycle(**keys)
    assert emitted_ranges(batch) == ranges(1)
    assert not points(batch, MODEL)
    assert health(batch)["failed_queries"] == 1


def test_no_extension_for_hours(account: Account) -> None:
    """Hours do not extend a cycle: they are left for the next one, which is no failure."""
    batch = run_cycle([account.collector(rate_extension_s=WINDOW_S, ranges=ranges(1), max_requests_per_minute=1)])[0]
    assert outcome(batch) == (1, 1, 0)
    assert account.clock.slept == []


@pytest.mark.parametrize("rate", [1, 2, 3, 100])
def test_deferral(account: Account, rate: int) -> None:
    """`collect` does not wait beyond its deadline: the text has the numbers, and how many ranges are missing."""
    collect(account, rate, rate)
    batch = collect(account, rate, rate)
    assert outcome(batch) == (0, rate, rate)
    assert batch.result == health(batch)["result_code"] == Result.OVER_RATE
    (text,) = texts(batch, "E")
    numbers = f"{rate} requests sent in the last minute, max_requests_per_minute allows {rate}"
    assert f": rate limit: {numbers}; deferred queries go first in the next cycle: " in text
    assert text.endswith(f"(no values for {', '.join(f'{name} preset' for name in ranges(rate))})")
    assert account.clock.slept == []


def test_deferred_ranges_go_first(account: Account) -> None:
    """Deferred ranges go first in the next cycle, also of another run, and those that went wait."""
    emitted = []
    for _ in range(3):
        batch = account.cycle(ranges=ranges(5), max_requests_per_minute=2, hourly=False)
        assert outcome(batch) == (1, 5, 3)
        emitted.append(emitted_ranges(batch))
        account.sleep(300)
    assert emitted == [["last_1h", "last_2h"], ["last_3h", "last_4h"], ["last_1h", "last_5h"]]


def test_deferred_ranges_of_all_instances_go_first(account: Account) -> None:
    """Of instances collected at once, those whose ranges were deferred, though others begin before them."""
    schedulers = Schedulers(Store(), account.clock.clock)
    keys = {"ranges": ["last_1h"], "max_requests_per_minute": 2}

    def provide() -> Credentials:
        return Credentials(AK, SK)

    collectors = [
        account.make(account.cloud.entry(tags=[f"n:{n}"], **keys), schedulers=schedulers, provider=provide)
        for n in range(6)
    ]
    answered = []
    for _ in range(4):
        answered.append([i for i, batch in enumerate(run_cycle(collectors)) if batch.collected])
        account.sleep(300)
    assert answered == [[0, 1], [2, 3], [4, 5], [0, 1]]


@pytest.mark.parametrize(("deadline", "waits"), [(60, False), (61, False), (62, True), (70, True)])
def test_wait_within_the_deadline(account: Account, deadline: int, waits: bool) -> None:
    """`collect` waits for the rate if its deadline is longer than the wait, and says so."""
    collect(account, 3, 3)
    batch = collect(account, 3, 3, deadline=deadline)
    assert outcome(batch) == ((1, 3, 0) if waits else (0, 3, 3))
    assert [text.partition(": ")[2] for text in texts(batch, "I")] == [WAITED.format(3)] * waits
    assert health(batch)["duration_seconds"] <= deadline


@pytest.mark.parametrize("rate", [4, 8, 12, 100])
def test_serve_after_three_runs(account: Account, rate: int) -> None:
    """After three `collect` with a backfill right after each other, the first batch of `serve` has all ranges."""
    del account.keys["ranges"]  # the default ranges are 4 queries
    for _ in range(3):
        account.cycle(max_requests_per_minute=rate)
    batch = run_cycle(
        [
            account.collector(
                COUNTERS, "serve", rate_extension_s=WINDOW_S, max_requests_per_minute=rate, min_collection_interval=300
            )
        ]
    )[0]
    assert health(batch)["up"] == 1
    assert len(points(batch, USAGE)) == 3
    assert health(batch)["failed_queries"] == 0
    assert len(account.cloud.requests) <= 2 * rate


@pytest.mark.parametrize("rate", [16, 100])
def test_collect_during_a_backfill(account: Account, rate: int) -> None:
    """While `serve` backfills, a `collect` by hand has all ranges at once, and the other way round."""
    del account.keys["ranges"]
    serve = account.collector(COUNTERS, "serve", rate_extension_s=WINDOW_S, max_requests_per_minute=rate)
    for _ in range(3):
        for batch in (run_cycle([serve])[0], account.cycle(max_requests_per_minute=rate)):
            assert len(points(batch, USAGE)) == 3
            assert health(batch)["failed_queries"] == 0
        account.sleep(300)
    assert points(batch, HOURLY)
