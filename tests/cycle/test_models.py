"""The models' share of cycles, against the emulator's Cloud Eye."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple, Union

import pytest
from werkzeug import Request, Response

from maas_usage_check.access import Credentials, Gates
from maas_usage_check.cycle import Batch
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.history import COUNTERS, HOURS, INCREMENTS, Consumer
from maas_usage_check.history.giving import TooLateError
from maas_usage_check.history.models import ModelHours, ModelList, give_models
from maas_usage_check.metrics import (
    API,
    CONSUMED,
    HOURLY,
    MODEL,
    MODEL_CONSUMED,
    MODEL_COST_CONSUMED,
    MODEL_COST_HOURLY,
    MODEL_HOURLY,
    MODEL_KEY,
    MODEL_KEY_CONSUMED,
    MODEL_KEY_COST_CONSUMED,
    MODEL_KEY_HOURLY,
    USAGE,
    Point,
)
from maas_usage_check.standin.emulator import PROJECT_ID
from maas_usage_check.standin.ledger import Ledger
from maas_usage_check.standin.models import Models
from maas_usage_check.store import Store

from ..conftest import AK, SK, Cloud, FixedClock, Program, wait_for
from .account import DAY, HOUR, Account, Make, health, points, texts

MINUTE = 60_000
FILLS = 8 * MINUTE
"""How much later late points may have filled in; after a gap they are asked again."""
HOUR_FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
COUNT_FIELDS = ("tokens", *HOUR_FIELDS[1:])
LIST, DATA = "/metrics", "/batch-query-metric-data"
Series = Tuple[str, Optional[str]]
"""A model, and a key of it or None for all."""
Numbers = Dict[Tuple[Series, int], Dict[str, float]]


class ModelAccount(Account):
    """Hold the oracle of models too."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, folder: Path) -> None:
        super().__init__(cloud, clock, make, folder)
        self.keys = {"models": True, "ranges": ["last_7d"]}
        self.use(Models(2, 1))

    def use(self, models: Models) -> None:
        self.cloud.emulator.models = self.models = models

    @property
    def edge(self) -> int:
        """Where the newest complete minute ends."""
        return (self.now - 5 * MINUTE) // MINUTE * MINUTE

    @property
    def series(self) -> List[Series]:
        return [(model, key) for model in self.models.ids() for key in (None, *self.models.keys_of(model))]

    def calls(self, path: str) -> List[Any]:
        return [json.loads(each.get_data() or b"{}") for each in self.cloud.seen if each.path.endswith(path)]

    def minutes(self, start: int, until: Optional[int] = None) -> Numbers:
        """What the cloud knows now of the minutes of a stretch, up to the newest complete one."""
        until = self.edge if until is None else until
        return {
            (series, at): dict(written(found))
            for series in self.series
            for at, found in self.models.known(*series, start, until, self.now)
        }

    def recent(self) -> Numbers:
        """The minutes that every cycle asks for."""
        return self.minutes(self.edge - 15 * MINUTE)

    def of_hour(self, series: Series, at: int) -> Tuple[int, ...]:
        return tuple(self.models.hour(*series, at, self.now))

    def whole(self, series: Series, since: int, until: Optional[int] = None) -> Tuple[int, ...]:
        """Add hours up, to the running one if not told otherwise."""
        hours = [self.of_hour(series, at) for at in range(since, self.hour if until is None else until, HOUR)]
        return tuple(map(sum, zip(*hours))) if hours else (0,) * 5

    def instead(self, path: str, answer: Callable[[Request], Any]) -> None:
        """Answer the requests of one path otherwise."""
        self.cloud.always = lambda request: answer(request) if request.path.endswith(path) else None

    def alter(self, path: str, change: Callable[[bytes], Union[bytes, str]]) -> None:
        """Change the emulator's answers to the requests of one path."""

        def changed(request: Request) -> Response:
            target, headers = request.full_path.rstrip("?"), dict(request.headers)
            reply = self.cloud.emulator.answer(request.method, target, headers, request.get_data())
            return Response(change(reply.body), reply.status)

        self.instead(path, changed)


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
def account(cloud: Cloud, clock: FixedClock, make_collector: Make, tmp_path: Path) -> ModelAccount:
    return ModelAccount(cloud, clock, make_collector, tmp_path)


