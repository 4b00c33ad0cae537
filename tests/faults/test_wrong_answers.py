"""One wrong answer of an otherwise correct cloud makes no known hour and no count wrong."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maas_usage_check import cloud
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage

from ..agents.collect_runner import CollectRunner
from ..agents.demo_account import AK, SK
from ..agents.expected_hours import EVERY_KEY
from ..conftest import NOW

HOUR = 3_600_000
MINUTE = 60_000
BEGIN = int(NOW * 1000)
ALL_KNOWN = BEGIN + 360 * MINUTE
"""When all hours are known."""
DAYS = 3
Series = Tuple[str, str]
Change = Callable[["Account", Dict[str, Any], Dict[str, Any]], Any]


class Account(CollectRunner):
    """An account whose hours are known. `change` alters the answer to the request number `place` of a cycle."""

    def __init__(self, folder: Path) -> None:
        emulator = Emulator({AK: SK}, usage=SimulatedUsage(), models=SimulatedModels(2, 1))
        emulator.requests_per_minute = 10**6
        entry = {"project_id": PROJECT_ID, "hourly": True, "models": True, "backfill_days": DAYS, "ranges": ["last_1d"]}
        super().__init__(folder, emulator, "json", {**entry, "max_requests_per_minute": 80_000, "max_concurrency": 1})
        self.change: Optional[Change] = None
        self.place = self.requests = 0
        self.series: List[Series] = [("", "")]
        self.series += [
            (model, key) for model in emulator.models.ids() for key in ("", *emulator.models.key_ids(model))
        ]
        self.hours: Dict[Series, Dict[int, Tuple[int, ...]]] = {each: {} for each in self.series}

    def transport(self, request: cloud.Request, timeout: float) -> cloud.Response:
        answer = super().transport(request, timeout)
        body = json.loads(request.body or b"{}")
        if self.is_range(body):
            return answer
        self.requests += 1
        if self.change and self.requests == self.place:
            changed = self.change(self, body, json.loads(answer.body))
            return cloud.Response(200, answer.headers, json.dumps(changed).encode())
        return answer

    def is_range(self, body: Dict[str, Any]) -> bool:
        return "end_time" in body and body["end_time"] % HOUR != HOUR - 1

    def cycle(self, now: int, output_format: str = "json") -> str:
        """Run a cycle at `now`, milliseconds; record its hours; return its output or, with JSON, its log."""
        self.output_format, self.requests = output_format, 0
        done = self.collect(now)
        assert (done.returncode, "bug in this plugin" in done.stderr) == (0, False), done.stderr
        for line in done.stdout.splitlines() if output_format == "json" else ():
            point = json.loads(line)
            if re.fullmatch("huawei_maas(_model)?(_key)?_hourly", point["measurement"]):
                series = (point["tags"].get("maas_api_id", ""), point["tags"].get("maas_key_id", ""))
                at, (*values, settled) = point["time"] // 1_000_000, point["fields"].values()
                self.hours[series][at] = tuple(values)
                # A restated hour may keep its old value for a while.
                valid = [self.truth(series, at, when) for when in (now, ALL_KNOWN - 1)]
                assert not settled or tuple(values) in valid, (series, at)
        return done.stdout if output_format == "prometheus" else done.stderr

    def truth(self, series: Series, at: int, now: int) -> Tuple[int, ...]:
        if not series[0]:
            return self.emulator.usage.hour(2, "real_time", EVERY_KEY, at, now)[:5]
        return self.emulator.models.hour(series[0], series[1] or None, at, now)[:5]

    def counts(self, now: int) -> Dict[Series, int]:
        found = re.findall(r"^huawei_maas\w*_consumed_tokens_total{(.*)} (\d+)", self.cycle(now, "prometheus"), re.M)
        return {(tag("maas_api_id", tags), tag("maas_key_id", tags)): int(tokens) for tags, tokens in found}

    def check(self, now: int) -> None:
        """Compare every hour that ended, and every count, with the cloud."""
        for series, hours in self.hours.items():
            first, end = BEGIN // HOUR * HOUR - DAYS * 24 * HOUR, now // HOUR * HOUR
            for at in range(first, end - 4 * HOUR, HOUR):
                assert hours[at] == self.truth(series, at, now), (series, at)
        assert self.counts(now) == {
            series: sum(self.truth(series, at, now)[0] for at in range(BEGIN // HOUR * HOUR, end, HOUR))
            for series in self.series
        }


def tag(name: str, tags: str) -> str:
    return "".join(re.findall(f'{name}="(.*?)"', tags))


def change_numbers(change: Callable[[float], Any]) -> Change:
    """Change every number of an answer of either source."""

    def changed(account: Account, body: Dict[str, Any], answer: Dict[str, Any]) -> Dict[str, Any]:
        for each in answer.get("metrics", ()):
            for point in each.get("datapoints", ()):
                point.update({name: change(value) for name, value in point.items() if name != "timestamp"})
        return {name: change(value) if name.startswith("total_") else value for name, value in answer.items()}

    return changed


def stale_answer(account: Account, body: Dict[str, Any], answer: Dict[str, Any]) -> Dict[str, Any]:
    """Answer as of six hours ago."""
    if "start_time" in body:
        return account.emulator.usage.totals(body, body["end_time"] - 6 * HOUR)
    for each in answer.get("metrics", ()):
        each["datapoints"] = each.get("datapoints", [])[:-6]
    return answer


def change_metrics(change: Callable[[Dict[str, Any]], Optional[Dict[str, Any]]]) -> Change:
    """Change or drop each metric of an answer of Cloud Eye, its list of metrics included."""
    return lambda account, body, answer: (
        {**answer, "metrics": list(filter(None, map(change, answer["metrics"])))} if "metrics" in answer else answer
    )


def is_even(metric: Dict[str, Any]) -> bool:
    return len(str(metric["dimensions"]) + metric["metric_name"]) % 2 == 0


WRONG_ANSWERS: Dict[str, Change] = {
    "zeros": change_numbers(lambda value: 0),
    "a part": change_numbers(lambda value: value // 2),
    "doubled": change_numbers(lambda value: value * 2),
    "old": stale_answer,
    "no metrics": change_metrics(lambda each: None),
    "half of the metrics": change_metrics(lambda each: each if is_even(each) else None),
    "no data points": change_metrics(lambda each: {**each, "datapoints": []}),
    "no total": change_metrics(lambda each: None if each["metric_name"] == "total_tokens" else each),
    "an empty total": change_metrics(
        lambda each: {**each, **({"datapoints": []} if each["metric_name"] == "total_tokens" else {})}
    ),
    "nothing": lambda account, body, answer: {},
}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an account all of whose hours were emitted to two consumers."""
    account = Account(tmp_path_factory.mktemp("known"))
    for minutes in (0, 5, 65, 70):
        account.cycle(BEGIN + minutes * MINUTE)
        account.counts(BEGIN + minutes * MINUTE)
    account.cycle(ALL_KNOWN)
    account.check(ALL_KNOWN)
    return account.folder


