"""The models' share of cycles, against the emulator's Cloud Eye."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, List, Set, Tuple, Union

import pytest
from werkzeug import Request, Response

from maas_usage_check.cloud import Credentials, DirectTransport
from maas_usage_check.collection import Batch
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.ledger import COUNTERS, HOURS, INCREMENTS, Consumer
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
)

from ..agents.expected_hours import FIELDS
from ..agents.expected_models import MINUTE, Series, all_series, expected_minute, expected_model_hour, series_from_tags
from ..conftest import AK, SK, Cloud, FixedClock, Program, wait_for
from .account import DAY, HOUR, Account, Make, health, points, texts

FILLS = 8 * MINUTE
"""How much later late points may have filled in; after a gap they are asked again."""
LIST, DATA = "/metrics", "/batch-query-metric-data"
Numbers = Dict[Tuple[Series, int], Dict[str, float]]


class ModelAccount(Account):
    """Hold the oracle of models too."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, folder: Path) -> None:
        super().__init__(cloud, clock, make, folder)
        self.keys = {"models": True, "ranges": ["last_7d"]}
        self.use(SimulatedModels(2, 1))

    def use(self, models: SimulatedModels) -> None:
        self.cloud.emulator.models = self.models = models

    @property
    def edge(self) -> int:
        """Where the newest complete minute ends."""
        return (self.now - 5 * MINUTE) // MINUTE * MINUTE

    def calls(self, path: str) -> List[Any]:
        return [json.loads(each.get_data() or b"{}") for each in self.cloud.requests if each.path.endswith(path)]

    def minutes(self, start: int) -> Numbers:
        """What the cloud knows now of the minutes from `start` to the newest complete one."""
        found = {
            (series, at): expected_minute(self.models, series, at, self.now)
            for series in all_series(self.models)
            for at in range(start, self.edge, MINUTE)
        }
        return {each: fields for each, fields in found.items() if fields}

    def recent(self) -> Numbers:
        """The minutes that every cycle asks for."""
        return self.minutes(self.edge - 15 * MINUTE)

    def of_hour(self, series: Series, at: int) -> Tuple[int, ...]:
        return expected_model_hour(self.models, series, at, self.now)

    def instead(self, path: str, answer: Callable[[Request], Any]) -> None:
        """Answer the requests of one path otherwise."""
        self.cloud.responder = lambda request: answer(request) if request.path.endswith(path) else None

    def alter(self, path: str, change: Callable[[bytes], Union[bytes, str]]) -> None:
        """Change the emulator's answers to the requests of one path."""

        def changed(request: Request) -> Response:
            target, headers = request.full_path.rstrip("?"), dict(request.headers)
            reply = self.cloud.emulator.answer(request.method, target, headers, request.get_data())
            return Response(change(reply.body), reply.status)

        self.instead(path, changed)


@pytest.fixture
def account(cloud: Cloud, clock: FixedClock, make_collector: Make, tmp_path: Path) -> ModelAccount:
    return ModelAccount(cloud, clock, make_collector, tmp_path)