def series_of(point: Point) -> Series:
    return point.tags["maas_api_id"], point.tags.get("maas_key_id")


def shown(batch: Batch) -> Numbers:
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


def agree(shown: Numbers, truth: Numbers) -> None:
    assert shown.keys() == truth.keys()
    for at, fields in truth.items():
        assert shown[at] == pytest.approx(fields, rel=1e-9)


@pytest.mark.parametrize("seconds", [37, 41_490], ids=["by day", "in the first hour of a day"])
def test_minutes_at_their_own_time_in_base_units(account: ModelAccount, seconds: int) -> None:
    account.sleep(seconds)
    batch = account.cycle(hourly=True, backfill_days=1)
    agree(shown(batch), account.recent())
    assert all("maas_key_id" in point.tags for point in points(batch, MODEL_KEY))
    assert not any("maas_key_id" in point.tags or "service_type" in point.tags for point in points(batch, MODEL))
    assert len(points(batch, MODEL_HOURLY)) == 24 * 2
    assert (health(batch)["up"], health(batch)["result_code"]) == (1, 0)


def test_the_steady_state_asks_the_minutes_and_once_an_hour_the_list(account: ModelAccount) -> None:
    account.use(Models(1, 0))
    for _ in range(12):
        account.cycle()
        account.sleep(299)
    assert len(account.calls(LIST)) == 2  # a page, and the empty one that ends it
    assert len(account.calls(DATA)) == 12
    account.sleep(60)
    account.cycle()
    assert len(account.calls(LIST)) == 4


def never(request: Request) -> Response:
    raise QueryError(Result.TIMED_OUT, "no answer in time")


LOOP = {"metrics": [{"metric_name": "x", "dimensions": []}], "meta_data": {"marker": "again"}}
UNREADABLE: List[Callable[[Request], Response]] = [
    lambda request: Response(b"{}", 500),
    lambda request: Response(b"[]"),
    lambda request: Response(json.dumps(LOOP)),
    never,
]


@pytest.mark.parametrize("answer", UNREADABLE, ids=["500", "no list", "a loop", "no answer"])
def test_the_old_list_serves_for_three_hours(account: ModelAccount, answer: Callable[[Request], Response]) -> None:
    account.use(Models(1, 0))
    account.keys.update(hourly=True, backfill_days=0)
    account.cycle()
    account.instead(LIST, answer)
    for _ in range(2):
        account.sleep(3600)
        batch = account.cycle()
        assert account.recent().keys() <= shown(batch).keys()
        assert health(batch)["failed_queries"] == 1
        assert "some values of models are missing" in " ".join(texts(batch))
        assert hours(batch)
    since = account.edge - FILLS
    account.sleep(3600)
    assert not shown(account.cycle())
    account.cloud.always = None
    agree(shown(account.cycle()), account.minutes(since))


def test_hours_of_the_statistics_while_cloud_eye_hangs(account: ModelAccount) -> None:
    account.instead(DATA, lambda request: wait_for(lambda: len(account.cloud.statistics()) > 5, "the hours"))
    batch = account.cycle(hourly=True, backfill_days=1)
    assert shown(batch)
    assert points(batch, HOURLY)


def test_late_points_fill_in(account: ModelAccount) -> None:
    account.use(Models(1, 1, late=True))
    began, known = account.edge - 15 * MINUTE, {}
    for _ in range(8):
        known.update(shown(account.cycle()))
        account.sleep(300)
    until = account.edge - 20 * MINUTE
    agree({key: fields for key, fields in known.items() if key[1] < until}, account.minutes(began, until))


