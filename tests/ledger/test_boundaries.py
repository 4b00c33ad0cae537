"""Each limit of the ledger: one below it, at it, one above it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, List

import pytest

from maas_usage_check.cloud import Statistics
from maas_usage_check.cloud.cloud_eye import CloudEye, Dimensions, Listing
from maas_usage_check.config import load_instance
from maas_usage_check.ledger import COUNTERS, HOURS, INCREMENTS, Account, Consumer, CycleEnd, Planner, bisect, emit
from maas_usage_check.ledger.bisect_planner import BisectPlanner
from maas_usage_check.ledger.compaction import OldHours, compact
from maas_usage_check.ledger.emit import RolledBackError
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.hour_values import RETENTION, oldest_hour
from maas_usage_check.ledger.live_minutes import HeldMinutes, LiveMinutes
from maas_usage_check.ledger.model_list import REQUIRED_METRICS, ListedModel, ModelList
from maas_usage_check.ledger.models_planner import ModelsPlanner
from maas_usage_check.ledger.schema import Transaction, write_transaction
from maas_usage_check.ledger.sweep import ModelSweep
from maas_usage_check.ledger.watermarks import changed_hours
from maas_usage_check.state import Store

from .memory_ledger import DAY, HOUR, START, MemoryLedger, make_values


@pytest.mark.parametrize(
    ("age", "due", "is_usable"),
    [
        (-1, True, False),
        (0, False, True),
        (HOUR - 1, False, True),
        (HOUR, True, True),
        (3 * HOUR - 1, True, True),
        (3 * HOUR, True, False),
    ],
)
def test_age_of_the_list(age: int, due: bool, is_usable: bool) -> None:
    """A list is valid for an hour, for three if it cannot be read again, and never from the future."""
    models = ModelList(read=START)
    assert (models.is_due(START + age), models.is_usable(START + age)) == (due, is_usable)


MINUTE = 60_000
MODEL = ListedModel(Dimensions("model"), ["rpm", "total_tokens"], START - DAY, START)


@pytest.mark.parametrize(("age", "known"), [(29 * DAY - 1, 1), (29 * DAY, 0)])
def test_model_no_longer_listed(age: int, known: int) -> None:
    """It is remembered for 29 days."""
    models = ModelList(START, [MODEL])
    models.update(Listing(), START + age)
    assert len(models.models) == known


@pytest.mark.parametrize(("pause", "is_lost"), [(239 * HOUR, False), (239 * HOUR + 1, True)])
def test_pause_of_the_list(pause: int, is_lost: bool) -> None:
    """A model that was on no list had no use, but for hours that nobody could query after a pause."""
    began, at = START - 40 * DAY, START + pause
    models = ModelList(START, [MODEL])
    models.update(Listing({Dimensions("new"): sorted(REQUIRED_METRICS)}), at)
    known_from = (at if is_lost else began) - 239 * HOUR
    new, gone = models.models
    assert models.unused(new, began)[0] == (-(-known_from // HOUR) * HOUR, at // HOUR * HOUR - 239 * HOUR)
    assert models.unused(gone, began)[1] == (max(START + DAY, -(-known_from // HOUR) * HOUR), at // HOUR * HOUR)
    assert models.unused(new, 0) == []


@pytest.mark.parametrize(("behind", "queried"), [(14, 0), (15, 0), (16, 1), (240, 225), (241, 225)])
def test_gap_of_minutes(behind: int, queried: int) -> None:
    """The minutes between the held ones and the last 15 are queried, at most 4 hours back."""
    held = HeldMinutes(START - behind * MINUTE, START)
    _, *gaps = (
        task.query for task in LiveMinutes(CloudEye(), ModelList(START, [MODEL]), held, START + 5 * MINUTE).plan()
    )
    assert [query.until_ms - query.start_ms for query in gaps] == [queried * MINUTE] * bool(queried)


def test_complete_minute() -> None:
    """A minute is complete five minutes after its end; after eight more it counts as held."""
    ends, held = [], HeldMinutes()
    for more in (-1, 0):
        minutes = LiveMinutes(CloudEye(), ModelList(START, [MODEL]), None, START + 5 * MINUTE + more)
        ends += [task.query.until_ms for task in minutes.plan()]
        minutes.update(held)
    assert ends == [START - MINUTE, START]
    assert held.until == START - 8 * MINUTE


@pytest.mark.parametrize(("minutes", "queries"), [(748, 1), (749, 2)])
def test_models_of_one_query(minutes: int, queries: int) -> None:
    """Four metrics of so many minutes, and of one more, are fewer than 3,000 points; five need a query of their own."""
    found = CloudEye().data_queries([MODEL, MODEL], START, START + minutes * MINUTE, MINUTE)
    assert [len(models) for _, models in found] == [2 // queries] * queries


def test_oldest_hour() -> None:
    """The first full hour within 29 days."""
    assert [oldest_hour(START + more) + 29 * DAY for more in (-1, 0, 1)] == [START, START, START + HOUR]


@pytest.mark.parametrize(("later", "hours"), [(HOUR - 1, 1), (HOUR, 1), (HOUR + 1, 0)])
def test_change_before_the_last_cycle(ledger: MemoryLedger, later: int, hours: int) -> None:
    """Changes up to an hour before a consumer's last cycle are emitted again."""
    ledger.put(START - DAY, 5)
    ledger.now_ms += later
    emitted = [len(changed_hours(ledger.hour_store(), Consumer("a", HOURS), 0)) for _ in range(2)]
    assert emitted == [1, hours]


