"""Counters and gauges of a day and a half in a real Prometheus, held against the emulator's ledger.

Where a range begins and ends at samples, `increase` is exact in Prometheus 2; elsewhere, and in Prometheus 3 always,
for it leaves out the sample at the range's beginning, the result is stretched by a scrape interval.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Dict, Iterator, List, Set, Union

import pytest

from maas_usage_check.standin.ledger import Ledger
from maas_usage_check.standin.models import Models

from ..conftest import NOW
from .collecting import Collecting
from .hours import COUNTS, DAY, EVERY_KEY, HOUR, NOTHING, Consumed, SentCloud, Use, queries_of_docs
from .models import (
    CURRENCY,
    MINUTE,
    MINUTE_FIELDS,
    Counted,
    Series,
    config_of,
    cost,
    newest,
    priced,
    series_in,
    series_of,
)
from .programs import find, get, prometheus_over, rows

pytestmark = pytest.mark.timeout(180)
CONFIG = """\
instances:
  - endpoint: {url}
    iam_endpoint: {url}
    cloud_eye_endpoint: {url}
    state_dir: {folder}/state
    hourly: true
    backfill_days: 1
    ranges: [last_1d]
    service_types: [preset, custom_endpoint]
    api_keys: [team-search, ""]
    per_api_key: true
    max_requests_per_minute: 180
"""
BEGAN = int(NOW * 1000)
CYCLE, SCRAPE = HOUR // 2, HOUR // 6
CYCLES = 64
LOST = {9, 39, 40}
"""Cycles that did not run."""
DOWN = range(20, 24)
"""Cycles in which the cloud failed."""
AWAY = range(45, 51)
"""Neither the plugin nor Prometheus ran."""
RESTATED = ((-9, 0.0, 5), (-3, 4.0, 8), (12, 3.0, 15), (12, 0.0, 24), (14, 2.5, 20), (15, 0.25, 22))
"""Which hour is said to be how many times its use, and after how many hours; two of them are not counted at all."""
SERVICES = {"preset": 2, "custom_endpoint": 4}
LABELS = {"": EVERY_KEY, "team-search": ("team-search",), "online_experience": ("",)}
FIRST, SECOND, THIRD = Models(3).ids()
SILENT = range(BEGAN + 100 * MINUTE, BEGAN + 430 * MINUTE)
APPEARS = BEGAN + 130 * MINUTE


class Days(Collecting):
    """Run the cycles, and keep what was scraped and what must have been."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "maas.prom"
        self.ledger = Ledger(late=True)
        self.models = Models(
            3,
            2,
            late=True,
            appears={THIRD: APPEARS},
            missing=lambda at: at // MINUTE % 37 == 5,
            busy=lambda model, at: model != SECOND or at not in SILENT,
        )
        self.cloud = SentCloud(self.ledger, self.models)
        super().__init__(folder, self.cloud, CONFIG + config_of(self.models), "prometheus")
        self.truth: Dict[Series, Union[Consumed, Counted]] = {
            **{each: Counted(self.models, each, BEGAN) for each in series_of(self.models)},
            **{
                (service, label): Consumed(self.ledger, BEGAN, service_type=number, labels=labels)
                for service, number in SERVICES.items()
                for label, labels in LABELS.items()
            },
        }
        self.counts: Dict[int, Dict[Series, Use]] = {}
        """By the time of the scrape."""
        self.seen: Set[Series] = set()
        self.samples: List[str] = []
        for began, factor, after in RESTATED:
            hour, at = BEGAN + began * HOUR, BEGAN + after * HOUR
            self.ledger.restate(hour, factor, at=at)
            self.ledger.restate(hour, factor, at=at, service_type=4, label="")
            for key in (None, self.models.keys_of(FIRST)[0]):
                self.models.restate(FIRST, key, hour, factor, at=at)

    def live(self, number: int) -> None:
        at = BEGAN + number * CYCLE
        self.cloud.is_down = number in DOWN
        if number not in AWAY and number not in LOST:
            done = self.collect(at, "--output", str(self.file))
            assert done.returncode == (1 if self.cloud.is_down else 0), done.stderr
            for each in () if self.cloud.is_down else self.truth.values():
                each.look(at)
        texts = [file.read_text() for file in self.folder.glob("maas*.prom")]
        lines = [line for text in texts for line in text.splitlines() if line.startswith("huawei_maas_")]
        seen = {each for each in self.truth if any("consumed_" in line and each[0] in line for line in lines)}
        # What comes while somebody counts is first seen at 0, so that none of it is lost.
        counts = {each: self.truth[each].most if each in self.seen else NOTHING for each in seen | self.seen}
        self.seen |= seen
        for scraped in range(at, at + CYCLE, SCRAPE) if number not in AWAY else ():
            self.samples += [f"{line} {scraped / 1000:.3f}" for line in lines]
            self.counts[scraped] = counts

    def grown(self, start: int, end: int, series: Series) -> Use:
        """Return by how much the counts must have grown between two scrapes."""
        return tuple(after - before for before, after in zip(self.counts[start][series], self.counts[end][series]))