@pytest.mark.parametrize("away", [7, 8, 232, 233])
def test_a_gap_is_filled_for_four_hours(account: ModelAccount, away: int) -> None:
    account.cycle()
    since = account.edge - FILLS
    account.sleep(away * 60)
    start = min(max(since, account.edge - 240 * MINUTE), account.edge - 15 * MINUTE)
    agree(shown(account.cycle()), account.minutes(start))


def test_the_present_goes_before_a_gap(account: ModelAccount) -> None:
    account.use(Models(4, 2))
    account.cycle()
    since, known = account.edge - FILLS, {}
    account.sleep(90 * 60)
    account.keys.update(max_requests_per_minute=6)
    known.update(shown(account.cycle()))
    assert account.recent().keys() <= known.keys()
    assert known.keys() < account.minutes(since).keys()
    for _ in range(4):
        account.sleep(300)
        known.update(shown(account.cycle()))
    agree(known, account.minutes(since))


def test_every_minute_of_models_that_come_and_go(account: ModelAccount) -> None:
    """One appears between two lists; one falls silent, leaves the list, and comes back."""
    gone, new, _ = Models(3, 0).ids()
    silent = range(account.now + 10 * MINUTE, account.now + 250 * MINUTE)
    appears = {new: account.now + 20 * MINUTE}
    account.use(Models(3, 0, appears=appears, busy=lambda model, start: start not in silent or model != gone))
    began, known = account.edge - 15 * MINUTE, shown(account.cycle())
    for minutes in [5] * 3 + [30] * 9 + [20, 20]:
        account.sleep(minutes * 60)
        known.update(shown(account.cycle()))
    assert {gone, new} <= {model for (model, _), _ in known}
    agree(known, account.minutes(began))


@pytest.mark.parametrize("takes", [COUNTERS, INCREMENTS])
def test_the_newest_complete_minute_alone(account: ModelAccount, takes: str) -> None:
    newest: Dict[Series, Tuple[int, Dict[str, float]]] = {}
    for (series, at), fields in sorted(account.recent().items(), key=lambda minute: minute[0][1]):
        newest[series] = (at, fields)
    batch = account.cycle(takes)
    agree(shown(batch), {(series, at): fields for series, (at, fields) in newest.items()})


@pytest.mark.parametrize(("minutes", "is_shown"), [(10, True), (11, False)])
def test_a_minute_is_current_for_15_minutes(account: ModelAccount, minutes: int, is_shown: bool) -> None:
    last = account.now - 5 * MINUTE
    account.use(Models(1, 0, busy=lambda model, start: start < last))
    account.sleep(minutes * 60)
    assert bool(points(account.cycle(COUNTERS), MODEL)) == is_shown


def test_names_come_from_the_configuration(account: ModelAccount) -> None:
    named, other = account.models.ids()
    batch = account.cycle(model_names={named: "somewhere"})
    names = {point.tags["maas_api_id"]: point.tags["model"] for point in points(batch, MODEL)}
    assert names == {named: "somewhere", other: other}
    assert all(point.tags["api_key"] == point.tags["maas_key_id"] for point in points(batch, MODEL_KEY))


