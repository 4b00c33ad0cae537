"""Each limit of the history: one below it, at it, one above."""

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

from .books import DAY, HOUR, START, History, use


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
    """A list serves for an hour, for three where it cannot be read, and not at all from the future."""
    models = ModelList(read=START)
    assert (models.is_due(START + age), models.is_usable(START + age)) == (due, is_usable)


MINUTE = 60_000
MODEL = ListedModel(Dimensions("model"), ["rpm", "tpm"], START - DAY, START)


@pytest.mark.parametrize(("age", "known"), [(29 * DAY - 1, 1), (29 * DAY, 0)])
def test_model_that_is_listed_no_more(age: int, known: int) -> None:
    models = ModelList(START, [MODEL])
    models.update(Listing(), START + age)
    assert len(models.models) == known


@pytest.mark.parametrize(("behind", "asked"), [(14, 0), (15, 0), (16, 1), (240, 225), (241, 225)])
def test_gap_of_minutes(behind: int, asked: int) -> None:
    """What lies between the held minutes and the last 15 is asked, of the last 4 hours."""
    found = gap_batches(ModelList(START, [MODEL]), HeldMinutes(START - behind * MINUTE, START), START)
    assert [batch.query.until - batch.query.start for batch in found] == [asked * MINUTE] * bool(asked)


def test_when_a_minute_is_complete() -> None:
    """Five minutes after its end; eight more and it counts as held."""
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
def test_change_before_a_consumer_came(history: History, later: int, hours: int) -> None:
    """A consumer gets what changed up to an hour before it last came once more."""
    history.put(START - DAY, 5)
    history.now += later
    taken = [len(changed_hours(history.hour_store(), Consumer("a", HOURS), 0)) for _ in range(2)]
    assert taken == [1, hours]


@pytest.mark.parametrize(("until", "left"), [(-HOUR, True), (0, False), (HOUR, False)])
def test_question_about_frozen_hours(history: History, until: int, left: bool) -> None:
    bisect.plan_windows(history.hour_store(), START - DAY, history.now)
    oldest = bisect.pending_windows(history.hour_store())[0]
    compact(history.transaction, oldest.until + until)
    assert (oldest in bisect.pending_windows(history.hour_store())) == left


@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_history_that_begins_in_the_future(history: History, ahead: int) -> None:
    """It begins now, as soon as the clock is right."""
    history.now += ahead
    history.hour_store()
    history.now = START
    compact(history.transaction, START - DAY)
    assert history.hour_store().began_ms == START + min(ahead, 0)


@pytest.mark.parametrize("ago", [HOUR, 3 * HOUR, 4 * HOUR, 5 * DAY])
def test_nothing_before_the_first_hour_is_asked(history: History, ago: int) -> None:
    """Also where an older question is open, of a longer backfill."""
    hour_store, older = (
        history.hour_store(),
        bisect.PendingWindow(START - 10 * DAY, START - 9 * DAY, START - 10 * DAY, None),
    )
    bisect.on_answer(hour_store, older, use(100))
    asked = bisect.plan_windows(hour_store, START - ago, history.now)
    assert min(question.start for question in asked) == START - ago


ACCOUNT = Account("project", "key")


@pytest.fixture
def labels(tmp_path: Path) -> HourPlanner:
    """The history of one series, and of one more for a label."""
    instance = load_instance(
        {"hourly": True, "backfill_days": 1, "per_api_key": True, "api_keys": ["a"]}, {}, "x", START / 1000
    )
    return HourPlanner(instance, Store(lambda: str(tmp_path / "s.sqlite3")))


def given(history: HourPlanner, now: int, takes: str = HOURS, answered: bool = True) -> Emitted:
    return emit(history, Consumer("a", takes), ACCOUNT, now, {}, answered, lambda: True)


@pytest.mark.parametrize(("known", "words"), [(24, "24 hours of 2 series missing, about 28 requests"), (25, "")])
def test_news_of_a_backfill(labels: HourPlanner, known: int, words: str) -> None:
    """A backfill of 24 hours is told once, and its end too."""
    with write_transaction(labels.store, START) as transaction:
        hour_stores = [hour_store for _, hour_store in labels.hour_stores(transaction, ACCOUNT).values()]
        hour_stores[0].put(START - DAY, START, use(1))
        hour_stores[1].put(START - (known - 24) * HOUR, START, use(1))
    told = [" ".join(given(labels, START).notices) for _ in range(2)]
    assert [" missing, " in text for text in told] == [bool(words), False]
    assert words in told[0]
    with write_transaction(labels.store, START) as transaction:
        for _, hour_store in labels.hour_stores(transaction, ACCOUNT).values():
            hour_store.put(START - DAY, START, use(1))
    told = [" ".join(given(labels, START).notices) for _ in range(2)]
    assert ["backfill: complete" in text for text in told] == [bool(words), False]


@pytest.mark.parametrize(("older", "begins"), [(0, True), (1, False), (2, False)])
def test_news_of_a_beginning(labels: HourPlanner, older: int, begins: bool) -> None:
    """A history begins once, not with each of its series."""
    with write_transaction(labels.store, START - 1) as transaction:
        for series in list_series(labels.instance)[:older]:
            HourStore(transaction, series.series_name(labels.instance.endpoint, ACCOUNT.project_id)).begin(START - 1)
    assert any("first run" in news for news in given(labels, START).notices) == begins


def test_increments_without_an_answer(labels: HourPlanner) -> None:
    """What was counted is given out once, to who waits for it; nothing used is said only where the cloud answered."""
    with write_transaction(labels.store, START) as transaction:
        for _, hour_store in labels.hour_stores(transaction, ACCOUNT).values():
            hour_store.begin(START)
            hour_store.put(START, START + HOUR, use(5))
    with pytest.raises(RolledBackError):
        emit(labels, Consumer("a", INCREMENTS), ACCOUNT, START + HOUR, {}, True, lambda: False)
    counts = [
        [point.fields["tokens"] for point in given(labels, START + HOUR, INCREMENTS, answered).points]
        for answered in (False, False, True)
    ]
    assert counts == [[5, 5], [], [0, 0]]


def test_increments_of_models_that_nobody_waits_for(labels: HourPlanner) -> None:
    """They are given out later, and once."""
    listed = ListedModel(Dimensions("model"), sorted(REQUIRED_METRICS), START, START)
    hours = ModelHourPlanner(labels.instance, labels.store, ACCOUNT.project_id)
    with write_transaction(labels.store, START) as transaction:
        hours.begin(transaction)
        ((_, hour_store),) = hours.hour_stores(transaction, [listed])
        hour_store.put(START, START + HOUR, use(5))
    give_later = partial(
        emit_models, hours, ModelList(START, [listed]), Consumer("a", INCREMENTS), START + HOUR, {}, True
    )
    with pytest.raises(RolledBackError):
        give_later(lambda: False)
    assert [[point.fields["tokens"] for point in give_later(lambda: True)] for _ in range(2)] == [[5], [0]]


def test_account_of_a_cycle_without_a_connection(labels: HourPlanner) -> None:
    """It is the one of the consumer's last cycle."""
    missing = [
        emit(labels, Consumer("a", HOURS), account, START, {}, False, lambda: True).missing_hours
        for account in (Account(), ACCOUNT, Account())
    ]
    assert missing == [None, 48, 48]