def series_named(labels: Dict[str, str]) -> Series:
    if "maas_api_id" in labels:
        return series_in(labels)
    return labels.get("service_type", ""), labels.get("api_key_label", "")


class Store:
    """A Prometheus with the samples of those days."""

    def __init__(self, url: str, days: Days) -> None:
        self.url = url
        self.days = days
        self.times = sorted(days.counts)

    def query(self, expression: str, at: int) -> Dict[Series, float]:
        """Read the values at a moment by series, as far as the result names them."""
        found = rows(self.url, expression, at / 1000)
        named = {series_named(row["metric"]): float(row["value"][1]) for row in found}
        assert len(named) == len(found)
        return named

    def over_time(self, expression: str, step: int) -> Dict[int, Dict[Series, float]]:
        """Read the values at each step by series."""
        times = {"start": f"{BEGAN / 1000}", "end": f"{self.times[-1] / 1000}", "step": f"{step // 1000}"}
        found: Dict[int, Dict[Series, float]] = {}
        for row in get(f"{self.url}/api/v1/query_range", query=expression, **times)["data"]["result"]:
            for at, value in row["values"]:
                of_step = found.setdefault(round(at * 1000), {})
                assert series_named(row["metric"]) not in of_step
                of_step[series_named(row["metric"])] = float(value)
        return found


def counters(count: str) -> str:
    """Name a counter of services, labels, models and keys."""
    return f'{{__name__=~"huawei_maas_(model_)?(key_)?consumed_{count}_total"}}'


COSTS = '{__name__=~"huawei_maas_model_(key_)?cost_consumed_cost_total"}'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    find("prometheus", "Debian package prometheus")  # before what takes long
    folder = tmp_path_factory.mktemp("prometheus")
    days = Days(folder)
    for number in range(CYCLES):
        days.live(number)
    with prometheus_over(days.samples, folder) as url:
        yield Store(url, days)


@pytest.mark.parametrize("length", [HOUR, 6 * HOUR, DAY])
def test_increase_between_samples_is_what_the_ledger_grew_by(store: Store, length: int) -> None:
    days = store.days
    ends = [at for at in store.times if at % HOUR == 0 and at - length in days.counts]
    assert len(ends) > 5
    windows = {at: list(days.counts[at - length]) for at in ends}
    for field, count in enumerate(COUNTS):
        shown = store.over_time(f"increase({counters(count)}[{length // 1000}s])", HOUR)
        for end, known in windows.items():
            grown = {each: days.grown(end - length, end, each)[field] for each in known}
            assert {each: shown[end][each] for each in known} == grown, (count, end)
    shown = store.over_time(f"increase({COSTS}[{length // 1000}s])", HOUR)
    for end, known in windows.items():
        models = [each for each in known if each in priced(days.models)]
        costs = {each: float(cost(days.models, each[0], days.grown(end - length, end, each))) for each in models}
        assert {each: shown[end][each] for each in models} == pytest.approx(costs)


@pytest.mark.parametrize("field", range(len(COUNTS)))
def test_counters_are_what_the_hours_added_up_to_and_never_fall(store: Store, field: int) -> None:
    shown = store.over_time(counters(COUNTS[field]), CYCLE)
    for at in (one for one in store.times if one in shown):
        assert shown[at] == {series: counts[field] for series, counts in store.days.counts[at].items()}, at
    assert len(shown) == CYCLES - len(AWAY)
    resets = store.query(f"resets({counters(COUNTS[field])}[10d])", store.times[-1])
    assert set(resets) == set(store.days.truth)
    assert not any(resets.values())


