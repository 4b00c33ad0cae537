"""Two simulated days of models under the Agent's real base library, held against the emulator's ledger."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
from werkzeug import Request, Response

from maas_usage_check.standin.models import Models

from ..conftest import Cloud, FixedClock, NOW
from .conftest import need_library
from .hours import COUNTS, HOUR, NOTHING, Use, added
from .models import (
    CURRENCY,
    MINUTE,
    MINUTE_FIELDS,
    PRICES,
    Counted,
    Series,
    cost,
    minute,
    named,
    newest,
    priced,
    series_in,
    series_of,
)
from .test_datadog_check import metadata

need_library("datadog_checks.base")

Make = Callable[..., Any]
INTERVAL = 300
"""Seconds between cycles; the Agent runs the check more often, and what it has is repeated."""
FIRST, SECOND, THIRD = Models(3).ids()
MEASUREMENTS = ("huawei_maas.model", "huawei_maas.model_key")


class Agent:
    """Run checks by the hands of the test's clock, and add up what was submitted."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, aggregator: Any) -> None:
        clock.at = NOW + 600
        self.cloud, self.hands, self.make, self.aggregator = cloud, hands, make, aggregator
        self.began = int(clock.at * 1000)
        self.silent = range(self.began + 5 * HOUR, self.began + 9 * HOUR)
        cloud.emulator.models = self.models = Models(
            3,
            2,
            late=True,
            appears={THIRD: self.began + 130 * MINUTE},
            busy=lambda model, at: model != SECOND or at not in self.silent,
        )
        prices = {
            name: {"prompt": float(prompt), "completion": float(completion)}
            for name, (prompt, completion) in PRICES.items()
        }
        self.entry = cloud.entry(
            hourly=True,
            backfill_days=1,
            models=True,
            model_names=named(self.models),
            prices={"currency": CURRENCY, "models": prices},
            ranges=["last_1d"],
            max_requests_per_minute=180,
            min_collection_interval=INTERVAL,
        )

    @property
    def now(self) -> int:
        return int(self.clock.at * 1000)

    def at(self, minutes: float) -> None:
        self.clock.at = self.began / 1000 + minutes * 60

    def run(self, check: Any) -> str:
        """Run a check once; return the error."""
        self.aggregator.reset()
        report = check.run()
        return json.loads(report)[0]["message"] if report else ""

    def submitted(self, metric: str, nature: Optional[int] = None) -> Dict[Series, float]:
        """Return what the last run submitted of a metric, of models and by key."""
        found: Dict[Series, float] = {}
        for name in (f"{measurement}{metric}" for measurement in MEASUREMENTS):
            for sample in self.aggregator.metrics(name):
                assert nature in (None, sample.type)
                series = series_in(dict(tag.split(":", 1) for tag in sample.tags))
                assert (series not in found, bool(series[1])) == (True, "model_key" in name)
                found[series] = sample.value
        return found

    def gauges(self) -> Dict[Series, Dict[str, float]]:
        found: Dict[Series, Dict[str, float]] = {}
        for field in MINUTE_FIELDS:
            for series, value in self.submitted(f".{field}", self.aggregator.GAUGE).items():
                found.setdefault(series, {})[field] = value
        return found

    def counts(self) -> Dict[Series, Use]:
        columns = [self.submitted(f"_consumed.{count}", self.aggregator.COUNT) for count in COUNTS]
        assert all(column.keys() == columns[0].keys() for column in columns)
        return {series: tuple(int(column[series]) for column in columns) for series in columns[0]}

    def is_unlisted(self, series: Series) -> bool:
        """Tell what is back but may not be listed yet: the list is read once an hour."""
        return series[0] == SECOND and self.silent.stop <= self.now < self.silent.stop + 90 * MINUTE

    def truth(self) -> Dict[Series, Dict[str, float]]:
        """Say what a cycle that runs now must show."""
        found = {series: newest(self.models, series, self.now) for series in series_of(self.models)}
        return {series: fields for series, fields in found.items() if fields}


def fail(request: Request) -> Response:
    return Response(b"{}", 503)


def fail_cloud_eye(request: Request) -> Optional[Response]:
    return Response(b"{}", 503) if request.path.startswith("/V1.0/") else None


@pytest.fixture
def agent(cloud: Cloud, clock: FixedClock, make_check: Make, aggregator: Any) -> Agent:
    return Agent(cloud, hands, make_check, aggregator)


def steps(hours: int) -> Iterator[float]:
    """Go through the minutes in which a check runs: often in one hour of six, seldom in the others."""
    at = 0.0
    while at < hours * 60:
        yield at
        at += 2.5 if at // 60 % 6 == 3 else 20


