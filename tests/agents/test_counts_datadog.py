"""Simulated days of hours and models under the Agent's real base library, compared with the simulated usage."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
from werkzeug import Request, Response

from maas_usage_check.emulator.simulated_models import SimulatedModels

from ..conftest import NOW, Cloud, FixedClock
from .conftest import need_library
from .expected_hours import COUNTS, HOUR, NOTHING, ExpectedCounts, HourlyUsage, Usage, sum_usage
from .expected_models import (
    MINUTE,
    MINUTE_FIELDS,
    TRAFFIC,
    Series,
    all_series,
    expected_cost,
    expected_minute,
    model_entry,
    newest_minute,
    priced_series,
    series_from_tags,
)
from .simulated_account import SERVICES, expected_counts
from .test_datadog_check import metadata

need_library("datadog_checks.base")

Make = Callable[..., Any]
INTERVAL = 300
"""Seconds between cycles; the Agent runs the check more often, and the last values are repeated."""
FIRST, SECOND, THIRD = SimulatedModels(3).ids()


class Agent:
    """Runs checks on the test's clock, and reads the submitted metrics."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, aggregator: Any) -> None:
        clock.at = NOW + 600
        self.cloud, self.clock, self.make, self.aggregator = cloud, clock, make, aggregator
        self.began = int(clock.at * 1000)
        self.silent = range(self.began + 5 * HOUR, self.began + 9 * HOUR)
        cloud.emulator.usage = self.ledger = HourlyUsage(late=True)
        cloud.emulator.models = self.models = SimulatedModels(
            3,
            2,
            TRAFFIC,
            late=True,
            appears={THIRD: self.began + 130 * MINUTE},
            busy=lambda model, at: model != SECOND or at not in self.silent,
        )
        self.entry = cloud.entry(
            **model_entry(self.models),
            hourly=True,
            backfill_days=1,
            ranges=["last_1d"],
            service_types=list(SERVICES),
            api_keys=["team-search", ""],
            per_api_key=True,
            max_requests_per_minute=180,
            min_collection_interval=INTERVAL,
        )

    @property
    def now(self) -> int:
        return int(self.clock.at * 1000)

    def set_minutes(self, minutes: float) -> None:
        self.clock.at = self.began / 1000 + minutes * 60

    def run(self, check: Any) -> str:
        """Run a check once; return the error."""
        self.aggregator.reset()
        report = check.run()
        return json.loads(report)[0]["message"] if report else ""

    def submitted(self, nature: int, *names: str) -> Dict[Series, float]:
        """Return the values that the last run submitted under these names, by service and label or model and key."""
        found: Dict[Series, float] = {}
        for name in names:
            for sample in self.aggregator.metrics(f"huawei_maas.{name}"):
                assert sample.type == nature
                tags = dict(tag.split(":", 1) for tag in sample.tags)
                of_service = (tags.get("service_type", ""), tags.get("api_key_label", ""))
                series = series_from_tags(tags) if "maas_api_id" in tags else of_service
                assert (series not in found, bool(series[1])) == (True, "key" in name)
                found[series] = sample.value
        return found

    def gauges(self) -> Dict[Series, Dict[str, float]]:
        """Return the minutes of models that the last run submitted."""
        found: Dict[Series, Dict[str, float]] = {}
        for field in MINUTE_FIELDS:
            shown = self.submitted(self.aggregator.GAUGE, f"model.{field}", f"model_key.{field}")
            for series, value in shown.items():
                found.setdefault(series, {})[field] = value
        return found

    def counts(self) -> Dict[Series, Usage]:
        names = [[f"{kind}consumed.{count}" for kind in ("", "key_", "model_", "model_key_")] for count in COUNTS]
        columns = [self.submitted(self.aggregator.COUNT, *some) for some in names]
        assert all(column.keys() == columns[0].keys() for column in columns)
        assert all(value >= 0 for column in columns for value in column.values())
        return {series: tuple(int(column[series]) for column in columns) for series in columns[0]}

    def is_unlisted(self, series: Series) -> bool:
        """Return whether a model has calls again but may not be listed yet: the list is read once an hour."""
        return series[0] == SECOND and self.silent.stop <= self.now < self.silent.stop + 90 * MINUTE

    def truth(self) -> Dict[Series, ExpectedCounts]:
        return expected_counts(self.ledger, self.models, self.began)

    def update(self, truth: Dict[Series, ExpectedCounts], hours: bool = True, models: bool = True) -> None:
        for (name, _), each in truth.items():
            if hours if name in SERVICES else models:
                each.update(self.now)


def fail(request: Request) -> Response:
    return Response(b"{}", 503)


def fail_cloud_eye(request: Request) -> Optional[Response]:
    return Response(b"{}", 503) if request.path.startswith("/V1.0/") else None


def fail_hours(request: Request) -> Optional[Response]:
    body = json.loads(request.get_data() or b"{}")
    asks_hours = "end_time" in body and (body["end_time"] + 1) % HOUR == 0
    return Response(b'{"error_msg": "no"}', 400, content_type="application/json") if asks_hours else None


@pytest.fixture
def agent(cloud: Cloud, clock: FixedClock, make_check: Make, aggregator: Any) -> Agent:
    return Agent(cloud, clock, make_check, aggregator)


def steps(hours: int) -> Iterator[float]:
    """Yield the minutes in which a check runs: often in one hour of twelve, rarely in the others."""
    at = 0.0
    while at < hours * 60:
        yield at
        at += 2.5 if at // 60 % 12 == 3 else 30


HOURS = 36
DOWN, NO_MODELS, NO_HOURS = range(13, 15), range(20, 22), range(25, 27)
RESTARTED, RENAMED = (420, 1380), 1890
"""Minutes at which the Agent restarts, and at which an edited configuration changes the check's id."""