def test_costs_are_those_of_the_counted_tokens_in_decimal_arithmetic(store: Store) -> None:
    days = store.days
    shown = store.over_time(COSTS, CYCLE)
    for at in (one for one in store.times if one in shown):
        assert shown[at] == {
            series: float(cost(days.models, series[0], days.counts[at][series])) for series in priced(days.models)
        }
    assert {row["metric"]["currency"] for row in rows(store.url, COSTS, store.times[-1] / 1000)} == {CURRENCY}


def test_increase_over_all_is_the_use_since_the_beginning_also_of_a_model_that_came_later(store: Store) -> None:
    days, last, new = store.days, store.times[-1], (THIRD, "")
    came = min(at for at, counts in days.counts.items() if new in counts)
    assert APPEARS < came <= APPEARS + HOUR + 2 * CYCLE
    assert store.query(counters("tokens"), came)[new] == 0
    shown = store.query(f"increase({counters('tokens')}[{(last - BEGAN) // 1000}s])", last)
    # What was taken back is long made up, so that nothing is held any more.
    for series in (("preset", ""), ("custom_endpoint", ""), new):
        assert shown[series] == days.truth[series].known(BEGAN + (CYCLES - 1) * CYCLE)[0] > 0
    assert days.counts[BEGAN]["preset", ""] == NOTHING


def test_the_queries_of_the_docs_give_the_ledgers_numbers(store: Store) -> None:
    days, end = store.days, store.times[-1] // HOUR * HOUR

    def grown(start: int, label: str = "") -> int:
        return sum(days.grown(start, end, (service, label))[0] for service in SERVICES)

    *totals, by_key = queries_of_docs("promql")
    # "This month" is as long as the data here.
    for query, start in zip(totals, (end - HOUR, end - DAY, end // DAY * DAY, BEGAN)):
        shown = store.query(query.replace("$__range", f"{(end - start) // 1000}s"), end)
        assert shown == {("", ""): grown(start)}
    assert store.query(by_key, end) == {("", label): grown(end - DAY, label) for label in LABELS if label}


@pytest.mark.parametrize("length", [HOUR, 6 * HOUR])
def test_where_a_range_does_not_end_at_samples_it_is_stretched_by_a_scrape_interval(store: Store, length: int) -> None:
    stretches = []
    for end in (at for at in store.times if at % HOUR == 0):
        if set(range(end - length, end, SCRAPE)) <= set(store.times):
            # From the first sample in the range to the last one.
            between = store.days.grown(end - length + SCRAPE, end, ("preset", ""))[0]
            query = f"increase(huawei_maas_consumed_tokens_total[{length // 1000}s])"
            stretches += [store.query(query, end + SCRAPE // 2)["preset", ""] / between] if between else []
    # Of a counter that is near 0 the range's beginning is not stretched below 0.
    assert min(stretches) >= 1
    assert max(stretches) == pytest.approx(length / (length - SCRAPE))


@pytest.mark.parametrize("field", MINUTE_FIELDS)
def test_each_cycle_shows_the_newest_complete_minute_and_none_that_is_old(store: Store, field: str) -> None:
    days, silent = store.days, 0
    shown = store.over_time(f'{{__name__=~"huawei_maas_model_(key_)?{field}"}}', CYCLE)
    for number in set(range(CYCLES)) - set(AWAY) - LOST:
        at = BEGAN + number * CYCLE
        known = [each for each in days.counts[at] if each[0] not in SERVICES] if number not in DOWN else []
        if SILENT.stop <= at < SILENT.stop + HOUR:  # it may not be listed yet: the list is read once an hour
            known = [each for each in known if each in shown[at] or each[0] != SECOND]
        truth = {each: newest(days.models, each, at) for each in known}
        assert shown.get(at, {}) == {each: fields[field] for each, fields in truth.items() if field in fields}, at
        silent += (SECOND, "") in known and (SECOND, "") not in shown[at]
    assert silent > 5


def test_promtool_finds_nothing_wrong_with_the_metrics(store: Store) -> None:
    with open(store.days.file, "rb") as metrics:
        checked = subprocess.run([find("promtool"), "check", "metrics"], stdin=metrics, capture_output=True, timeout=30)
    text = store.days.file.read_bytes()
    assert b"# TYPE huawei_maas_key_consumed_errors_total counter" in text
    assert b"# TYPE huawei_maas_model_key_cost_consumed_cost_total counter" in text
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
