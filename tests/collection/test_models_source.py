"""The models of a cycle, against the emulator's Cloud Eye."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, List, Set, Tuple, Union

import pytest
from werkzeug import Request, Response

from maas_usage_check.cloud import Credentials, DirectTransport
from maas_usage_check.collection import Batch, run_cycle
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.emulator.traffic import Traffic
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

LATE_POINTS = 8 * MINUTE
"""Points may arrive so late; after a gap, minutes of that age are queried again."""
LIST, DATA = "/metrics", "/batch-query-metric-data"
Numbers = Dict[Tuple[Series, int], Dict[str, float]]


class ModelAccount(Account):
    """An account with models, and the values expected of them."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, folder: Path) -> None:
        super().__init__(cloud, clock, make, folder)
        self.keys = {"models": True, "ranges": ["last_7d"]}
        self.use(SimulatedModels(2, 1))

    def use(self, models: SimulatedModels) -> None:
        self.cloud.emulator.models = self.models = models

    @property
    def edge(self) -> int:
        """The end of the newest complete minute, in ms."""
        return (self.now - 5 * MINUTE) // MINUTE * MINUTE

    def bodies(self, path: str) -> List[Any]:
        return [json.loads(each.get_data() or b"{}") for each in self.cloud.requests if each.path.endswith(path)]

    def minutes(self, start: int) -> Numbers:
        """Return what the cloud knows now of the minutes from `start` to the newest complete one."""
        found = {
            (series, at): expected_minute(self.models, series, at, self.now)
            for series in all_series(self.models)
            for at in range(start, self.edge, MINUTE)
        }
        return {each: fields for each, fields in found.items() if fields}

    def recent(self) -> Numbers:
        """Return the minutes that every cycle queries."""
        return self.minutes(self.edge - 15 * MINUTE)

    def hour_values(self, series: Series, at: int) -> Tuple[int, ...]:
        return expected_model_hour(self.models, series, at, self.now)

    def replace(self, path: str, answer: Callable[[Request], Any]) -> None:
        """Replace the responses to requests of one path."""
        self.cloud.responder = lambda request: answer(request) if request.path.endswith(path) else None

    def alter(self, path: str, change: Callable[[bytes], Union[bytes, str]]) -> None:
        """Change the emulator's responses to requests of one path."""

        def changed(request: Request) -> Response:
            target, headers = request.full_path.rstrip("?"), dict(request.headers)
            reply = self.cloud.emulator.answer(request.method, target, headers, request.get_data())
            return Response(change(reply.body), reply.status)

        self.replace(path, changed)


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
def test_minutes(account: ModelAccount, seconds: int) -> None:
    """A minute has its own time, the tags of models, and values in base units."""
    account.sleep(seconds)
    batch = account.cycle(hourly=True, backfill_days=1)
    assert shown(batch) == account.recent()
    assert all("maas_key_id" in point.tags for point in points(batch, MODEL_KEY))
    assert not any("maas_key_id" in point.tags or "service_type" in point.tags for point in points(batch, MODEL))
    assert len(points(batch, MODEL_HOURLY)) == 24 * 2
    assert (health(batch)["up"], health(batch)["result_code"]) == (1, 0)


def test_requests(account: ModelAccount) -> None:
    """A cycle queries the minutes, and once an hour the list of metrics."""
    account.use(SimulatedModels(1, 0))
    for _ in range(12):
        account.cycle()
        account.sleep(299)
    assert len(account.bodies(LIST)) == 2  # a page, and the empty one that ends it
    assert len(account.bodies(DATA)) == 12
    account.sleep(60)
    account.cycle()
    assert len(account.bodies(LIST)) == 4


def time_out(request: Request) -> Response:
    raise QueryError(Result.TIMED_OUT, "no answer in time")


@pytest.mark.parametrize(
    "answer",
    [lambda request: Response(b"{}", 500), lambda request: Response(b"[]"), time_out],
    ids=["500", "no list", "no answer"],
)
def test_old_list(account: ModelAccount, answer: Callable[[Request], Response]) -> None:
    """Where the list fails, the old one is used for three hours."""
    account.use(SimulatedModels(1, 0))
    account.keys.update(hourly=True, backfill_days=0)
    account.cycle()
    account.replace(LIST, answer)
    for _ in range(2):
        account.sleep(3600)
        batch = account.cycle()
        assert account.recent().keys() <= shown(batch).keys()
        assert health(batch)["failed_queries"] == 1
        assert "some values of models are missing" in " ".join(texts(batch))
        assert hours(batch)
    since = account.edge - LATE_POINTS
    account.sleep(3600)
    assert not shown(account.cycle())
    account.cloud.responder = None
    assert shown(account.cycle()) == account.minutes(since)


