"""The models' share of cycles, over real HTTP against the emulator's Cloud Eye, whose clock is moved."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

import pytest
from werkzeug import Request, Response

from maas_usage_check.access import Credentials, Gates
from maas_usage_check.cycle import Batch
from maas_usage_check.errors import Result
from maas_usage_check.history import COUNTERS, HOURS, INCREMENTS, Consumer
from maas_usage_check.history.giving import TooLateError
from maas_usage_check.history.models import ModelHours, ModelList, give_models
from maas_usage_check.metrics import (
    CONSUMED,
    HOURLY,
    MODEL,
    MODEL_CONSUMED,
    MODEL_COST_CONSUMED,
    MODEL_COST_HOURLY,
    MODEL_HOURLY,
    MODEL_KEY,
    MODEL_KEY_CONSUMED,
    MODEL_KEY_HOURLY,
    USAGE,
    Point,
)
from maas_usage_check.standin.emulator import PROJECT_ID
from maas_usage_check.standin.ledger import Ledger
from maas_usage_check.standin.models import Models
from maas_usage_check.store import Store

from ..conftest import AK, NOW, SK, Cloud, Program, wait_for
from .account import Account, Make, health, points

MINUTE, HOUR = 60_000, 3_600_000
DAY = 24 * HOUR
FILLS = 8 * MINUTE
"""How much later late points may have filled in; after a gap they are asked again."""
HOUR_FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
COUNT_FIELDS = ("tokens", *HOUR_FIELDS[1:])
Series = Tuple[str, Optional[str]]
"""A model, and a key of it or None for all."""


class ModelAccount(Account):
    """Hold the oracle of models too."""

    def __init__(self, cloud: Cloud, make: Make, folder: Path) -> None:
        super().__init__(cloud, make, folder)
        self.keys = {"models": True, "ranges": ["last_7d"]}
        self.use(Models())

    def use(self, models: Models) -> None:
        self.cloud.emulator.models = self.models = models

    @property
    def now(self) -> int:
        return int(self.clock.now() * 1000)

    @property
    def series(self) -> List[Series]:
        return [(model, key) for model in self.models.ids() for key in (None, *self.models.keys_of(model))]

    def calls(self, path: str) -> List[Any]:
        return [json.loads(each.get_data() or b"{}") for each in self.cloud.seen if each.path.endswith(path)]

    def minutes(self, start: int, until: int) -> Dict[Tuple[Series, int], Dict[str, float]]:
        """What the cloud knows now of the minutes of a stretch."""
        return {
            (series, at): dict(written(found))
            for series in self.series
            for at, found in self.models.known(*series, start, until, self.now)
        }


def written(minute: Any) -> Iterator[Tuple[str, float]]:
    """Write a minute in the catalogue's units."""
    yield "requests_per_minute", minute.requests
    yield "tokens_per_minute", minute.total_tokens
    for name in ("prompt_tokens", "completion_tokens", "total_tokens", "errors_4xx", "errors_5xx"):
        yield name, getattr(minute, name)
    milliseconds = {
        "latency_seconds": minute.latency_ms,
        "time_to_first_token_seconds": minute.ttft_ms,
        "time_per_output_token_seconds": minute.tpot_ms,
    }
    yield from ((name, value / 1000) for name, value in milliseconds.items() if value is not None)
    yield "error_ratio", (minute.errors_4xx + minute.errors_5xx) / minute.requests


@pytest.fixture
def account(cloud: Cloud, make_collector: Make, tmp_path: Path) -> ModelAccount:
    return ModelAccount(cloud, make_collector, tmp_path)


def series_of(point: Point) -> Series:
    return point.tags["maas_api_id"], point.tags.get("maas_key_id")