@pytest.mark.parametrize(("later", "left"), [(-HOUR, True), (0, False), (HOUR, False)])
def test_pending_window_of_folded_hours(ledger: MemoryLedger, later: int, left: bool) -> None:
    """It is deleted."""
    bisect.plan_windows(ledger.hour_store(), START - DAY)
    oldest = bisect.pending_windows(ledger.hour_store())[0]
    ledger.now_ms = oldest.until + RETENTION + later
    compact(ledger.transaction, "a", [OldHours(ledger.hour_store())], lambda: dt.timezone.utc)
    assert (oldest in bisect.pending_windows(ledger.hour_store())) == left


@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_history_that_begins_in_the_future(ledger: MemoryLedger, ahead: int) -> None:
    """Its beginning is set to now as soon as the clock is right."""
    ledger.now_ms += ahead
    ledger.hour_store()
    ledger.now_ms = START
    compact(ledger.transaction, "a", [], lambda: dt.timezone.utc)
    assert ledger.hour_store().began_ms == START + min(ahead, 0)


@pytest.mark.parametrize("ago", [HOUR, 3 * HOUR, 4 * HOUR, 5 * DAY])
def test_first_hour(ledger: MemoryLedger, ago: int) -> None:
    """Nothing earlier is queried, even if a longer backfill left an older window pending."""
    hour_store = ledger.hour_store()
    older = bisect.PendingWindow(START - 10 * DAY, START - 9 * DAY, START - 10 * DAY, None)
    bisect.on_answer(hour_store, older, make_values(100))
    windows = bisect.plan_windows(hour_store, START - ago)
    assert min(window.start for window in windows) == START - ago