def shown(batch: Batch) -> Numbers:
    return {
        (series_from_tags(point.tags), point.time // 1_000_000): dict(point.fields)
        for name in (MODEL, MODEL_KEY)
        for point in points(batch, name)
    }


def hours(batch: Batch) -> Dict[Tuple[Series, int], Tuple[int, ...]]:
    return {
        (series_from_tags(point.tags), point.time // 1_000_000): tuple(int(point.fields[name]) for name in FIELDS)
        for name in (MODEL_HOURLY, MODEL_KEY_HOURLY)
        for point in points(batch, name)
    }


@pytest.mark.parametrize("seconds", [37, 41_490], ids=["by day", "in the first hour of a day"])
def test_minutes_at_their_own_time_in_base_units(account: ModelAccount, seconds: int) -> None:
    account.sleep(seconds)
    batch = account.cycle(hourly=True, backfill_days=1)
    assert shown(batch) == account.recent()
    assert all("maas_key_id" in point.tags for point in points(batch, MODEL_KEY))
    assert not any("maas_key_id" in point.tags or "service_type" in point.tags for point in points(batch, MODEL))
    assert len(points(batch, MODEL_HOURLY)) == 24 * 2
    assert (health(batch)["up"], health(batch)["result_code"]) == (1, 0)


def test_the_steady_state_asks_the_minutes_and_once_an_hour_the_list(account: ModelAccount) -> None:
    account.use(SimulatedModels(1, 0))
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


@pytest.mark.parametrize(
    "answer",
    [lambda request: Response(b"{}", 500), lambda request: Response(b"[]"), never],
    ids=["500", "no list", "no answer"],
)
def test_the_old_list_serves_for_three_hours(account: ModelAccount, answer: Callable[[Request], Response]) -> None:
    account.use(SimulatedModels(1, 0))
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
    account.cloud.responder = None
    assert shown(account.cycle()) == account.minutes(since)


def test_hours_of_the_statistics_while_cloud_eye_hangs(account: ModelAccount) -> None:
    account.instead(DATA, lambda request: wait_for(lambda: len(account.cloud.statistics()) > 5, "the hours"))
    batch = account.cycle(hourly=True, backfill_days=1)
    assert shown(batch)
    assert points(batch, HOURLY)


def test_the_present_goes_before_a_gap(account: ModelAccount) -> None:
    account.use(SimulatedModels(4, 2))
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
    assert known == account.minutes(since)


@pytest.mark.parametrize(("minutes", "is_shown"), [(10, True), (11, False)])
def test_the_newest_complete_minute_alone_for_15_minutes(account: ModelAccount, minutes: int, is_shown: bool) -> None:
    last = account.edge
    account.use(SimulatedModels(1, 1, busy=lambda model, start: start < last))
    account.sleep(minutes * 60)
    newest = {each: fields for each, fields in account.recent().items() if each[1] == last - MINUTE}
    assert shown(account.cycle(COUNTERS)) == (newest if is_shown else {})


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
    assert hours(batch) == {
        (series, at): account.of_hour(series, at) for series in all_series(account.models) for at in starts
    }
    unsettled = {point.time // 1_000_000 for point in points(batch, MODEL_HOURLY) if not point.fields["settled"]}
    assert unsettled == {account.hour - HOUR}
    account.sleep(1)
    batch = account.cycle(hourly=True, backfill_days=1)
    assert all(point.fields["settled"] for point in points(batch, MODEL_HOURLY))


def test_no_more_than_ten_days_are_asked(account: ModelAccount) -> None:
    account.use(SimulatedModels(1, 0))
    account.cloud.emulator.usage = SimulatedUsage(busy=lambda start: False)
    batch = account.cycle(hourly=True)
    assert {at for _, at in hours(batch)} == set(range(account.hour - 239 * HOUR, account.hour, HOUR))
    assert all(body["to"] - body["from"] < 10 * DAY for body in account.calls(DATA))


@pytest.mark.parametrize(("ago", "within", "factor"), [(3, 0, 0.5), (25, 3600, 0.0), (215, 86_400, 3.0)])
def test_a_restated_hour_comes_again(account: ModelAccount, ago: int, within: int, factor: float) -> None:
    account.use(SimulatedModels(1, 1))
    account.cloud.emulator.usage = SimulatedUsage(busy=lambda start: False)
    account.keys.update(hourly=True, backfill_days=9)
    account.cycle()
    (model, key), at = all_series(account.models)[1], account.hour - ago * HOUR
    account.models.restate(model, key, at, factor, account.now + 1)
    account.sleep(300 + within)
    assert hours(account.cycle())[(model, key), at] == account.of_hour((model, key), at)


def test_what_is_listed_no_more_may_be_refused(account: ModelAccount) -> None:
    gone, silent = account.models.ids()[0], account.now + 10 * MINUTE
    account.use(SimulatedModels(2, 0, busy=lambda model, start: model != gone or start < silent))
    account.keys.update(hourly=True, backfill_days=1)
    account.cycle()
    account.sleep(4 * 3600)
    refused = json.dumps({"http_code": 400, "message": {"code": "ces.0014", "details": "no such metric"}})
    account.instead(DATA, lambda request: Response(refused, 400) if gone.encode() in request.get_data() else None)
    model, at = account.models.ids()[1], account.hour - 20 * HOUR
    account.models.restate(model, None, at, 2.0, account.now)
    batch = account.cycle()
    assert (health(batch)["result_code"], texts(batch)) == (Result.OK, [])
    assert hours(batch)[(model, ""), at] == account.of_hour((model, ""), at)
    before = len(account.calls(DATA))
    account.sleep(300)
    account.cycle()
    assert not any(gone in str(body) for body in account.calls(DATA)[before:])


def test_a_clock_that_was_ahead_when_the_history_began_keeps_no_hour_back(account: ModelAccount) -> None:
    account.use(SimulatedModels(1, 0))
    account.keys.update(hourly=True, backfill_days=1)
    account.clock.set_by(10 * 86_400)
    account.cycle()
    account.clock.set_by(-10 * 86_400)
    assert {at for _, at in hours(account.cycle())} >= set(range(account.hour - DAY, account.hour, HOUR))


def changed(change: Callable[[Dict[str, Any]], Any]) -> Callable[[bytes], str]:
    """Change, or leave out, each metric of an answer."""

    def change_all(body: bytes) -> str:
        answer = json.loads(body)
        return json.dumps({**answer, "metrics": list(filter(None, map(change, answer["metrics"])))})

    return change_all


def test_of_a_model_without_one_of_its_counts_there_are_no_hours(account: ModelAccount) -> None:
    lacking, other = account.models.ids()
    account.alter(LIST, changed(lambda each: None if each["metric_name"] == "rpm" and lacking in str(each) else each))
    batch = account.cycle(hourly=True, backfill_days=1)
    assert any(series[0] == lacking for series, _ in shown(batch))
    assert {series[0] for series, _ in hours(batch)} == {other}


def test_an_hour_of_which_a_part_is_not_believed(account: ModelAccount) -> None:
    def in_another_unit(each: Dict[str, Any]) -> Dict[str, Any]:
        is_hourly = each["metric_name"] == "completion_tokens" and "sum" in str(each)
        return {**each, "unit": ""} if is_hourly else each

    account.alter(DATA, changed(in_another_unit))
    account.keys.update(hourly=True, backfill_days=1)
    batch = account.cycle()
    assert not points(batch, MODEL_HOURLY)
    assert all("completion_tokens" in point.fields for point in points(batch, MODEL))
    assert health(batch)["result_code"] == Result.PARTIAL
    assert any("invalid answer" in text for text in texts(batch))
    account.cloud.responder = None
    account.sleep(300)
    assert len(points(account.cycle(), MODEL_HOURLY)) == 24 * 2


@pytest.mark.parametrize(
    "visits", [{41: "another"}, dict.fromkeys([20, 41, 62, 82], "one")], ids=["the agent", "the model"]
)
@pytest.mark.parametrize("takes", [COUNTERS, INCREMENTS])
def test_nothing_is_counted_twice_after_months_of_silence(
    account: ModelAccount, takes: str, visits: Dict[int, str]
) -> None:
    began = account.hour
    account.cloud.emulator.usage = SimulatedUsage(busy=lambda start: False)
    account.use(SimulatedModels(1, 0, busy=lambda model, start: not began + 3 * HOUR <= start < began + 82 * DAY))
    account.keys.update(hourly=True, backfill_days=0)
    came = [(0, "one"), (4, "one"), *((day * 24, name) for day, name in visits.items()), (82 * 24 + 3, "one")]
    given = []
    for hour, name in came:
        account.clock.at = began / 1000 + hour * 3600
        given += [
            int(point.fields["tokens"]) for point in points(account.cycle(takes, name), MODEL_CONSUMED) if name == "one"
        ]
    assert given[1] > 0
    again = sum(given[2:]) if takes == INCREMENTS else given[-1] - given[1]
    since = range(began + 82 * DAY, account.hour, HOUR)
    assert 0 < again == sum(account.of_hour(all_series(account.models)[0], at)[0] for at in since)


def test_a_cloud_that_does_not_answer_leaves_counters_and_brings_no_increment(account: ModelAccount) -> None:
    account.keys.update(hourly=True, backfill_days=0)
    account.cycle(COUNTERS)
    account.sleep(6 * 3600)
    account.cycle(INCREMENTS, "agent")
    known = account.cycle(COUNTERS)
    account.cloud.responder = lambda request: Response(status=503)
    batch = account.cycle(COUNTERS)
    assert health(batch)["up"] == 0
    for name in (CONSUMED, MODEL_CONSUMED, MODEL_KEY_CONSUMED):
        counts = [point.fields for point in points(batch, name)]
        assert counts == [point.fields for point in points(known, name)]
        assert min(fields["tokens"] for fields in counts) > 0
    assert not points(batch, MODEL)
    assert [point.measurement for point in account.cycle(INCREMENTS, "agent").points] == [API]


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
    account.cloud.emulator.denied_permissions = {refused}
    account.sleep(300)
    batch = account.cycle(INCREMENTS)
    assert {point.measurement for point in batch.points} == {*measurements, API}
    assert (health(batch)["up"], health(batch)["result_code"]) == (1, Result.PARTIAL)


def test_a_cycle_that_cannot_ask_repeats_nothing(account: ModelAccount) -> None:
    keys = [Credentials(AK, SK)]
    collector = account.make(
        account.cloud.entry(**account.keys), consumer=Consumer("one", HOURS), provider=lambda: keys[0]
    )
    for refused in ({"ces:metricData:list"}, set(), {"ces:metricData:list"}):
        account.cloud.emulator.denied_permissions = refused
        account.sleep(300)
        batch = collector.cycle()
        assert bool(points(batch, MODEL)) == (not refused)
        assert any("Cloud Eye: " in text for text in texts(batch)) == bool(refused)
        key = keys.pop()
        account.sleep(60)
        batch = collector.cycle()
        assert not batch.collected
        assert not points(batch, MODEL)
        assert not any("Cloud Eye" in problem.text for problem in batch.problems)
        keys.append(key)


def prices(*models: str, prompt: float = 2.0) -> Dict[str, Any]:
    return {"currency": "CNY", "models": {name: {"prompt": prompt, "completion": 0} for name in models}}


def test_a_price_without_a_model_is_named(account: ModelAccount) -> None:
    priced, named = account.models.ids()
    batch = account.cycle(
        hourly=True, backfill_days=1, model_names={named: "chat"}, prices=prices(priced, "chat", "glm")
    )
    assert {point.tags["maas_api_id"] for point in points(batch, MODEL_COST_HOURLY)} == {priced, named}
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
        batch = account.cycle(takes, **({"prices": prices(model, prompt=price)} if price else {}))
        costs = [Decimal(repr(point.fields["cost"])) for point in points(batch, MODEL_COST_CONSUMED)]
        assert len(costs) == bool(price)
        if price:
            total = costs[0] + (total if takes == INCREMENTS else 0)
            prompt_tokens = account.of_hour((model, ""), account.hour - HOUR)[1]
            truth += Decimal(repr(price)) * prompt_tokens / 1_000_000 * counts_now
            counts_now = True
        assert total == pytest.approx(truth, abs=Decimal("1e-9"))
        account.sleep(3600)
    assert truth


def test_ids_that_have_no_place_are_named_once(account: ModelAccount) -> None:
    account.use(SimulatedModels(1, 0))
    (first,) = [text for text in texts(account.cycle()) if "left out" in text]
    assert "req_count, total_tokens by maas_service_name, ttft_p99" in first
    account.sleep(3700)
    assert not texts(account.cycle())


@pytest.mark.parametrize(("permission", "most"), [("ces:metrics:list", 0), ("ces:metricData:list", 2)])
def test_without_a_permission_of_cloud_eye(account: ModelAccount, permission: str, most: int) -> None:
    """The line names it, nothing more is asked that needs it, also by an old list, and ranges and hours go on."""
    account.use(SimulatedModels(4, 8))
    account.cycle()
    account.sleep(3600)
    before = len(account.calls(DATA))
    account.cloud.emulator.denied_permissions = {permission}
    batch = account.cycle(hourly=True, backfill_days=1, max_concurrency=2)
    assert {point.measurement for point in batch.points} == {USAGE, HOURLY, API}
    assert health(batch)["result_code"] == Result.PARTIAL
    assert any(f"`{permission}`" in text for text in texts(batch))
    assert min(1, most) <= len(account.calls(DATA)) - before <= most


@pytest.mark.parametrize("path", [LIST, DATA])
def test_an_answer_of_2_mib(account: ModelAccount, path: str) -> None:
    """Over HTTP, for the transport reads no more than is allowed."""
    account.alter(path, lambda body: body + b" " * 2 * 1024 * 1024)
    collector = account.collector()
    collector._transport = DirectTransport(collector.instance)
    assert points(collector.cycle(), MODEL)


def test_ranges_before_models(account: ModelAccount) -> None:
    """Where the ranges use up the rate, the live minutes are missing, and a warning says so."""
    batch = account.cycle(ranges=[f"last_{days}d" for days in range(1, 21)], max_requests_per_minute=20)
    assert len(account.calls("/show-statistics")) == 20
    assert account.calls(LIST) == []
    assert "Cloud Eye: rate limit: 20 requests sent in the last minute" in str(texts(batch))


def test_minutes_that_find_no_room_in_the_rate(account: ModelAccount) -> None:
    account.use(SimulatedModels(10, 8, busy=lambda model, start: start % HOUR == 0))
    account.cycle()
    before = len(account.calls(DATA))
    account.sleep(300)
    batch = account.cycle(max_requests_per_minute=3, max_concurrency=1)
    assert health(batch)["result_code"] == Result.PARTIAL
    answered = len(account.calls(DATA)) - before
    assert health(batch)["failed_queries"] == before - answered > 0
    assert any("Cloud Eye" in text and "max_requests_per_minute" in text for text in texts(batch))


def test_an_unusable_state_leaves_ranges_and_minutes(account: ModelAccount) -> None:
    account.path = Path("/dev/null/state.sqlite")
    batch = account.cycle(COUNTERS, hourly=True)
    assert {point.measurement for point in batch.points} == {USAGE, MODEL, MODEL_KEY, API}
    assert "missing_hours" not in health(batch)
    for lost in ("Hours and counters are paused; ", "Hours and counters of models are paused; "):
        assert any(lost in text for text in texts(batch))
    assert batch.result == Result.PARTIAL


@pytest.mark.parametrize("models", [False, True])
def test_a_collect_without_models_imports_nothing_of_them(cloud: Cloud, program: Program, models: bool) -> None:
    program.command.insert(1, "-Ximporttime")
    said = program.process("collect", "--config", program.cloud_config(cloud, f"models: {str(models).lower()}")).stderr
    for module in ("maas_usage_check.cloud.cloud_eye", "maas_usage_check.ledger"):
        assert (f" {module}\n" in said) == models