@pytest.mark.timeout(300)
def test_counts_and_costs_add_up_to_the_hours_through_two_days_of_trouble(agent: Agent) -> None:
    hour = agent.began // HOUR
    for of, factor, after in ((-5, 3.0, 4), (3, 0.0, 7), (10, 4.0, 16), (20, 0.0, 24), (20, 2.0, 30)):
        for key in (None, agent.models.keys_of(FIRST)[1]):
            # Once an hour all of the last day is asked: what is said from a full hour on is seen in the next cycle.
            agent.models.restate(FIRST, key, (hour + of) * HOUR, factor, at=(hour + after) * HOUR)
    truth = {series: Counted(agent.models, series, agent.began) for series in series_of(agent.models)}
    total: Dict[Series, Use] = {}
    costs: Dict[Series, List[float]] = {series: [] for series in priced(agent.models)}
    check, start, cycled = agent.make(agent.entry, agent.hands), 1, 0
    for minutes in steps(48):
        is_down, no_models = 780 <= minutes < 870, 1200 <= minutes < 1320
        agent.cloud.always = fail if is_down else fail_cloud_eye if no_models else None
        if minutes in (400, 1400):  # the Agent is started anew
            start += 1
            check = agent.make(agent.entry, agent.hands, start)
        agent.at(minutes)
        asked = len(agent.cloud.seen)
        assert bool(agent.run(check)) is is_down
        repeated = asked == len(agent.cloud.seen)
        counts = agent.counts()
        if repeated:
            assert not counts
            continue
        cycled += 1
        if not is_down and not no_models:
            for each in truth.values():
                each.look(agent.now)
            expected = agent.truth()
            late = {series: fields for series, fields in expected.items() if agent.is_unlisted(series)}
            assert {**agent.gauges(), **late} == {each: fields for each, fields in expected.items() if each in counts}
        else:
            assert not agent.gauges()
        total.update({each: added(total.get(each, NOTHING), use) for each, use in counts.items()})
        for each, use in total.items():
            assert use == truth[each].most or agent.is_unlisted(each)
        for series, value in agent.submitted("_cost_consumed.cost", agent.aggregator.COUNT).items():
            assert value == float(cost(agent.models, series[0], counts[series]))
            costs[series].append(value)
    assert cycled > 100
    assert set(total) == set(truth)
    for series, added_up in costs.items():
        assert sum(added_up) == pytest.approx(float(truth[series].cost))
        assert sum(added_up) > 0


def test_a_minute_is_repeated_until_it_ended_15_minutes_ago_and_no_longer(agent: Agent) -> None:
    check = agent.make({**agent.entry, "min_collection_interval": 3600}, agent.hands)
    assert agent.run(check) == ""
    first = agent.gauges()
    assert (FIRST, "") in first
    asked = len(agent.cloud.seen)
    for minutes in range(1, 20):
        agent.at(minutes)
        assert agent.run(check) == ""
        assert len(agent.cloud.seen) == asked
        shown = agent.gauges()
        for series, fields in first.items():
            ended = next(
                at + MINUTE
                for at in range(agent.began // MINUTE * MINUTE, 0, -MINUTE)
                if minute(agent.models, series, at, agent.began) == fields
            )
            assert shown.get(series) == (fields if agent.now - ended <= 15 * MINUTE else None), minutes
    assert not shown


def test_two_checks_over_one_state_each_get_all_of_it(agent: Agent) -> None:
    names = ("one", "two")
    checks = [
        agent.make({**agent.entry, "tags": [f"view:{name}"]}, agent.hands, check_id=f"maas_usage_check:{name}")
        for name in names
    ]
    truth = {series: Counted(agent.models, series, agent.began) for series in series_of(agent.models)}
    totals: List[Dict[Series, Use]] = [{}, {}]
    for number, minutes in enumerate(range(0, 12 * 60, 15)):
        agent.at(minutes)
        assert agent.run(checks[number % 2]) == ""
        for each in truth.values():
            each.look(agent.now)
        total = totals[number % 2]
        total.update({each: added(total.get(each, NOTHING), use) for each, use in agent.counts().items()})
        assert total == {each: truth[each].most for each in total}
    assert set(totals[0]) == set(totals[1]) == set(truth)


def test_what_is_submitted_with_hours_and_models_is_what_the_metadata_says(agent: Agent) -> None:
    check = agent.make({**agent.entry, "api_keys": ["team-search"], "per_api_key": True}, agent.hands)
    for minutes in (0, 180):
        agent.at(minutes)
        assert agent.run(check) == ""
    agent.aggregator.assert_metrics_using_metadata(metadata(), check_symmetric_inclusion=True)