ACCOUNT = Account("project", "key")
INSTANCE = load_instance(
    {"hourly": True, "models": True, "backfill_days": 1, "per_api_key": True, "api_keys": ["a"]}, {}, "x", START / 1000
)
"""It has one series, and one more for a label."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(lambda: str(tmp_path / "s.sqlite3"))


def end_of_cycle(now_ms: int, answered: bool = True, account: Account = ACCOUNT, commits: bool = True) -> CycleEnd:
    return CycleEnd(account, now_ms, {}, answered, [], None, lambda: commits)


def hour_stores(transaction: Transaction) -> List[HourStore]:
    found = Statistics().hour_series(INSTANCE, ACCOUNT.project_id)
    return [HourStore(transaction, series.name, series.settled_after_ms) for series in found]


def notices(store: Store) -> List[str]:
    """Run two emissions; return what each reports."""
    found = []
    for _ in range(2):
        planner, end = BisectPlanner(Statistics(), INSTANCE, store, START), end_of_cycle(START)
        emit(planner, store, Consumer("a", HOURS), end)
        found.append(" ".join(problem.text for problem in planner.details(end, True).problems))
    return found


@pytest.mark.parametrize(("known", "notice"), [(24, "24 hours of 2 series missing, about 28 requests"), (25, "")])
def test_notices_of_a_backfill(store: Store, known: int, notice: str) -> None:
    """The start and the end of a backfill of 24 hours or more are each reported once."""
    with write_transaction(store, START) as transaction:
        first, second = hour_stores(transaction)
        first.put(START - DAY, START, make_values(1))
        second.put(START - (known - 24) * HOUR, START, make_values(1))
    begun = notices(store)
    assert [" missing, " in text for text in begun] == [bool(notice), False]
    assert notice in begun[0]
    with write_transaction(store, START) as transaction:
        for hour_store in hour_stores(transaction):
            hour_store.put(START - DAY, START, make_values(1))
    assert ["backfill: complete" in text for text in notices(store)] == [bool(notice), False]


@pytest.mark.parametrize(("older", "begins"), [(0, True), (1, False), (2, False)])
def test_notice_of_the_first_run(store: Store, older: int, begins: bool) -> None:
    """It is reported once, not for each new series."""
    with write_transaction(store, START - 1) as transaction:
        for hour_store in hour_stores(transaction)[:older]:
            hour_store.begin(START - 1)
    assert ("first run" in notices(store)[0]) == begins


def emitted_tokens(planner: Planner, store: Store, end: CycleEnd) -> List[Any]:
    return [point.fields["tokens"] for point in emit(planner, store, Consumer("a", INCREMENTS), end)]


def test_increments_without_an_answer(store: Store) -> None:
    """Increments are emitted once, even without an answer; zeros only with one; nothing after a rollback."""
    with write_transaction(store, START) as transaction:
        for hour_store in hour_stores(transaction):
            hour_store.begin(START)
            hour_store.put(START, START + HOUR, make_values(5))
    planner, at = BisectPlanner(Statistics(), INSTANCE, store, START + HOUR), START + HOUR
    with pytest.raises(RolledBackError):
        emitted_tokens(planner, store, end_of_cycle(at, commits=False))
    counts = [emitted_tokens(planner, store, end_of_cycle(at, answered)) for answered in (False, False, True)]
    assert counts == [[5, 5], [], [0, 0]]


def test_increments_of_models_after_a_rollback(store: Store) -> None:
    """They are emitted once, in a later cycle."""
    listed = ListedModel(Dimensions("model"), sorted(REQUIRED_METRICS), START, START)
    source, consumer = CloudEye(), Consumer("a", INCREMENTS)
    sweep = ModelSweep(source, INSTANCE, store, ACCOUNT.project_id, START)
    with write_transaction(store, START) as transaction:
        transaction.put(sweep.scope, ModelList(START, [listed]))
        sweep.begin(transaction)
        ((_, _, hour_store),) = sweep.hour_stores(transaction, [listed])
        hour_store.put(START, START + HOUR, make_values(5))
    planner = ModelsPlanner(source, INSTANCE, store, consumer, START + HOUR)
    with pytest.raises(RolledBackError):
        emitted_tokens(planner, store, end_of_cycle(START + HOUR, commits=False))
    end = end_of_cycle(START + HOUR)
    assert [emitted_tokens(planner, store, end), emitted_tokens(planner, store, end)] == [[5], []]


def test_days_of_a_gone_model(store: Store) -> None:
    """The hours of a model that was last listed long ago become days too, in a cycle that reads no list."""
    now_ms = START + 90 * DAY
    sweep = ModelSweep(CloudEye(), INSTANCE, store, ACCOUNT.project_id, now_ms)
    gone = ListedModel(Dimensions("gone"), sorted(REQUIRED_METRICS), START - DAY, START + DAY)
    with write_transaction(store, START + DAY) as transaction:
        HourStore(transaction, sweep.series(gone).name, HOUR).put(START, START + HOUR, make_values(5))
        transaction.put(sweep.scope, ModelList(now_ms - HOUR // 2, past=[gone]))
    planner = ModelsPlanner(CloudEye(), INSTANCE, store, Consumer("a", COUNTERS), now_ms)
    planner.plan(ACCOUNT, True)
    emit(planner, store, Consumer("a", COUNTERS), end_of_cycle(now_ms))
    with store.snapshot() as snapshot:
        assert snapshot.run("SELECT hours, total_tokens FROM days").fetchall() == [(1, 5)]
        assert snapshot.run("SELECT * FROM hours").fetchall() == []


def test_account_without_a_connection(store: Store) -> None:
    """The account of the consumer's last cycle is used."""
    missing = []
    for account in (Account(), ACCOUNT, Account()):
        planner, end = BisectPlanner(Statistics(), INSTANCE, store, START), end_of_cycle(START, False, account)
        emit(planner, store, Consumer("a", HOURS), end)
        missing.append(planner.details(end, True).health.get("missing_hours"))
    assert missing == [None, 48, 48]
