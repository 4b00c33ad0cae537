"""A simulated week of counts under the Agent's real base library, held against the emulator's ledger."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest
from werkzeug import Request, Response

from maas_usage_check.standin.ledger import Ledger

from ..conftest import Cloud, FixedClock, NOW
from .conftest import need_library
from .hours import COUNTS, EVERY_KEY, HOUR, NOTHING, Consumed, Use, added

need_library("datadog_checks.base")

Make = Callable[..., Any]
Series = Tuple[str, str]
"""A service type and a label; the label of the whole is empty."""
SERVICES = {"preset": 2, "custom_endpoint": 4}
LABELS = {"": EVERY_KEY, "team-search": ("team-search",)}


class OnTheHour(Ledger):
    """An account of which the cloud says something new at full hours alone: the next cycle sees all of it."""

    def totals(self, asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        return super().totals(asked, now // HOUR * HOUR)


class Agent:
    """Run one check after the other by the hands of the test's clock, and add up what was submitted."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, aggregator: Any) -> None:
        cloud.emulator.ledger = self.ledger = OnTheHour(late=True, restating=True)
        clock.at = NOW + 1200
        self.cloud, self.hands, self.make, self.aggregator = cloud, hands, make, aggregator
        self.began = int(clock.at * 1000)
        self.entry = cloud.entry(
            hourly=True,
            backfill_days=1,
            ranges=["last_1d"],
            service_types=list(SERVICES),
            api_keys=["team-search"],
            per_api_key=True,
            min_collection_interval=1800,
            max_requests_per_minute=180,
        )

    def truth(self) -> Dict[Series, Consumed]:
        return {
            (service, label): Consumed(self.ledger, self.began, service_type=number, labels=labels)
            for service, number in SERVICES.items()
            for label, labels in LABELS.items()
        }

    def look(self, truth: Dict[Series, Consumed]) -> None:
        for each in truth.values():
            each.look(int(self.clock.at * 1000) // HOUR * HOUR)

    def at(self, minutes: float) -> None:
        self.clock.at = self.began / 1000 + minutes * 60

    def run(self, check: Any) -> Tuple[str, Dict[Series, Use]]:
        """Run a check once; return the error and the counts that were submitted."""
        self.aggregator.reset()
        report = check.run()
        found: Dict[Series, List[int]] = {}
        for count in COUNTS:
            for metric in (*self._metrics("consumed", count), *self._metrics("key_consumed", count)):
                assert (metric.type, metric.value >= 0) == (self.aggregator.COUNT, True)
                found.setdefault(series(metric.tags), []).append(int(metric.value))
        assert all(len(values) == len(COUNTS) for values in found.values())
        submitted = {each: tuple(values) for each, values in found.items()}
        return (json.loads(report)[0]["message"] if report else ""), submitted

    def _metrics(self, measurement: str, count: str) -> List[Any]:
        return list(self.aggregator.metrics(f"huawei_maas.{measurement}.{count}"))


def series(tags: List[str]) -> Series:
    named = dict(tag.split(":", 1) for tag in tags)
    return named["service_type"], named.get("api_key_label", "")


def fail(request: Request) -> Response:
    return Response(b"{}", 503)


def fail_hours(request: Request) -> Optional[Response]:
    body = json.loads(request.get_data() or b"{}")
    asks_hours = "end_time" in body and (body["end_time"] + 1) % HOUR == 0
    return Response(b'{"error_msg": "no"}', 400, content_type="application/json") if asks_hours else None


@pytest.fixture
def agent(cloud: Cloud, clock: FixedClock, make_check: Make, aggregator: Any) -> Agent:
    return Agent(cloud, hands, make_check, aggregator)


@pytest.mark.timeout(120)
def test_the_counts_of_a_week_of_troubles_add_up_to_the_hours_and_nothing_is_counted_twice(agent: Agent) -> None:
    started = agent.began // HOUR * HOUR
    for began, factor, after in ((-5, 3.0, 9), (10, 0.0, 31), (40, 0.0, 44), (41, 5.0, 60), (70, 0.0, 100)):
        agent.ledger.restate(started + began * HOUR, factor, at=started + after * HOUR)
    truth = agent.truth()
    total: Dict[Series, Use] = dict.fromkeys(truth, NOTHING)
    start, check_id, entry = 1, "maas_usage_check:c0ffee", agent.entry
    check = agent.make(entry, agent.hands, start, check_id)
    held = 0
    for minutes in range(0, 7 * 24 * 60, 10):
        hour, agent.cloud.always = minutes // 60, None
        is_down = 20 <= hour < 26 or 90 <= hour < 108
        no_hours = 50 <= hour < 55
        if is_down or no_hours:
            agent.cloud.always = fail if is_down else fail_hours
        if minutes in (17 * 60, 93 * 60, 130 * 60):  # the Agent is started anew
            start += 1
            check = agent.make(entry, agent.hands, start, check_id)
        if minutes == 66 * 60:  # the configuration is changed, and so the check's id
            entry, check_id = {**entry, "min_collection_interval": 3600}, "maas_usage_check:decaf"
            check = agent.make(entry, agent.hands, start, check_id)
        agent.at(minutes)
        asked = len(agent.cloud.seen)
        error, submitted = agent.run(check)
        if asked == len(agent.cloud.seen):  # the last gauges are repeated
            assert not submitted
        elif is_down:
            assert error
            assert not submitted
        else:
            assert not error
            assert set(submitted) == set(truth)
            if not no_hours:
                agent.look(truth)
        total.update({each: added(total[each], counts) for each, counts in submitted.items()})
        assert total == {each: one.most for each, one in truth.items()}
        now = int(agent.clock.at * 1000) // HOUR * HOUR
        held += truth["preset", ""].most[0] > truth["preset", ""].known(now)[0]
    assert held > 0
    assert all(one.most > NOTHING for one in truth.values())


def test_two_checks_over_one_state_each_get_all_and_what_the_other_asked_too(agent: Agent) -> None:
    checks = [
        agent.make({**agent.entry, "tags": [f"view:{name}"]}, agent.hands, check_id=f"maas_usage_check:{name}")
        for name in ("one", "two")
    ]
    truth = agent.truth()
    totals: List[Dict[Series, Use]] = [dict.fromkeys(truth, NOTHING) for _ in checks]
    for minutes in range(0, 36 * 60, 15):
        agent.cloud.always = fail if 11 <= minutes // 60 < 14 else None
        agent.at(minutes)
        number = minutes // 15 % 2
        error, submitted = agent.run(checks[number])
        assert bool(error) == bool(agent.cloud.always)
        if not error:
            agent.look(truth)
        total = totals[number]
        total.update({each: added(total[each], counts) for each, counts in submitted.items()})
        assert total == {each: one.most for each, one in truth.items()}
    assert totals[0]["preset", ""][0] > 0