def test_slow_cloud_eye(account: ModelAccount) -> None:
    """The hours of the statistics do not wait for Cloud Eye."""
    account.replace(DATA, lambda request: wait_for(lambda: len(account.cloud.statistics()) > 5, "the hours"))
    batch = account.cycle(hourly=True, backfill_days=1)
    assert shown(batch)
    assert points(batch, HOURLY)


def test_gap(account: ModelAccount) -> None:
    """The newest minutes go first, then those of a gap, as the rate allows."""
    account.use(SimulatedModels(4, 2))
    account.cycle()
    since, known = account.edge - LATE_POINTS, {}
    account.sleep(90 * 60)
    account.keys.update(max_requests_per_minute=6)
    known.update(shown(account.cycle()))
    assert account.recent().keys() <= known.keys()
    assert known.keys() < account.minutes(since).keys()
    for _ in range(4):
        account.sleep(300)
        known.update(shown(account.cycle()))
    assert known == account.minutes(since)


@pytest.mark.parametrize(("minutes", "is_emitted"), [(10, True), (11, False)])
def test_newest_minute(account: ModelAccount, minutes: int, is_emitted: bool) -> None:
    """A consumer of counters gets the newest complete minute alone, until it is 15 minutes old."""
    last = account.edge
    account.use(SimulatedModels(1, 1, busy=lambda model, start: start < last))
    account.sleep(minutes * 60)
    newest = {each: fields for each, fields in account.recent().items() if each[1] == last - MINUTE}
    assert shown(account.cycle(COUNTERS)) == (newest if is_emitted else {})


def test_names(account: ModelAccount) -> None:
    """Names come from the configuration; without one the id is the name."""
    named, other = account.models.ids()
    batch = account.cycle(model_names={named: "somewhere"})
    names = {point.tags["maas_api_id"]: point.tags["model"] for point in points(batch, MODEL)}
    assert names == {named: "somewhere", other: other}
    assert all(point.tags["api_key"] == point.tags["maas_key_id"] for point in points(batch, MODEL_KEY))