def shown(batch: Batch) -> Dict[Tuple[Series, int], Dict[str, float]]:
    return {
        (series_of(point), point.time // 1_000_000): dict(point.fields)
        for name in (MODEL, MODEL_KEY)
        for point in points(batch, name)
    }


def hours(batch: Batch) -> Dict[Tuple[Series, int], Tuple[int, ...]]:
    return {
        (series_of(point), point.time // 1_000_000): tuple(int(point.fields[name]) for name in HOUR_FIELDS)
        for name in (MODEL_HOURLY, MODEL_KEY_HOURLY)
        for point in points(batch, name)
    }


def counts(batch: Batch) -> Dict[Series, Tuple[int, ...]]:
    return {
        series_of(point): tuple(int(point.fields[name]) for name in COUNT_FIELDS)
        for name in (MODEL_CONSUMED, MODEL_KEY_CONSUMED)
        for point in points(batch, name)
    }


def agree(shown: Dict[Any, Dict[str, float]], truth: Dict[Any, Dict[str, float]]) -> None:
    assert shown.keys() == truth.keys()
    for at, fields in truth.items():
        assert shown[at] == pytest.approx(fields, rel=1e-9)


def edge(account: ModelAccount) -> int:
    """Where the newest complete minute ends."""
    return (account.now - 5 * MINUTE) // MINUTE * MINUTE


def warnings(batch: Batch) -> List[str]:
    return [problem.text for problem in batch.problems if problem.level == "W"]


def test_the_last_complete_minutes_come_at_their_own_time_in_base_units(account: ModelAccount) -> None:
    account.sleep(37)
    batch = account.collector().cycle()
    agree(shown(batch), account.minutes(edge(account) - 15 * MINUTE, edge(account)))
    assert all("maas_key_id" in point.tags for point in points(batch, MODEL_KEY))
    assert not any("maas_key_id" in point.tags or "service_type" in point.tags for point in points(batch, MODEL))
    assert (health(batch)["up"], health(batch)["result_code"]) == (1, 0)


def test_in_the_steady_state_only_the_minutes_are_asked_and_the_list_once_an_hour(account: ModelAccount) -> None:
    for _ in range(12):
        account.collector().cycle()
        account.sleep(299)
    assert len(account.calls("/metrics")) == 2  # a page, and the empty one that ends it
    assert len(account.calls("/batch-query-metric-data")) == 12
    account.sleep(60)
    account.collector().cycle()
    assert len(account.calls("/metrics")) == 4


LOOP = {"metrics": [{"metric_name": "x", "dimensions": []}], "meta_data": {"marker": "again"}}


@pytest.mark.parametrize("answer", [Response(b"{}", 500), Response(b"[]"), Response(json.dumps(LOOP))])
def test_while_the_list_cannot_be_read_the_old_one_serves_for_three_hours(
    account: ModelAccount, answer: Response
) -> None:
    account.keys.update(hourly=True, backfill_days=1)
    account.collector().cycle()
    account.cloud.always = lambda request: answer if request.path.endswith("/metrics") else None
    for hours_later in (1, 2):
        account.sleep(3600)
        batch = account.collector().cycle()
        last = account.minutes(edge(account) - 15 * MINUTE, edge(account))
        assert last.keys() <= shown(batch).keys(), hours_later
        assert health(batch)["failed_queries"] == 1
        assert "some values of models are missing" in " ".join(warnings(batch))
        assert hours(batch)
    since = edge(account) - FILLS
    account.sleep(3600)
    assert not shown(account.collector().cycle())
    account.cloud.always = None
    batch = account.collector().cycle()
    agree(shown(batch), account.minutes(since, edge(account)))


def test_a_list_that_does_not_come_in_time_is_replaced_by_the_old_one_too(account: ModelAccount) -> None:
    account.keys.update(timeout=0.5)
    account.collector().cycle()
    account.sleep(3600)
    release = account.cloud.hold(lambda request: request.path.endswith("/metrics"))
    batch = account.collector().cycle()
    release.set()
    assert account.minutes(edge(account) - 15 * MINUTE, edge(account)).keys() <= shown(batch).keys()
    assert health(batch)["failed_queries"] == 1


def test_a_cloud_eye_that_hangs_does_not_keep_the_hours_of_the_statistics_from_being_asked(
    account: ModelAccount,
) -> None:
    def hang(request: Request) -> None:
        if request.path.endswith("/batch-query-metric-data"):
            wait_for(lambda: len(account.cloud.statistics()) > 5, "the hours", 5)

    account.cloud.always = hang
    batch = account.collector(hourly=True, backfill_days=1).cycle()
    assert shown(batch)
    assert points(batch, HOURLY)


def test_where_the_key_may_not_list_any_more_the_old_list_is_not_asked_about(account: ModelAccount) -> None:
    account.collector().cycle()
    account.sleep(3600)
    account.cloud.always = lambda request: Response(b"{}", 403) if request.path.endswith("/metrics") else None
    before = len(account.calls("/batch-query-metric-data"))
    batch = account.collector().cycle()
    assert health(batch)["failed_queries"] == 1
    assert "ces:metrics:list" in " ".join(warnings(batch))
    assert len(account.calls("/batch-query-metric-data")) == before


def test_late_points_fill_in(account: ModelAccount) -> None:
    account.use(Models(late=True))
    began, held = edge(account) - 15 * MINUTE, {}
    for _ in range(8):
        held.update(shown(account.collector().cycle()))
        account.sleep(300)
    until = edge(account) - 20 * MINUTE
    agree({key: fields for key, fields in held.items() if key[1] < until}, account.minutes(began, until))


@pytest.mark.parametrize("away", [16, 50, 200, 500])
def test_a_gap_is_filled_as_far_as_the_cloud_tells_minutes(account: ModelAccount, away: int) -> None:
    account.collector().cycle()
    since = edge(account) - FILLS
    account.sleep(away * 60)
    batch = account.collector().cycle()
    start = min(max(since, edge(account) - 240 * MINUTE), edge(account) - 15 * MINUTE)
    agree(shown(batch), account.minutes(start, edge(account)))


def test_a_gap_that_finds_no_room_is_filled_in_later_cycles_and_the_present_goes_first(account: ModelAccount) -> None:
    account.use(Models(models=8, keys=4))
    account.collector().cycle()
    since, held = edge(account) - FILLS, {}
    account.sleep(150 * 60)
    for number in range(12):
        batch = account.collector(max_requests_per_minute=12).cycle()
        held.update(shown(batch))
        if not number:
            first = account.minutes(edge(account) - 15 * MINUTE, edge(account))
            assert first.keys() <= held.keys()
            assert held.keys() < account.minutes(since, edge(account)).keys()
        account.sleep(300)
    account.sleep(-300)
    agree(held, account.minutes(since, edge(account)))


def test_every_minute_of_a_model_that_appears_comes_though_the_list_is_an_hour_old(account: ModelAccount) -> None:
    new = account.models.ids()[1]
    account.use(Models(appears={new: account.now + 20 * MINUTE}))
    began, held = edge(account), {}
    for _ in range(20):
        held.update(shown(account.collector().cycle()))
        account.sleep(300)
    account.sleep(-300)
    own = {key: fields for key, fields in held.items() if key[0][0] == new}
    assert own
    agree(own, {key: fields for key, fields in account.minutes(began, edge(account)).items() if key[0][0] == new})


def test_a_model_that_falls_silent_gives_no_points_and_every_minute_once_it_is_back(account: ModelAccount) -> None:
    silent = range(account.now + 10 * MINUTE, account.now + 250 * MINUTE)
    account.use(Models(busy=lambda model, start: start not in silent or model != account.models.ids()[0]))
    began, held = edge(account) - 15 * MINUTE, {}
    for _ in range(75):
        held.update(shown(account.collector().cycle()))
        account.sleep(300)
    account.sleep(-300)
    agree(held, account.minutes(began, edge(account)))


@pytest.mark.parametrize("takes", [COUNTERS, INCREMENTS])
def test_where_no_time_is_carried_the_newest_complete_minute_comes_alone(account: ModelAccount, takes: str) -> None:
    batch = account.collector(takes).cycle()
    newest: Dict[Series, Tuple[int, Dict[str, float]]] = {}
    for (series, at), fields in account.minutes(account.now - 16 * MINUTE, edge(account)).items():
        newest[series] = max(newest.get(series, (0, {})), (at, fields), key=lambda minute: minute[0])
    agree(shown(batch), {(series, at): fields for series, (at, fields) in newest.items()})


def test_a_minute_that_ended_over_15_minutes_ago_is_never_shown_as_now(account: ModelAccount) -> None:
    last = account.now - 5 * MINUTE
    account.use(Models(busy=lambda model, start: start < last))
    shown_at = []
    for minute in range(25):
        if points(account.collector(COUNTERS).cycle(), MODEL):
            shown_at.append(minute)
        account.sleep(60)
    assert shown_at == list(range(11))


@pytest.mark.parametrize("key", ["instances[0].models", "somewhere"])
def test_names_come_from_the_configuration_else_the_id_is_the_name(account: ModelAccount, key: str) -> None:
    named, other, *_ = account.models.ids()
    batch = account.collector(model_names={named: key}).cycle()
    names = {point.tags["maas_api_id"]: point.tags["model"] for point in points(batch, MODEL)}
    assert (names[named], names[other]) == (key, other)
    assert all(point.tags["api_key"] == point.tags["maas_key_id"] for point in points(batch, MODEL_KEY))


def test_hours_of_models_come_at_their_own_time_with_the_clouds_numbers(account: ModelAccount) -> None:
    account.sleep(1000)
    batch = account.collector(hourly=True, backfill_days=3).cycle()
    until = account.now // HOUR * HOUR
    starts = range((account.now // HOUR * HOUR) - 3 * DAY, until, HOUR)
    truth = {
        (series, at): tuple(account.models.hour(*series, at, account.now)) for series in account.series for at in starts
    }
    assert hours(batch) == truth
    settled = {point.time // 1_000_000: point.fields["settled"] for point in points(batch, MODEL_HOURLY)}
    assert {at for at, whether in settled.items() if not whether} == {until - HOUR}


def test_no_more_than_ten_days_are_asked_however_far_back_hours_begin(account: ModelAccount) -> None:
    account.cloud.emulator.ledger = Ledger(busy=lambda start: False)
    batch = account.collector(hourly=True).cycle()
    until = account.now // HOUR * HOUR
    assert {at for _, at in hours(batch)} == set(range(until - 239 * HOUR, until, HOUR))
    assert all(body["to"] - body["from"] < 10 * DAY for body in account.calls("/batch-query-metric-data"))


@pytest.mark.parametrize(("ago", "within"), [(2, 0), (20, 3600), (100, 86_400)])
@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0])
def test_a_restated_hour_comes_again(account: ModelAccount, ago: int, within: int, factor: float) -> None:
    account.cloud.emulator.ledger = Ledger(busy=lambda start: False)
    account.keys.update(hourly=True)
    account.collector().cycle()
    series, at = account.series[1], account.now // HOUR * HOUR - ago * HOUR
    account.models.restate(*series, at, factor, account.now + 1)
    held: Dict[Any, Any] = {}
    for _ in range(2):
        account.sleep(300)
        held.update(hours(account.collector().cycle()))
        account.sleep(within)
    assert held[series, at] == tuple(account.models.hour(*series, at, account.now))


def test_what_is_listed_no_more_may_be_refused_without_harm_to_what_is(account: ModelAccount) -> None:
    gone, silent = account.models.ids()[0], account.now + 10 * MINUTE
    account.use(Models(busy=lambda model, start: model != gone or start < silent))
    account.keys.update(hourly=True, backfill_days=1)
    account.collector().cycle()
    account.sleep(4 * 3600)

    def refuse(request: Request) -> Optional[Response]:
        if gone.encode() not in request.get_data():
            return None
        return Response(
            json.dumps({"http_code": 400, "message": {"code": "ces.0014", "details": "no such metric"}}), 400
        )

    account.cloud.always = refuse
    series, at = (account.models.ids()[1], None), account.now // HOUR * HOUR - 20 * HOUR
    account.models.restate(*series, at, 2.0, account.now)
    batch = account.collector().cycle()
    assert (health(batch)["result_code"], warnings(batch)) == (Result.OK, [])
    assert hours(batch)[series, at] == tuple(account.models.hour(*series, at, account.now))
    before = len(account.calls("/batch-query-metric-data"))
    account.sleep(300)
    account.collector().cycle()
    assert not any(gone in str(body) for body in account.calls("/batch-query-metric-data")[before:])


def test_a_clock_that_was_ahead_when_the_history_began_keeps_no_hour_back(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=1)
    account.sleep(10 * 86_400)
    account.collector().cycle()
    account.sleep(-10 * 86_400)
    until = account.now // HOUR * HOUR
    starts = {at for _, at in hours(account.collector().cycle())}
    assert starts >= set(range(until - DAY, until, HOUR))


def test_of_a_model_without_one_of_its_counts_no_hour_is_said(account: ModelAccount) -> None:
    lacking = account.models.ids()[0]

    def instead(request: Request) -> Optional[Response]:
        if not request.path.endswith("/metrics"):
            return None
        reply = account.cloud.emulator.answer("GET", request.full_path, dict(request.headers), b"")
        page = json.loads(reply.body)
        page["metrics"] = [
            each for each in page["metrics"] if each["metric_name"] != "rpm" or lacking not in str(each["dimensions"])
        ]
        return Response(json.dumps(page), 200)

    account.cloud.always = instead
    batch = account.collector(hourly=True, backfill_days=1).cycle()
    assert any(series[0] == lacking for series, _ in shown(batch))
    assert {series[0] for series, _ in hours(batch)} == set(account.models.ids()[1:])


def test_what_of_models_is_given_out_too_late_is_as_if_it_had_not_been(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=0)
    collector = account.collector(INCREMENTS)
    collector.cycle()
    account.sleep(6 * 3600)
    account.collector(HOURS, "other").cycle()
    store = Store(lambda: str(account.path))
    with store.entry(ModelList, f"{account.cloud.url} {PROJECT_ID}") as models:
        give = partial(
            give_models, ModelHours(collector.instance, store, PROJECT_ID), models, Consumer("one", INCREMENTS),
            account.now, {}, True,
        )  # fmt: skip
    with pytest.raises(TooLateError):
        give(lambda: False)
    late, again = (sum(point.fields["tokens"] for point in give(lambda: True)) for _ in range(2))
    assert late > 0
    assert again == 0


def whole(account: ModelAccount, series: Series, since: int, until: int) -> Tuple[int, ...]:
    each = [account.models.hour(*series, at, account.now) for at in range(since, until, HOUR)]
    return tuple(map(sum, zip(*each))) if each else (0,) * 5


def test_counters_begin_at_0_and_hold_every_hour_once(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=0)
    account.sleep(1500)
    began = account.now // HOUR * HOUR
    first = counts(account.collector(COUNTERS).cycle())
    assert set(first) == set(account.series)
    assert set(first.values()) == {(0,) * 5}
    for _ in range(5):
        account.sleep(3600)
        batch = account.collector(COUNTERS).cycle()
    until = account.now // HOUR * HOUR
    assert counts(batch) == {series: whole(account, series, began, until) for series in account.series}


@pytest.mark.parametrize("takes", [COUNTERS, INCREMENTS])
def test_a_model_that_appears_is_counted_from_its_first_token_on_by_everyone_who_was_there(
    account: ModelAccount, takes: str
) -> None:
    new = account.models.ids()[2]
    account.use(Models(appears={new: account.now + 10 * MINUTE}))
    account.keys.update(hourly=True, backfill_days=0)
    account.sleep(600)
    began, added = account.now // HOUR * HOUR, defaultdict(lambda: (0,) * 5)
    seen: List[Tuple[int, ...]] = []
    for _ in range(12):
        account.collector(INCREMENTS, "somebody else").cycle()  # finds the model, and its hours, first
        account.sleep(60)
        for series, count in counts(account.collector(takes).cycle()).items():
            if series == (new, None):
                seen.append(count)
            added[series] = tuple(map(sum, zip(added[series], count))) if takes == INCREMENTS else count
        account.sleep(1740)
    account.sleep(-1740)
    truth = whole(account, (new, None), began, account.now // HOUR * HOUR)
    assert truth[0] > 0
    assert added[new, None] == truth
    assert takes == INCREMENTS or seen[0] == (0,) * 5


@pytest.mark.parametrize(
    "visits", [{41: "another"}, dict.fromkeys(range(10, 83, 9), "one")], ids=["the agent", "the model"]
)
@pytest.mark.parametrize("takes", [COUNTERS, INCREMENTS])
def test_nothing_is_counted_twice_after_months_in_which_the_agent_or_the_model_was_silent(
    account: ModelAccount, takes: str, visits: Dict[int, str]
) -> None:
    began = account.now // HOUR * HOUR
    account.cloud.emulator.ledger = Ledger(busy=lambda start: False)
    account.use(Models(1, 0, busy=lambda model, start: not began + 3 * HOUR <= start < began + 82 * DAY))
    account.keys.update(hourly=True, backfill_days=0)
    given = []
    for hours, name in [
        (0, "one"),
        (4, "one"),
        *((day * 24, name) for day, name in visits.items()),
        (82 * 24 + 3, "one"),
    ]:
        account.seconds = hours * 3600.0
        batch = account.collector(takes, name).cycle()
        given += [count[0] for count in counts(batch).values() if name == "one"]
    assert given[1] > 0
    again = sum(given[2:]) if takes == INCREMENTS else given[-1] - given[1]
    assert 0 < again == whole(account, account.series[0], began + 82 * DAY, account.now // HOUR * HOUR)[0]


def test_counters_come_out_though_the_cycle_failed_and_nothing_of_the_present_does(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=0)
    account.collector(COUNTERS).cycle()
    account.sleep(2 * 3600)
    before = counts(account.collector(COUNTERS).cycle())
    account.cloud.always = lambda request: Response(b"", 500)
    account.sleep(300)
    batch = account.collector(COUNTERS).cycle()
    assert not batch.collected
    assert counts(batch) == before
    assert any(count[0] for count in before.values())
    assert not points(batch, MODEL)


@pytest.mark.parametrize(
    ("refused", "zeros"),
    [
        ("modelarts:monitoring:get", {MODEL_CONSUMED, MODEL_KEY_CONSUMED, MODEL_COST_CONSUMED}),
        ("ces:metricData:list", {CONSUMED}),
    ],
)
def test_an_agent_gets_no_zero_of_the_api_that_did_not_answer_though_the_other_did(
    account: ModelAccount, refused: str, zeros: Set[str]
) -> None:
    prices = {"currency": "CNY", "models": {account.models.ids()[0]: PRICE}}
    account.keys.update(hourly=True, backfill_days=0, prices=prices)
    account.collector(INCREMENTS).cycle()
    account.cloud.emulator.refused = {refused}
    account.sleep(300)
    batch = account.collector(INCREMENTS).cycle()
    counts = {CONSUMED, MODEL_CONSUMED, MODEL_KEY_CONSUMED, MODEL_COST_CONSUMED}
    assert counts & {point.measurement for point in batch.points} == zeros


@pytest.mark.parametrize("takes", [HOURS, COUNTERS, INCREMENTS])
def test_a_cycle_that_cannot_even_ask_repeats_no_minute_and_no_failure_of_the_one_before(
    account: ModelAccount, takes: str
) -> None:
    keys = [Credentials(AK, SK)]
    gates = Gates(Store(), account.clock)
    entry, consumer = account.cloud.entry(**account.keys), Consumer("one", takes)
    collector = account.make(entry, clock=account.clock, gates=gates, consumer=consumer, provider=lambda: keys[0])
    account.cloud.emulator.refused = {"ces:metricData:list"}
    assert any("Cloud Eye" in text for text in warnings(collector.cycle())[1:])
    for lost in (False, True):
        account.cloud.emulator.refused = set() if not lost else {"ces:metricData:list"}
        account.sleep(300)
        batch = collector.cycle()
        assert bool(points(batch, MODEL)) == (not lost)
        key = keys.pop()
        account.sleep(60)
        batch = collector.cycle()
        assert not batch.collected
        assert not points(batch, MODEL)
        assert not any("Cloud Eye" in problem.text for problem in batch.problems)
        keys.append(key)


PRICE = {"prompt": 2.0, "completion": 8.25}


def cost(tokens: Sequence[int]) -> Decimal:
    return (Decimal("2.0") * tokens[1] + Decimal("8.25") * tokens[2]) / 1_000_000


def test_an_hour_has_a_cost_where_its_model_has_a_price(account: ModelAccount) -> None:
    priced, named, *_ = account.models.ids()
    prices = {"currency": "CNY", "models": {priced: PRICE, "chat": PRICE}}
    account.keys.update(hourly=True, backfill_days=2, model_names={named: "chat"})
    batch = account.collector(prices=prices).cycle()
    costs = points(batch, MODEL_COST_HOURLY)
    assert {point.tags["maas_api_id"] for point in costs} == {priced, named}
    assert {point.tags["currency"] for point in costs} == {"CNY"}
    for point in costs:
        hour = account.models.hour(*series_of(point), point.time // 1_000_000, account.now)
        assert point.fields == {"cost": float(cost(hour))}
    assert not warnings(batch)[1:]  # the first names what the list holds beyond the catalogue


def test_a_price_that_is_added_later_brings_a_cost_for_the_hours_of_the_past(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=2)
    account.collector().cycle()
    account.sleep(3 * 3600)
    account.collector().cycle()
    account.sleep(300)
    prices = {"currency": "CNY", "models": {account.models.ids()[0]: PRICE}}
    costs = points(account.collector(prices=prices).cycle(), MODEL_COST_HOURLY)
    assert len(costs) == 2 * 24 + 3


@pytest.mark.parametrize("takes", [COUNTERS, INCREMENTS])
def test_cost_is_priced_when_it_is_counted(account: ModelAccount, takes: str) -> None:
    model = account.models.ids()[0]
    account.keys.update(hourly=True, backfill_days=0)
    account.sleep(1200)
    total, truth = Decimal(0), Decimal(0)
    for number, price in enumerate([2.0, 2.0, 5.0, 5.0]):
        prices = {"currency": "CNY", "models": {model: {"prompt": price, "completion": 0}}}
        batch = account.collector(takes, prices=prices).cycle()
        (given,) = (point.fields["cost"] for point in points(batch, MODEL_COST_CONSUMED))
        total = Decimal(repr(given)) + (total if takes == INCREMENTS else 0)
        if number:
            until = account.now // HOUR * HOUR
            tokens = whole(account, (model, None), until - HOUR, until)
            truth += Decimal(repr(price)) * tokens[1] / 1_000_000
        account.sleep(3600)
    assert truth
    assert total == pytest.approx(truth, abs=Decimal("1e-9"))


def test_what_was_counted_without_a_price_costs_nothing_once_there_is_one_again(account: ModelAccount) -> None:
    account.sleep(1200)
    account.keys.update(hourly=True, backfill_days=0)
    prices = {"currency": "CNY", "models": {account.models.ids()[0]: PRICE}}
    given = []
    for priced in (False, True, True, False, False, True, True):
        batch = account.collector(COUNTERS, **({"prices": prices} if priced else {})).cycle()
        given += [point.fields["cost"] for point in points(batch, MODEL_COST_CONSUMED)]
        account.sleep(3600)
    until = account.now // HOUR * HOUR
    truth = [
        float(cost(account.models.hour(account.models.ids()[0], None, until - ago * HOUR, account.now)))
        for ago in (6, 3, 2)
    ]
    assert given == pytest.approx([0.0, truth[0], sum(truth[:2]), sum(truth)])


def test_a_price_for_a_model_that_nobody_knows_is_warned_of(account: ModelAccount) -> None:
    prices = {"currency": "CNY", "models": {"glm": PRICE}}
    texts = warnings(account.collector(hourly=True, backfill_days=0, prices=prices).cycle())
    assert any("prices.models: Cloud Eye names no model glm" in text for text in texts)


def test_ids_that_have_no_place_are_said_once(account: ModelAccount) -> None:
    first = [text for text in warnings(account.collector().cycle()) if "left out" in text]
    assert len(first) == 1
    assert "req_count, total_tokens by maas_service_name, ttft_p99" in first[0]
    for _ in range(3):
        account.sleep(3700)
        assert not warnings(account.collector().cycle())


@pytest.mark.parametrize("permission", ["ces:metrics:list", "ces:metricData:list"])
def test_without_the_permission_ranges_and_hours_go_on_and_the_line_names_it(
    account: ModelAccount, permission: str
) -> None:
    account.cloud.emulator.refused = {permission}
    batch = account.collector(hourly=True, backfill_days=1).cycle()
    assert points(batch, USAGE)
    assert len(points(batch, HOURLY)) > 20
    assert not points(batch, MODEL)
    assert health(batch)["result_code"] == Result.PARTIAL
    assert any(f"`{permission}`" in text for text in warnings(batch))


@pytest.mark.parametrize("part", ["/metrics", "/batch-query-metric-data"])
def test_an_answer_longer_than_those_of_other_apis_is_read(account: ModelAccount, part: str) -> None:
    def padded(request: Request) -> Optional[Response]:
        if not request.path.endswith(part):
            return None
        target, headers = request.full_path.rstrip("?"), dict(request.headers)
        reply = account.cloud.emulator.answer(request.method, target, headers, request.get_data())
        return Response(reply.body + b" " * 2 * 1024 * 1024, 200)

    account.cloud.always = padded
    assert points(account.collector().cycle(), MODEL)


def test_after_a_permission_is_refused_nothing_more_is_asked_that_needs_it(account: ModelAccount) -> None:
    account.use(Models(models=10, keys=8))
    account.cloud.emulator.refused = {"ces:metricData:list"}
    account.collector(max_concurrency=2).cycle()
    assert 0 < len(account.calls("/batch-query-metric-data")) <= 2


def test_ranges_leave_a_tenth_of_the_rate_to_the_models_without_hours_too(account: ModelAccount) -> None:
    ranges = [f"last_{days}d" for days in range(1, 26)]
    account.collector(ranges=ranges, max_requests_per_minute=20).cycle()
    assert len(account.calls("/show-statistics")) <= 18
    assert len(account.calls("/metrics")) == 2


def test_minutes_come_though_no_range_was_answered(account: ModelAccount) -> None:
    account.cloud.always = lambda request: Response(b"", 500) if request.path.endswith("/show-statistics") else None
    batch = account.collector(hourly=True, backfill_days=0).cycle()
    assert points(batch, MODEL)
    assert not points(batch, USAGE)
    assert (health(batch)["up"], health(batch)["result_code"]) == (1, Result.PARTIAL)


def test_what_of_the_present_finds_no_room_in_the_rate_is_a_failure_that_is_told(account: ModelAccount) -> None:
    account.use(Models(models=10, keys=8))
    account.collector().cycle()
    before = len(account.calls("/batch-query-metric-data"))
    account.sleep(300)
    batch = account.collector(max_requests_per_minute=3).cycle()
    assert health(batch)["result_code"] == Result.PARTIAL
    answered = len(account.calls("/batch-query-metric-data")) - before
    assert health(batch)["failed_queries"] == before - answered > 0
    assert any("Cloud Eye" in text and "max_requests_per_minute" in text for text in warnings(batch))


def changed(account: ModelAccount, wrong: Set[str], change: Any) -> None:
    """Let Cloud Eye answer otherwise for these metrics."""

    def instead(request: Request) -> Optional[Response]:
        if not request.path.endswith("/batch-query-metric-data"):
            return None
        target, headers = request.full_path.rstrip("?"), dict(request.headers)
        reply = account.cloud.emulator.answer(request.method, target, headers, request.get_data())
        answer = json.loads(reply.body)
        for each in answer["metrics"]:
            if each["metric_name"] in wrong:
                change(each)
        return Response(json.dumps(answer), 200)

    account.cloud.always = instead


def test_a_unit_that_is_not_the_expected_one_is_not_converted_but_named(account: ModelAccount) -> None:
    changed(account, {"ttft"}, lambda each: each.update(unit="s"))
    batch = account.collector().cycle()
    assert points(batch, MODEL)
    assert not any("time_to_first_token_seconds" in point.fields for point in points(batch, MODEL))
    assert all("latency_seconds" in point.fields for point in points(batch, MODEL))
    assert health(batch)["result_code"] == Result.PARTIAL
    assert any("`ttft`" in text and "`s`, where `ms` is expected" in text for text in warnings(batch))


@pytest.mark.parametrize("change", [{"unit": ""}, {"datapoints": [{"sum": "7", "timestamp": 0}]}])
def test_an_hour_of_which_a_part_is_not_believed_is_not_known_rather_than_less(
    account: ModelAccount, change: Dict[str, Any]
) -> None:
    changed(account, {"completion_tokens"}, lambda each: "sum" in str(each) and each.update(change))
    account.keys.update(hourly=True, backfill_days=1)
    batch = account.collector().cycle()
    assert not points(batch, MODEL_HOURLY)
    assert all("completion_tokens" in point.fields for point in points(batch, MODEL))
    assert any("not believed" in text for text in warnings(batch))
    account.cloud.always = None
    account.sleep(300)
    assert len(points(account.collector().cycle(), MODEL_HOURLY)) == 24 * 3


def test_without_a_state_minutes_come_all_the_same_and_counts_do_not(account: ModelAccount) -> None:
    account.path = Path("/dev/null/state.sqlite")
    batch = account.collector(COUNTERS, hourly=True).cycle()
    assert points(batch, MODEL)
    assert not points(batch, MODEL_CONSUMED)
    assert any("no hours and no counts of models" in text for text in warnings(batch))


def test_consumers_that_share_a_state_get_all_hours_each(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=1)
    account.sleep(1800)
    first = hours(account.collector(HOURS, "one").cycle())
    account.sleep(300)
    assert hours(account.collector(HOURS, "other").cycle()) == first


def test_the_first_hour_after_midnight_of_utc_is_like_any_other(account: ModelAccount) -> None:
    account.seconds = 86_400 - NOW % 86_400 + 90
    batch = account.collector(hourly=True, backfill_days=1).cycle()
    agree(shown(batch), account.minutes(edge(account) - 15 * MINUTE, edge(account)))
    assert len(points(batch, MODEL_HOURLY)) == 24 * 3


def test_a_collect_without_models_imports_nothing_of_them(cloud: Cloud, program: Program) -> None:
    code = "import sys, maas_usage_check.cli as cli; cli.main(); print(*sys.modules, file=sys.stderr)"
    program.command = [sys.executable, "-c", code]
    for models in (False, True):
        config = program.for_cloud(cloud, f"models: {str(models).lower()}")
        imported = program("collect", "--config", config).stderr.split()
        assert ("maas_usage_check.cloud.cloud_eye" in imported) == models
        assert ("maas_usage_check.history" in imported) == models