def test_hours_at_their_own_time(account: ModelAccount) -> None:
    account.clock.at = account.hour / 1000 + 1800 - 1
    batch = account.cycle(hourly=True, backfill_days=1)
    starts = range(account.hour - DAY, account.hour, HOUR)
    assert hours(batch) == {(series, at): account.of_hour(series, at) for series in account.series for at in starts}
    unsettled = {point.time // 1_000_000 for point in points(batch, MODEL_HOURLY) if not point.fields["settled"]}
    assert unsettled == {account.hour - HOUR}
    account.sleep(1)
    batch = account.cycle(hourly=True, backfill_days=1)
    assert all(point.fields["settled"] for point in points(batch, MODEL_HOURLY))


def test_no_more_than_ten_days_are_asked(account: ModelAccount) -> None:
    account.use(Models(1, 0))
    account.cloud.emulator.ledger = Ledger(busy=lambda start: False)
    batch = account.cycle(hourly=True)
    assert {at for _, at in hours(batch)} == set(range(account.hour - 239 * HOUR, account.hour, HOUR))
    assert all(body["to"] - body["from"] < 10 * DAY for body in account.calls(DATA))


@pytest.mark.parametrize(("ago", "within", "factor"), [(3, 0, 0.5), (25, 3600, 0.0), (215, 86_400, 3.0)])
def test_a_restated_hour_comes_again(account: ModelAccount, ago: int, within: int, factor: float) -> None:
    account.use(Models(1, 1))
    account.cloud.emulator.ledger = Ledger(busy=lambda start: False)
    account.keys.update(hourly=True, backfill_days=9)
    account.cycle()
    series, at = account.series[1], account.hour - ago * HOUR
    account.models.restate(*series, at, factor, account.now + 1)
    account.sleep(300 + within)
    assert hours(account.cycle())[series, at] == account.of_hour(series, at)


def test_what_is_listed_no_more_may_be_refused(account: ModelAccount) -> None:
    gone, silent = account.models.ids()[0], account.now + 10 * MINUTE
    account.use(Models(2, 0, busy=lambda model, start: model != gone or start < silent))
    account.keys.update(hourly=True, backfill_days=1)
    account.cycle()
    account.sleep(4 * 3600)
    refused = json.dumps({"http_code": 400, "message": {"code": "ces.0014", "details": "no such metric"}})
    account.instead(DATA, lambda request: Response(refused, 400) if gone.encode() in request.get_data() else None)
    series, at = (account.models.ids()[1], None), account.hour - 20 * HOUR
    account.models.restate(*series, at, 2.0, account.now)
    batch = account.cycle()
    assert (health(batch)["result_code"], texts(batch)) == (Result.OK, [])
    assert hours(batch)[series, at] == account.of_hour(series, at)
    before = len(account.calls(DATA))
    account.sleep(300)
    account.cycle()
    assert not any(gone in str(body) for body in account.calls(DATA)[before:])


def test_a_clock_that_was_ahead_when_the_history_began_keeps_no_hour_back(account: ModelAccount) -> None:
    account.use(Models(1, 0))
    account.keys.update(hourly=True, backfill_days=1)
    account.clock.set_by(10 * 86_400)
    account.cycle()
    account.clock.set_by(-10 * 86_400)
    assert {at for _, at in hours(account.cycle())} >= set(range(account.hour - DAY, account.hour, HOUR))


def test_of_a_model_without_one_of_its_counts_there_are_no_hours(account: ModelAccount) -> None:
    lacking, other = account.models.ids()

    def change(body: bytes) -> str:
        page = json.loads(body)
        metrics = page["metrics"]
        page["metrics"] = [each for each in metrics if each["metric_name"] != "rpm" or lacking not in str(each)]
        return json.dumps(page)

    account.alter(LIST, change)
    batch = account.cycle(hourly=True, backfill_days=1)
    assert any(series[0] == lacking for series, _ in shown(batch))
    assert {series[0] for series, _ in hours(batch)} == {other}


def test_increments_of_models_that_come_too_late_are_rolled_back(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=0)
    collector = account.collector(INCREMENTS)
    collector.cycle()
    account.sleep(6 * 3600)
    account.cycle(HOURS, "other")
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


def test_counters_begin_at_0_and_hold_every_hour_once(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=0)
    began = account.hour
    assert counts(account.cycle(COUNTERS)) == dict.fromkeys(account.series, (0,) * 5)
    for _ in range(3):
        account.sleep(3600)
        batch = account.cycle(COUNTERS)
    assert counts(batch) == {series: account.whole(series, began) for series in account.series}


@pytest.mark.parametrize("takes", [COUNTERS, INCREMENTS])
def test_a_new_model_is_counted_from_its_first_token(account: ModelAccount, takes: str) -> None:
    new = account.models.ids()[1]
    account.use(Models(2, 0, appears={new: account.now + 10 * MINUTE}))
    account.keys.update(hourly=True, backfill_days=0)
    began, added = account.hour, defaultdict(lambda: (0,) * 5)
    seen: List[Tuple[int, ...]] = []
    for _ in range(4):
        account.cycle(INCREMENTS, "somebody else")  # finds the model, and its hours, first
        account.sleep(60)
        for series, count in counts(account.cycle(takes)).items():
            if series == (new, None):
                seen.append(count)
            added[series] = tuple(map(sum, zip(added[series], count))) if takes == INCREMENTS else count
        account.sleep(1740)
    account.sleep(-1740)
    truth = account.whole((new, None), began)
    assert truth[0] > 0
    assert added[new, None] == truth
    assert takes == INCREMENTS or seen[0] == (0,) * 5


@pytest.mark.parametrize(
    "visits", [{41: "another"}, dict.fromkeys([20, 41, 62, 82], "one")], ids=["the agent", "the model"]
)
@pytest.mark.parametrize("takes", [COUNTERS, INCREMENTS])
def test_nothing_is_counted_twice_after_months_of_silence(
    account: ModelAccount, takes: str, visits: Dict[int, str]
) -> None:
    began = account.hour
    account.cloud.emulator.ledger = Ledger(busy=lambda start: False)
    account.use(Models(1, 0, busy=lambda model, start: not began + 3 * HOUR <= start < began + 82 * DAY))
    account.keys.update(hourly=True, backfill_days=0)
    came = [(0, "one"), (4, "one"), *((day * 24, name) for day, name in visits.items()), (82 * 24 + 3, "one")]
    given = []
    for hour, name in came:
        account.clock.at = began / 1000 + hour * 3600
        given += [count[0] for count in counts(account.cycle(takes, name)).values() if name == "one"]
    assert given[1] > 0
    again = sum(given[2:]) if takes == INCREMENTS else given[-1] - given[1]
    assert 0 < again == account.whole(account.series[0], began + 82 * DAY)[0]


def test_counters_of_a_cycle_that_failed(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=0)
    account.cycle(COUNTERS)
    account.sleep(2 * 3600)
    before = counts(account.cycle(COUNTERS))
    account.cloud.always = lambda request: Response(b"", 500)
    account.sleep(300)
    batch = account.cycle(COUNTERS)
    assert not batch.collected
    assert counts(batch) == before
    assert any(count[0] for count in before.values())
    assert not points(batch, MODEL)


@pytest.mark.parametrize(
    ("refused", "measurements"),
    [
        (
            "modelarts:monitoring:get",
            {MODEL, MODEL_CONSUMED, MODEL_COST_CONSUMED, MODEL_KEY, MODEL_KEY_CONSUMED, MODEL_KEY_COST_CONSUMED},
        ),
        ("ces:metricData:list", {CONSUMED, USAGE}),
    ],
)
def test_increments_and_the_present_of_the_api_that_answered(
    account: ModelAccount, refused: str, measurements: Set[str]
) -> None:
    """Of the other there is neither a zero nor a minute."""
    account.keys.update(hourly=True, backfill_days=0, prices=prices(account.models.ids()[0]))
    account.cycle(INCREMENTS)
    account.cloud.emulator.refused = {refused}
    account.sleep(300)
    batch = account.cycle(INCREMENTS)
    assert {point.measurement for point in batch.points} == {*measurements, API}
    assert (health(batch)["up"], health(batch)["result_code"]) == (1, Result.PARTIAL)


@pytest.mark.parametrize("takes", [HOURS, COUNTERS, INCREMENTS])
def test_a_cycle_that_cannot_ask_repeats_nothing(account: ModelAccount, takes: str) -> None:
    keys = [Credentials(AK, SK)]
    gates = Gates(Store(), account.clock.clock)
    entry, consumer = account.cloud.entry(**account.keys), Consumer("one", takes)
    collector = account.make(entry, gates=gates, consumer=consumer, provider=lambda: keys[0])
    account.cloud.emulator.refused = {"ces:metricData:list"}
    assert any("Cloud Eye" in text for text in texts(collector.cycle())[1:])
    for refused in (set(), {"ces:metricData:list"}):
        account.cloud.emulator.refused = refused
        account.sleep(300)
        assert bool(points(collector.cycle(), MODEL)) == (not refused)
        key = keys.pop()
        account.sleep(60)
        batch = collector.cycle()
        assert not batch.collected
        assert not points(batch, MODEL)
        assert not any("Cloud Eye" in problem.text for problem in batch.problems)
        keys.append(key)


def prices(*models: str, prompt: float = 2.0, completion: float = 8.25) -> Dict[str, Any]:
    price = {"prompt": prompt, "completion": completion}
    return {"currency": "CNY", "models": dict.fromkeys(models, price)}


def cost(tokens: Sequence[int]) -> Decimal:
    return (Decimal("2.0") * tokens[1] + Decimal("8.25") * tokens[2]) / 1_000_000


def test_an_hour_has_a_cost_where_its_model_has_a_price(account: ModelAccount) -> None:
    account.use(Models(3, 1))
    priced, named, _ = account.models.ids()
    account.keys.update(hourly=True, backfill_days=1, model_names={named: "chat"})
    batch = account.cycle(prices=prices(priced, "chat", "glm"))
    costs = points(batch, MODEL_COST_HOURLY)
    assert {point.tags["maas_api_id"] for point in costs} == {priced, named}
    assert {point.tags["currency"] for point in costs} == {"CNY"}
    for point in costs:
        hour = account.of_hour(series_of(point), point.time // 1_000_000)
        assert point.fields == {"cost": float(cost(hour))}
    unused, _ = texts(batch)  # the other names what the list holds beyond the catalogue
    assert "prices.models: Cloud Eye names no model glm" in unused


def test_a_price_that_is_added_later(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=1)
    account.cycle()
    account.sleep(3 * 3600)
    account.cycle()
    account.sleep(300)
    batch = account.cycle(prices=prices(account.models.ids()[0]))
    assert len(points(batch, MODEL_COST_HOURLY)) == 24 + 3


@pytest.mark.parametrize("takes", [COUNTERS, INCREMENTS])
def test_cost_is_priced_when_it_is_counted(account: ModelAccount, takes: str) -> None:
    """What was counted without a price costs nothing, also once there is one again."""
    account.keys.update(hourly=True, backfill_days=0)
    model, total, truth = account.models.ids()[0], Decimal(0), Decimal(0)
    counts_now = takes == INCREMENTS  # a counter begins with 0
    for price in (None, 2.0, 2.0, None, None, 5.0, 5.0):
        keys = {"prices": prices(model, prompt=price, completion=0)} if price else {}
        batch = account.cycle(takes, **keys)
        costs = [Decimal(repr(point.fields["cost"])) for point in points(batch, MODEL_COST_CONSUMED)]
        assert len(costs) == bool(price)
        if price:
            total = costs[0] + (total if takes == INCREMENTS else 0)
            prompt_tokens = account.of_hour((model, None), account.hour - HOUR)[1]
            truth += Decimal(repr(price)) * prompt_tokens / 1_000_000 * counts_now
            counts_now = True
        assert total == pytest.approx(truth, abs=Decimal("1e-9"))
        account.sleep(3600)
    assert truth


def test_ids_that_have_no_place_are_named_once(account: ModelAccount) -> None:
    account.use(Models(1, 0))
    (first,) = [text for text in texts(account.cycle()) if "left out" in text]
    assert "req_count, total_tokens by maas_service_name, ttft_p99" in first
    account.sleep(3700)
    assert not texts(account.cycle())


@pytest.mark.parametrize(("permission", "most"), [("ces:metrics:list", 0), ("ces:metricData:list", 2)])
def test_without_a_permission_of_cloud_eye(account: ModelAccount, permission: str, most: int) -> None:
    """The line names it, nothing more is asked that needs it, also by an old list, and ranges and hours go on."""
    account.use(Models(4, 8))
    account.cycle()
    account.sleep(3600)
    before = len(account.calls(DATA))
    account.cloud.emulator.refused = {permission}
    batch = account.cycle(hourly=True, backfill_days=1, max_concurrency=2)
    assert points(batch, USAGE)
    assert len(points(batch, HOURLY)) > 20
    assert not points(batch, MODEL)
    assert health(batch)["result_code"] == Result.PARTIAL
    assert any(f"`{permission}`" in text for text in texts(batch))
    assert min(1, most) <= len(account.calls(DATA)) - before <= most


@pytest.mark.parametrize("path", [LIST, DATA])
def test_an_answer_of_2_mib(account: ModelAccount, path: str) -> None:
    account.alter(path, lambda body: body + b" " * 2 * 1024 * 1024)
    assert points(account.cycle(), MODEL)


def test_ranges_leave_a_tenth_of_the_rate_to_the_models(account: ModelAccount) -> None:
    account.cycle(ranges=[f"last_{days}d" for days in range(1, 26)], max_requests_per_minute=20)
    assert len(account.calls("/show-statistics")) <= 18
    assert len(account.calls(LIST)) == 2


def test_minutes_that_find_no_room_in_the_rate(account: ModelAccount) -> None:
    account.use(Models(10, 8, busy=lambda model, start: start % HOUR == 0))
    account.cycle()
    before = len(account.calls(DATA))
    account.sleep(300)
    batch = account.cycle(max_requests_per_minute=3, max_concurrency=1)
    assert health(batch)["result_code"] == Result.PARTIAL
    answered = len(account.calls(DATA)) - before
    assert health(batch)["failed_queries"] == before - answered > 0
    assert any("Cloud Eye" in text and "max_requests_per_minute" in text for text in texts(batch))


def with_metric(name: str, change: Callable[[Dict[str, Any]], Any]) -> Callable[[bytes], str]:
    """Change one metric of an answer."""

    def changed(body: bytes) -> str:
        answer = json.loads(body)
        for each in answer["metrics"]:
            if each["metric_name"] == name:
                change(each)
        return json.dumps(answer)

    return changed


@pytest.mark.parametrize("change", [{"unit": ""}, {"datapoints": [{"sum": "7", "timestamp": 0}]}])
def test_an_hour_of_which_a_part_is_not_believed(account: ModelAccount, change: Dict[str, Any]) -> None:
    account.alter(DATA, with_metric("completion_tokens", lambda each: "sum" in str(each) and each.update(change)))
    account.keys.update(hourly=True, backfill_days=1)
    batch = account.cycle()
    assert not points(batch, MODEL_HOURLY)
    assert all("completion_tokens" in point.fields for point in points(batch, MODEL))
    assert health(batch)["result_code"] == Result.PARTIAL
    assert any("not believed" in text for text in texts(batch))
    account.cloud.always = None
    account.sleep(300)
    assert len(points(account.cycle(), MODEL_HOURLY)) == 24 * 2


def test_minutes_without_a_state(account: ModelAccount) -> None:
    account.path = Path("/dev/null/state.sqlite")
    batch = account.cycle(COUNTERS, hourly=True)
    assert points(batch, MODEL)
    assert not points(batch, MODEL_CONSUMED)
    assert any("no hours and no counts of models" in text for text in texts(batch))


@pytest.mark.parametrize("models", [False, True])
def test_a_collect_without_models_imports_nothing_of_them(cloud: Cloud, program: Program, models: bool) -> None:
    program.command.insert(1, "-Ximporttime")
    said = program.process("collect", "--config", program.for_cloud(cloud, f"models: {str(models).lower()}")).stderr
    for module in ("maas_usage_check.cloud.cloud_eye", "maas_usage_check.history"):
        assert (f" {module}\n" in said) == models