def test_hours(account: ModelAccount) -> None:
    """An hour has its own time, and is settled half an hour after its end."""
    account.clock.at = account.hour / 1000 + 1800 - 1
    batch = account.cycle(hourly=True, backfill_days=1)
    starts = range(account.hour - DAY, account.hour, HOUR)
    assert hours(batch) == {
        (series, at): account.hour_values(series, at) for series in all_series(account.models) for at in starts
    }
    unsettled = {point.time // 1_000_000 for point in points(batch, MODEL_HOURLY) if not point.fields["settled"]}
    assert unsettled == {account.hour - HOUR}
    account.sleep(1)
    batch = account.cycle(hourly=True, backfill_days=1)
    assert all(point.fields["settled"] for point in points(batch, MODEL_HOURLY))


def test_ten_days(account: ModelAccount) -> None:
    """No request reaches further back than ten days."""
    account.use(SimulatedModels(1, 0))
    account.cloud.emulator.usage = SimulatedUsage(busy=lambda start: False)
    batch = account.cycle(hourly=True)
    assert {at for _, at in hours(batch)} == set(range(account.hour - 239 * HOUR, account.hour, HOUR))
    assert all(body["to"] - body["from"] < 10 * DAY for body in account.bodies(DATA))


@pytest.mark.parametrize(("ago", "within", "factor"), [(3, 0, 0.5), (25, 3600, 0.0), (215, 86_400, 3.0)])
def test_restated_hour(account: ModelAccount, ago: int, within: int, factor: float) -> None:
    """A restated hour is emitted again: soon where it is recent, within a day where it is old."""
    account.use(SimulatedModels(1, 1))
    account.cloud.emulator.usage = SimulatedUsage(busy=lambda start: False)
    account.keys.update(hourly=True, backfill_days=9)
    account.cycle()
    (model, key), at = all_series(account.models)[1], account.hour - ago * HOUR
    account.models.restate(model, key, at, factor, account.now + 1)
    account.sleep(300 + within)
    assert hours(account.cycle())[(model, key), at] == account.hour_values((model, key), at)


def test_unlisted_model(account: ModelAccount) -> None:
    """A query for a model that is not listed any more may be rejected: no failure, and it is not sent again."""
    unlisted, silent = account.models.ids()[0], account.now + 10 * MINUTE
    account.use(SimulatedModels(2, 0, busy=lambda model, start: model != unlisted or start < silent))
    account.keys.update(hourly=True, backfill_days=1)
    account.cycle()
    account.sleep(4 * 3600)
    body = json.dumps({"http_code": 400, "message": {"code": "ces.0014", "details": "no such metric"}})
    account.replace(DATA, lambda request: Response(body, 400) if unlisted.encode() in request.get_data() else None)
    model, at = account.models.ids()[1], account.hour - 20 * HOUR
    account.models.restate(model, None, at, 2.0, account.now)
    batch = account.cycle()
    assert (health(batch)["result_code"], texts(batch)) == (Result.OK, [])
    assert hours(batch)[(model, ""), at] == account.hour_values((model, ""), at)
    before = len(account.bodies(DATA))
    account.sleep(300)
    account.cycle()
    assert not any(unlisted in str(body) for body in account.bodies(DATA)[before:])


def test_clock_ahead_at_the_start(account: ModelAccount) -> None:
    """A clock that was ahead when the history began withholds no hour later."""
    account.use(SimulatedModels(1, 0))
    account.keys.update(hourly=True, backfill_days=1)
    account.clock.set_by(10 * 86_400)
    account.cycle()
    account.clock.set_by(-10 * 86_400)
    assert {at for _, at in hours(account.cycle())} >= set(range(account.hour - DAY, account.hour, HOUR))


def changed(change: Callable[[Dict[str, Any]], Any]) -> Callable[[bytes], str]:
    """Change or drop each metric of a response."""

    def change_all(body: bytes) -> str:
        answer = json.loads(body)
        return json.dumps({**answer, "metrics": list(filter(None, map(change, answer["metrics"])))})

    return change_all


def test_missing_count(account: ModelAccount) -> None:
    """A model without one of its counts has minutes but no hours."""
    incomplete, other = account.models.ids()
    account.alter(
        LIST, changed(lambda each: None if each["metric_name"] == "rpm" and incomplete in str(each) else each)
    )
    batch = account.cycle(hourly=True, backfill_days=1)
    assert any(series[0] == incomplete for series, _ in shown(batch))
    assert {series[0] for series, _ in hours(batch)} == {other}


def test_invalid_part(account: ModelAccount) -> None:
    """An hour with a part that is not believed is not emitted, and is queried again."""

    def in_another_unit(each: Dict[str, Any]) -> Dict[str, Any]:
        is_hourly = each["metric_name"] == "completion_tokens" and "sum" in str(each)
        return {**each, "unit": ""} if is_hourly else each

    account.alter(DATA, changed(in_another_unit))
    account.keys.update(hourly=True, backfill_days=1)
    batch = account.cycle()
    assert not points(batch, MODEL_HOURLY)
    assert all("completion_tokens_per_minute" in point.fields for point in points(batch, MODEL))
    assert health(batch)["result_code"] == Result.PARTIAL
    assert any("invalid answer" in text for text in texts(batch))
    account.cloud.responder = None
    account.sleep(300)
    assert len(points(account.cycle(), MODEL_HOURLY)) == 24 * 2


def test_counts_after_hours(account: ModelAccount) -> None:
    """Where Telegraf has collected for hours, the first increments for Datadog do not repeat their use."""
    account.keys["hourly"] = True
    for _ in range(5):
        account.cycle(HOURS, "telegraf")
        account.sleep(3600)
    batch = account.cycle(INCREMENTS)
    (services,) = (point.fields["tokens"] for point in points(batch, CONSUMED))
    models = {series_from_tags(point.tags): point.fields["tokens"] for point in points(batch, MODEL_CONSUMED)}
    last = account.hour - HOUR  # Telegraf came before it was over
    assert models == {series: account.hour_values(series, last)[0] for series in models}
    assert services <= sum(account.truth(last - back * HOUR) for back in range(4))


@pytest.mark.parametrize(
    "visits", [{41: "another"}, dict.fromkeys([20, 41, 62, 82], "one")], ids=["the agent", "the model"]
)
@pytest.mark.parametrize("kind", [COUNTERS, INCREMENTS])
def test_months_of_silence(account: ModelAccount, kind: str, visits: Dict[int, str]) -> None:
    """Nothing is counted twice after months without the agent or without the model."""
    began = account.hour
    account.cloud.emulator.usage = SimulatedUsage(busy=lambda start: False)
    account.use(SimulatedModels(1, 0, busy=lambda model, start: not began + 3 * HOUR <= start < began + 82 * DAY))
    account.keys.update(hourly=True, backfill_days=0)
    cycles = [(0, "one"), (4, "one"), *((day * 24, name) for day, name in visits.items()), (82 * 24 + 3, "one")]
    emitted = []
    for hour, name in cycles:
        account.clock.at = began / 1000 + hour * 3600
        emitted += [
            int(point.fields["tokens"]) for point in points(account.cycle(kind, name), MODEL_CONSUMED) if name == "one"
        ]
    assert emitted[1] > 0
    again = sum(emitted[2:]) if kind == INCREMENTS else emitted[-1] - emitted[1]
    since = range(began + 82 * DAY, account.hour, HOUR)
    assert 0 < again == sum(account.hour_values(all_series(account.models)[0], at)[0] for at in since)


def test_outage(account: ModelAccount) -> None:
    """While the cloud does not answer, counters stay, and there are no increments."""
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
def test_one_api_fails(account: ModelAccount, refused: str, measurements: Set[str]) -> None:
    """Increments and live minutes come from the API that answered; of the other there is not even a zero."""
    account.keys.update(hourly=True, backfill_days=0, prices=prices(account.models.ids()[0]))
    account.cycle(INCREMENTS)
    account.cloud.emulator.denied_permissions = {refused}
    account.sleep(300)
    batch = account.cycle(INCREMENTS)
    assert {point.measurement for point in batch.points} == {*measurements, API}
    assert (health(batch)["up"], health(batch)["result_code"]) == (1, Result.PARTIAL)


def test_cycle_without_credentials(account: ModelAccount) -> None:
    """A cycle that cannot query repeats neither minutes nor warnings of the one before."""
    keys = [Credentials(AK, SK)]
    collector = account.make(
        account.cloud.entry(**account.keys), consumer=Consumer("one", HOURS), provider=lambda: keys[0]
    )
    for refused in ({"ces:metricData:list"}, set(), {"ces:metricData:list"}):
        account.cloud.emulator.denied_permissions = refused
        account.sleep(300)
        batch = run_cycle([collector])[0]
        assert bool(points(batch, MODEL)) == (not refused)
        assert any("Cloud Eye: " in text for text in texts(batch)) == bool(refused)
        key = keys.pop()
        account.sleep(60)
        batch = run_cycle([collector])[0]
        assert not batch.collected
        assert not points(batch, MODEL)
        assert not any("Cloud Eye" in problem.text for problem in batch.problems)
        keys.append(key)


def prices(*models: str, prompt: float = 2.0) -> Dict[str, Any]:
    return {"currency": "CNY", "models": {name: {"prompt": prompt, "completion": 0} for name in models}}


def test_unused_price(account: ModelAccount) -> None:
    """A price without a model is a warning."""
    priced, named = account.models.ids()
    batch = account.cycle(
        hourly=True, backfill_days=1, model_names={named: "chat"}, prices=prices(priced, "chat", "glm")
    )
    assert {point.tags["maas_api_id"] for point in points(batch, MODEL_COST_HOURLY)} == {priced, named}
    unused, _ = texts(batch)  # the other warning names metrics that the catalogue lacks
    assert "prices.models: Cloud Eye names no model glm" in unused


def test_later_price(account: ModelAccount) -> None:
    """After a price is added, the hours come with their cost."""
    account.keys.update(hourly=True, backfill_days=1)
    account.cycle()
    account.sleep(3 * 3600)
    account.cycle()
    account.sleep(300)
    batch = account.cycle(prices=prices(account.models.ids()[0]))
    assert len(points(batch, MODEL_COST_HOURLY)) == 24 + 3


@pytest.mark.parametrize("kind", [COUNTERS, INCREMENTS])
def test_counted_cost(account: ModelAccount, kind: str) -> None:
    """What was counted without a price costs nothing, also once there is one again."""
    account.keys.update(hourly=True, backfill_days=0)
    model, total, truth = account.models.ids()[0], Decimal(0), Decimal(0)
    is_counting = kind == INCREMENTS  # a counter begins with 0
    for price in (None, 2.0, 2.0, None, None, 5.0, 5.0):
        batch = account.cycle(kind, **({"prices": prices(model, prompt=price)} if price else {}))
        costs = [Decimal(repr(point.fields["cost"])) for point in points(batch, MODEL_COST_CONSUMED)]
        assert len(costs) == bool(price)
        if price:
            total = costs[0] + (total if kind == INCREMENTS else 0)
            prompt_tokens = account.hour_values((model, ""), account.hour - HOUR)[1]
            truth += Decimal(repr(price)) * prompt_tokens / 1_000_000 * is_counting
            is_counting = True
        assert total == pytest.approx(truth, abs=Decimal("1e-9"))
        account.sleep(3600)
    assert truth


def test_unknown_metrics(account: ModelAccount) -> None:
    """Metrics that the catalogue lacks are named in one warning."""
    account.use(SimulatedModels(1, 0))
    (first,) = [text for text in texts(account.cycle()) if "left out" in text]
    assert "req_count, total_tokens by maas_service_name, ttft_p99" in first
    account.sleep(3700)
    assert not texts(account.cycle())


@pytest.mark.parametrize(("permission", "most"), [("ces:metrics:list", 0), ("ces:metricData:list", 2)])
def test_denied_permission(account: ModelAccount, permission: str, most: int) -> None:
    """The line names it, nothing more is queried that needs it, even with an old list, and ranges and hours go on."""
    account.use(SimulatedModels(4, 8))
    account.cycle()
    account.sleep(3600)
    before = len(account.bodies(DATA))
    account.cloud.emulator.denied_permissions = {permission}
    batch = account.cycle(hourly=True, backfill_days=1, max_concurrency=2)
    assert {point.measurement for point in batch.points} == {USAGE, HOURLY, API}
    assert health(batch)["result_code"] == Result.PARTIAL
    assert any(f"`{permission}`" in text for text in texts(batch))
    assert min(1, most) <= len(account.bodies(DATA)) - before <= most


@pytest.mark.parametrize("path", [LIST, DATA])
def test_large_answer(account: ModelAccount, path: str) -> None:
    """An answer of 2 MiB is read: over HTTP, for the transport has the limit."""
    account.alter(path, lambda body: body + b" " * 2 * 1024 * 1024)
    collector = account.collector()
    collector.transport = DirectTransport(collector.instance)
    assert points(run_cycle([collector])[0], MODEL)


def test_ranges_before_models(account: ModelAccount) -> None:
    """Where the ranges use up the rate, the live minutes are missing, and a warning says so."""
    batch = account.cycle(ranges=[f"last_{days}d" for days in range(1, 21)], max_requests_per_minute=20)
    assert len(account.bodies("/show-statistics")) == 20
    assert account.bodies(LIST) == []
    assert "Cloud Eye: rate limit: 20 requests sent in the last minute" in str(texts(batch))


def test_minutes_over_the_rate(account: ModelAccount) -> None:
    """Live minutes that the rate leaves no room for are failures, and a warning says so."""
    account.use(SimulatedModels(10, 8, Traffic(load=50), busy=lambda model, start: start % HOUR == 0))
    account.cycle()
    before = len(account.bodies(DATA))
    account.sleep(300)
    batch = account.cycle(max_requests_per_minute=3, max_concurrency=1)
    assert health(batch)["result_code"] == Result.PARTIAL
    answered = len(account.bodies(DATA)) - before
    assert health(batch)["failed_queries"] == before - answered > 0
    assert any("Cloud Eye" in text and "max_requests_per_minute" in text for text in texts(batch))


def test_unusable_state(account: ModelAccount) -> None:
    """Without a state there are ranges and live minutes, but no hours and no counters."""
    account.path = Path("/dev/null/state.sqlite")
    batch = account.cycle(COUNTERS, hourly=True)
    assert {point.measurement for point in batch.points} == {USAGE, MODEL, MODEL_KEY, API}
    assert "missing_hours" not in health(batch)
    for lost in ("Hours and counters are paused; ", "Hours and counters of models are paused; "):
        assert any(lost in text for text in texts(batch))
    assert batch.result == Result.PARTIAL


@pytest.mark.parametrize("models", [False, True])
def test_imports(cloud: Cloud, program: Program, models: bool) -> None:
    """A `collect` without models imports nothing of them."""
    program.command.insert(1, "-Ximporttime")
    modules = program.process(
        "collect", "--config", program.cloud_config(cloud, f"models: {str(models).lower()}")
    ).stderr
    for module in ("maas_usage_check.cloud.cloud_eye", "maas_usage_check.ledger"):
        assert (f" {module}\n" in modules) == models
