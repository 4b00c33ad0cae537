"""Each limit of the ledger: one below it, at it, one above it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from maas_usage_check.cloud.cloud_eye import Dimensions, Listing
from maas_usage_check.config import load_instance
from maas_usage_check.ledger import (
    HOURS,
    INCREMENTS,
    Account,
    Consumer,
    Emitted,
    HourPlanner,
    bisect,
    emit,
    list_series,
)
from maas_usage_check.ledger.counters import compact
from maas_usage_check.ledger.emit import RolledBackError
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.hour_values import oldest_hour
from maas_usage_check.ledger.models import HeldMinutes, ModelHourPlanner, ModelList, emit_models
from maas_usage_check.ledger.models.minute_queries import complete_until, gap_batches
from maas_usage_check.ledger.models.model_list import REQUIRED_METRICS, ListedModel
from maas_usage_check.ledger.models.model_series import pack_batches
from maas_usage_check.ledger.schema import write_transaction
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
MODEL = ListedModel(Dimensions("model"), ["rpm", "tpm"], START - DAY, START)


@pytest.mark.parametrize(("age", "known"), [(29 * DAY - 1, 1), (29 * DAY, 0)])
def test_model_no_longer_listed(age: int, known: int) -> None:
    """It is remembered for 29 days."""
    models = ModelList(START, [MODEL])
    models.update(Listing(), START + age)
    assert len(models.models) == known


@pytest.mark.parametrize(("behind", "queried"), [(14, 0), (15, 0), (16, 1), (240, 225), (241, 225)])
def test_gap_of_minutes(behind: int, queried: int) -> None:
    """The minutes between the held ones and the last 15 are queried, at most 4 hours back."""
    found = gap_batches(ModelList(START, [MODEL]), HeldMinutes(START - behind * MINUTE, START), START)
    assert [batch.query.until_ms - batch.query.start_ms for batch in found] == [queried * MINUTE] * bool(queried)


def test_complete_minute() -> None:
    """A minute is complete five minutes after its end; after eight more it counts as held."""
    assert [complete_until(START + 5 * MINUTE + more) for more in (-1, 0)] == [START - MINUTE, START]
    held = HeldMinutes()
    held.update(START, ModelList(), {})
    assert held.until == START - 8 * MINUTE


@pytest.mark.parametrize(("most", "batches"), [(3, 2), (4, 1), (5, 1)])
def test_models_of_one_query(most: int, batches: int) -> None:
    assert len(list(pack_batches([MODEL, MODEL], most))) == batches


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


@pytest.mark.parametrize(("until", "left"), [(-HOUR, True), (0, False), (HOUR, False)])
def test_pending_window_of_compacted_hours(ledger: MemoryLedger, until: int, left: bool) -> None:
    """It is deleted."""
    bisect.plan_windows(ledger.hour_store(), START - DAY, ledger.now_ms)
    oldest = bisect.pending_windows(ledger.hour_store())[0]
    compact(ledger.transaction, oldest.until + until)
    assert (oldest in bisect.pending_windows(ledger.hour_store())) == left


@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_history_that_begins_in_the_future(ledger: MemoryLedger, ahead: int) -> None:
    """Its beginning is set to now as soon as the clock is right."""
    ledger.now_ms += ahead
    ledger.hour_store()
    ledger.now_ms = START
    compact(ledger.transaction, START - DAY)
    assert ledger.hour_store().began_ms == START + min(ahead, 0)


@pytest.mark.parametrize("ago", [HOUR, 3 * HOUR, 4 * HOUR, 5 * DAY])
def test_first_hour(ledger: MemoryLedger, ago: int) -> None:
    """Nothing earlier is queried, even if a longer backfill left an older window pending."""
    hour_store = ledger.hour_store()
    older = bisect.PendingWindow(START - 10 * DAY, START - 9 * DAY, START - 10 * DAY, None)
    bisect.on_answer(hour_store, older, make_values(100))
    windows = bisect.plan_windows(hour_store, START - ago, ledger.now_ms)
    assert min(window.start for window in windows) == START - ago


ACCOUNT = Account("project", "key")


@pytest.fixture
def planner(tmp_path: Path) -> HourPlanner:
    """Make the planner of an instance with one series, and one more for a label."""
    instance = load_instance(
        {"hourly": True, "backfill_days": 1, "per_api_key": True, "api_keys": ["a"]}, {}, "x", START / 1000
    )
    return HourPlanner(instance, Store(lambda: str(tmp_path / "s.sqlite3")))


def emit_to(planner: HourPlanner, now_ms: int, kind: str = HOURS, answered: bool = True) -> Emitted:
    return emit(planner, Consumer("a", kind), ACCOUNT, now_ms, {}, answered, lambda: True)


@pytest.mark.parametrize(("known", "notice"), [(24, "24 hours of 2 series missing, about 28 requests"), (25, "")])
def test_notices_of_a_backfill(planner: HourPlanner, known: int, notice: str) -> None:
    """The start and the end of a backfill of 24 hours or more are each reported once."""
    with write_transaction(planner.store, START) as transaction:
        hour_stores = [hour_store for _, hour_store in planner.hour_stores(transaction, ACCOUNT).values()]
        hour_stores[0].put(START - DAY, START, make_values(1))
        hour_stores[1].put(START - (known - 24) * HOUR, START, make_values(1))
    notices = [" ".join(emit_to(planner, START).notices) for _ in range(2)]
    assert [" missing, " in text for text in notices] == [bool(notice), False]
    assert notice in notices[0]
    with write_transaction(planner.store, START) as transaction:
        for _, hour_store in planner.hour_stores(transaction, ACCOUNT).values():
            hour_store.put(START - DAY, START, make_values(1))
    notices = [" ".join(emit_to(planner, START).notices) for _ in range(2)]
    assert ["backfill: complete" in text for text in notices] == [bool(notice), False]


@pytest.mark.parametrize(("older", "begins"), [(0, True), (1, False), (2, False)])
def test_notice_of_the_first_run(planner: HourPlanner, older: int, begins: bool) -> None:
    """It is reported once, not for each new series."""
    with write_transaction(planner.store, START - 1) as transaction:
        for series in list_series(planner.instance)[:older]:
            HourStore(transaction, series.series_name(planner.instance.endpoint, ACCOUNT.project_id)).begin(START - 1)
    assert any("first run" in notice for notice in emit_to(planner, START).notices) == begins


def test_increments_without_an_answer(planner: HourPlanner) -> None:
    """Increments are emitted once, even without an answer; zeros only with one; nothing after a rollback."""
    with write_transaction(planner.store, START) as transaction:
        for _, hour_store in planner.hour_stores(transaction, ACCOUNT).values():
            hour_store.begin(START)
            hour_store.put(START, START + HOUR, make_values(5))
    with pytest.raises(RolledBackError):
        emit(planner, Consumer("a", INCREMENTS), ACCOUNT, START + HOUR, {}, True, lambda: False)
    counts = [
        [point.fields["tokens"] for point in emit_to(planner, START + HOUR, INCREMENTS, answered).points]
        for answered in (False, False, True)
    ]
    assert counts == [[5, 5], [], [0, 0]]


def test_increments_of_models_after_a_rollback(planner: HourPlanner) -> None:
    """They are emitted once, in a later cycle."""
    listed = ListedModel(Dimensions("model"), sorted(REQUIRED_METRICS), START, START)
    model_planner = ModelHourPlanner(planner.instance, planner.store, ACCOUNT.project_id)
    with write_transaction(planner.store, START) as transaction:
        model_planner.begin(transaction)
        ((_, hour_store),) = model_planner.hour_stores(transaction, [listed])
        hour_store.put(START, START + HOUR, make_values(5))
    emit_later = partial(
        emit_models, model_planner, ModelList(START, [listed]), Consumer("a", INCREMENTS), START + HOUR, {}, True
    )
    with pytest.raises(RolledBackError):
        emit_later(lambda: False)
    assert [[point.fields["tokens"] for point in emit_later(lambda: True)] for _ in range(2)] == [[5], [0]]


def test_account_without_a_connection(planner: HourPlanner) -> None:
    """The account of the consumer's last cycle is used."""
    missing = [
        emit(planner, Consumer("a", HOURS), account, START, {}, False, lambda: True).missing_hours
        for account in (Account(), ACCOUNT, Account())
    ]
    assert missing == [None, 48, 48]