@pytest.mark.timeout(300)
def test_counts_and_costs(agent: Agent) -> None:
    """Counts and costs add up to the hours, through outages, restarts and restatements of a day and a half."""
    hour = agent.began // HOUR
    for of, factor, after in ((-5, 3.0, 4), (3, 0.0, 7), (16, 3.0, 19), (16, 0.0, 28), (20, 2.0, 27), (29, 0.0, 33)):
        start, at = (hour + of) * HOUR, (hour + after) * HOUR
        agent.ledger.restate(start, factor, at=at)
        for key in (None, agent.models.key_ids(FIRST)[1]):
            # The sweep reads the last day once an hour: a restatement at a full hour is seen in the next cycle.
            agent.models.restate(FIRST, key, start, factor, at=at)
    truth, total, fallen, cycles = agent.truth(), {}, 0, 0
    costs: Dict[Series, List[float]] = {series: [] for series in priced_series(agent.models)}
    started, options, check = 1, {}, agent.make(agent.entry)
    for minutes in steps(HOURS):
        is_down, no_models, no_hours = (minutes // 60 in hours for hours in (DOWN, NO_MODELS, NO_HOURS))
        agent.cloud.responder = fail if is_down else fail_cloud_eye if no_models else fail_hours if no_hours else None
        if minutes == RENAMED:
            agent.entry["tags"], options = ["team:new"], {"check_id": "maas_usage_check:decaf"}
        if minutes in (*RESTARTED, RENAMED):
            started += 1
            check = agent.make(agent.entry, started, **options)
        agent.set_minutes(minutes)
        requests = len(agent.cloud.requests)
        assert bool(agent.run(check)) is is_down
        counts = agent.counts()
        if requests == len(agent.cloud.requests):  # the last gauges are repeated
            assert not counts
            continue
        cycles += 1
        if not is_down:
            agent.update(truth, hours=not no_hours, models=not no_models)
        else:
            assert not any(counts.values())
        if is_down or no_models:
            assert not agent.gauges()
        else:
            expected = {each: newest_minute(agent.models, each, agent.now) for each in all_series(agent.models)}
            shown = agent.gauges()
            assert shown == {each: fields for each, fields in expected.items() if each in shown}
            missing = {each for each, fields in expected.items() if fields and each in counts} - set(shown)
            assert not [each for each in missing if not agent.is_unlisted(each)]
        for each, rise in counts.items():
            total[each] = sum_usage(total.get(each, NOTHING), rise)
            assert total[each] == truth[each].maximum or agent.is_unlisted(each)
        spent = agent.submitted(agent.aggregator.COUNT, "model_cost_consumed.cost", "model_key_cost_consumed.cost")
        for series, value in spent.items():
            assert value == float(expected_cost(agent.models, series[0], counts[series]))
            costs[series].append(value)
        whole = truth["preset", ""]
        fallen += whole.maximum[0] > whole.reported(agent.now)[0]
    assert cycles > 80
    assert fallen > 0
    assert set(total) == set(truth)
    assert all(each.maximum > NOTHING for each in truth.values())
    for series, added_up in costs.items():
        assert sum(added_up) == pytest.approx(float(expected_cost(agent.models, series[0], truth[series].maximum)))


def test_repeated_minute(agent: Agent) -> None:
    """A minute is repeated for 15 minutes after its end."""
    check = agent.make({**agent.entry, "min_collection_interval": 3600})
    assert agent.run(check) == ""
    first, requests = agent.gauges(), len(agent.cloud.requests)
    assert (FIRST, "") in first
    minutes_before = range(agent.began // MINUTE * MINUTE, 0, -MINUTE)
    ended = {
        series: next(
            at + MINUTE for at in minutes_before if expected_minute(agent.models, series, at, agent.began) == fields
        )
        for series, fields in first.items()
    }
    for minutes in range(1, 20):
        agent.set_minutes(minutes)
        assert agent.run(check) == ""
        assert agent.gauges() == {
            series: fields for series, fields in first.items() if agent.now - ended[series] <= 15 * MINUTE
        }
    assert len(agent.cloud.requests) == requests
    assert not agent.gauges()


def test_two_checks(agent: Agent) -> None:
    """Two checks over one state each submit all counts, those from the other's queries too."""
    checks = [
        agent.make({**agent.entry, "tags": [f"view:{name}"]}, check_id=f"maas_usage_check:{name}")
        for name in ("one", "two")
    ]
    truth = agent.truth()
    totals: List[Dict[Series, Usage]] = [{}, {}]
    for number, minutes in enumerate(range(0, 12 * 60, 15)):
        agent.cloud.responder = fail if 10 <= minutes // 60 < 11 else None
        agent.set_minutes(minutes)
        assert bool(agent.run(checks[number % 2])) is bool(agent.cloud.responder)
        if not agent.cloud.responder:
            agent.update(truth)
        total = totals[number % 2]
        total.update({each: sum_usage(total.get(each, NOTHING), rise) for each, rise in agent.counts().items()})
        assert total == {each: truth[each].maximum for each in total}
    assert set(totals[0]) == set(totals[1]) == set(truth)


def test_metadata(agent: Agent) -> None:
    """Submitted metrics match metadata.csv."""
    limits = {"budget": {"tokens": 1}, "limits": {"large": {"rpm": 100, "tpm": 100_000}}}
    check = agent.make({**agent.entry, **limits})
    for minutes in (0, 180):
        agent.set_minutes(minutes)
        assert agent.run(check) == ""
    agent.aggregator.assert_metrics_using_metadata(metadata(), check_symmetric_inclusion=True)