@pytest.fixture
def run_cycles(known: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., int]:
    """Return a function that runs a cycle with one wrong answer and then an hour of cycles.

    It returns the number of requests of the first cycle.
    """

    def run(kind: str, place: int, factor: float = 1.0, ago: int = 5, minutes: int = 60) -> int:
        folder = tmp_path_factory.mktemp("one")
        shutil.copytree(known / "state", folder / "state")
        account, now = Account(folder), ALL_KNOWN + minutes * MINUTE
        for series in account.series:
            hours = range(BEGIN // HOUR * HOUR - DAYS * 24 * HOUR, ALL_KNOWN // HOUR * HOUR, HOUR)
            account.hours[series] = {at: account.truth(series, at, ALL_KNOWN) for at in hours}
        if factor != 1.0:
            restated = BEGIN // HOUR * HOUR - ago * HOUR
            account.emulator.usage.restate(restated, factor, ALL_KNOWN)
            # The sweep of models reads the last 26 hours every hour, and older hours once a day.
            recent = max(restated, BEGIN - 15 * HOUR)
            account.emulator.models.restate(account.series[1][0], None, recent, factor, ALL_KNOWN)
        account.change, account.place = WRONG_ANSWERS[kind], place
        account.cycle(now)
        account.change, requests = None, account.requests
        for later in (5, 60, 65):
            account.cycle(now + later * MINUTE)
        account.check(now + 70 * MINUTE)
        return requests

    return run


@pytest.mark.parametrize("kind", WRONG_ANSWERS)
def test_wrong_answer(run_cycles: Callable[..., int], kind: str) -> None:
    """No settled point and no count is wrong, whichever request of a cycle gets the wrong answer."""
    requests = 9
    for place in range(1, 30):
        requests = run_cycles(kind, place) if place <= requests else 0
    assert not requests


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(WRONG_ANSWERS)), st.integers(1, 12), st.sampled_from([0.0, 0.5, 2.0]),
    st.integers(5, DAYS * 24 - 5), st.sampled_from([5, 60]),
)  # fmt: skip
def test_wrong_answer_and_restatement(
    run_cycles: Callable[..., int], kind: str, place: int, factor: float, ago: int, minutes: int
) -> None:
    """A restatement is emitted within an hour and a cycle despite a wrong answer."""
    run_cycles(kind, place, factor, ago, minutes)


@pytest.mark.parametrize("days", [-20, 20])
def test_wrong_clock_at_the_first_start(tmp_path: Path, days: int) -> None:
    """A history begins with the first answer: past usage is not counted as new after a refused cycle."""
    account = Account(tmp_path)
    account.emulator.now, off = lambda: NOW, days * 86_400.0
    account.output_format = "prometheus"
    account.clock.set_by(off)
    assert account.collect(BEGIN + days * 24 * HOUR).returncode == 1
    account.clock.set_by(-off)
    account.emulator.now = account.clock.now
    assert set(account.counts(BEGIN).values()) == {0}
    account.cycle(BEGIN)
    for minutes in (5, 360):
        account.cycle(BEGIN + minutes * MINUTE)
        account.check(BEGIN + minutes * MINUTE)
