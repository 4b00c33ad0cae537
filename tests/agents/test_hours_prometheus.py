"""Counters of two and a half simulated days in a real Prometheus, held against the emulator's ledger.

Where a range begins and ends at samples, `increase` is exact in Prometheus 2; elsewhere, and in Prometheus 3 always,
for it leaves out the sample at the range's beginning, the result is stretched by a scrape interval.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from maas_usage_check.standin.ledger import Ledger
from maas_usage_check.standin.server import serving

from .. import shifted_clock
from ..conftest import NOW
from .account import AK, SK
from .hours import COUNTS, DAY, EVERY_KEY, HOUR, NOTHING, Consumed, SentCloud, Use, queries_of_docs
from .programs import ROOT, find, get, prometheus_over, run, wait

pytestmark = pytest.mark.timeout(180)
CONFIG = """\
instances:
  - endpoint: {url}
    iam_endpoint: {url}
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
CYCLE, SCRAPE = HOUR // 2, HOUR // 12
CYCLES = 120
LOST = {9, 57, 58}
"""Cycles that did not run."""
DOWN = range(20, 24)
"""Cycles in which the cloud failed."""
AWAY = range(83, 90)
"""Neither the plugin nor Prometheus ran."""
RESTATED = ((-9, 0.0, 5), (-3, 4.0, 8), (18, 5.0, 22), (18, 0.0, 36), (20, 2.5, 31), (21, 0.25, 44))
"""Which hour is said to be how many times its use, and after how many hours; two of them are not counted at all."""
SERVICES = {"preset": 2, "custom_endpoint": 4}
LABELS = {"": EVERY_KEY, "team-search": ("team-search",), "online_experience": ("",)}
Series = Tuple[str, str]
"""A service type and a label; the label of the whole is empty."""


class Days:
    """Run the cycles by the test's clock, and keep what was scraped and what must have been."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "maas.prom"
        self.ledger = Ledger(late=True)
        self.cloud = SentCloud(self.ledger)
        self.truth = {
            (service, label): Consumed(self.ledger, BEGAN, service_type=number, labels=labels)
            for service, number in SERVICES.items()
            for label, labels in LABELS.items()
        }
        self.counts: Dict[int, Dict[Series, Use]] = {}
        """By the time of the scrape."""
        self.samples: List[str] = []

    def restate(self) -> None:
        """Have hours restated when an hour begins: the next cycle sees it."""
        for began, factor, after in RESTATED:
            self.ledger.restate(BEGAN + began * HOUR, factor, at=BEGAN + after * HOUR)
            self.ledger.restate(BEGAN + began * HOUR, factor, at=BEGAN + after * HOUR, service_type=4, label="")

    def live(self, number: int) -> None:
        at = BEGAN + number * CYCLE
        self.cloud.is_down = number in DOWN
        if number not in AWAY and number not in LOST:
            done = self.collect(at)
            assert done.returncode == (1 if self.cloud.is_down else 0), done.stderr
            if not self.cloud.is_down:
                for each in self.truth.values():
                    each.look(at)
        if number not in AWAY:
            for scraped in range(at, at + CYCLE, SCRAPE):
                self.scrape(scraped)

    def collect(self, at: int) -> subprocess.CompletedProcess[str]:
        shift = self.folder / "shift"
        shifted_clock.write_shift(str(shift), at / 1000 - time.time())
        command = [sys.executable, shifted_clock.__file__, str(shift), "collect"]
        options = ["--config", str(self.folder / "conf.yaml"), "--format", "prometheus", "--output", str(self.file)]
        keys = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "PYTHONPATH": str(ROOT)}
        return run([*command, *options], self.folder, **keys)

    def scrape(self, at: int) -> None:
        lines = [line for line in self.file.read_text().splitlines() if re.match(r"huawei_maas_\w*consumed_", line)]
        self.samples += [f"{line} {at / 1000:.3f}" for line in lines]
        self.counts[at] = {series: each.most for series, each in self.truth.items()}

    def grown(self, start: int, end: int, series: Series) -> Use:
        """Tell by how much the counts must have grown between two scrapes."""
        return tuple(after - before for before, after in zip(self.counts[start][series], self.counts[end][series]))


class Store:
    """A Prometheus with the samples of those days."""

    def __init__(self, url: str, days: Days) -> None:
        self.url = url
        self.days = days
        self.times = sorted(days.counts)

    def query(self, expression: str, at: int) -> Dict[Series, float]:
        """Read the values at a moment by series, as far as the result names them."""
        answer = get(f"{self.url}/api/v1/query", query=expression, time=f"{at / 1000:.3f}")
        found: List[Dict[str, Any]] = answer["data"]["result"]
        named = [(row["metric"].get("service_type", ""), row["metric"].get("api_key_label", "")) for row in found]
        return {name: float(row["value"][1]) for name, row in zip(named, found)}

    def windows(self, length: int) -> List[Tuple[int, int]]:
        """List the windows of full hours whose both ends were scraped."""
        return [(at - length, at) for at in self.times if at % HOUR == 0 and at - length in self.days.counts]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    find("prometheus", "Debian package prometheus")  # before what takes long
    folder = tmp_path_factory.mktemp("prometheus")
    days = Days(folder)
    days.restate()
    with serving(days.cloud) as url:
        (folder / "conf.yaml").write_text(CONFIG.format(url=url, folder=folder))
        for number in range(CYCLES):
            days.live(number)
    with prometheus_over(days.samples, folder) as url:
        store = Store(url, days)
        wait(lambda: store.query("huawei_maas_consumed_tokens_total", store.times[-1]), "Prometheus")
        yield store


@pytest.mark.parametrize("length", [HOUR, 6 * HOUR, DAY, 2 * DAY])
def test_increase_between_samples_is_what_the_ledger_grew_by(store: Store, length: int) -> None:
    windows = store.windows(length)
    assert len(windows) > 5
    for start, end in windows:
        for field, count in enumerate(COUNTS):
            for metric, whole in (("huawei_maas_consumed", True), ("huawei_maas_key_consumed", False)):
                shown = store.query(f"increase({metric}_{count}_total[{length // 1000}s])", end)
                series = [each for each in store.days.truth if whole is not bool(each[1])]
                assert shown == {each: store.days.grown(start, end, each)[field] for each in series}


def test_increase_over_all_is_the_use_of_the_hours_that_ended_since_the_beginning(store: Store) -> None:
    first, last = store.times[0], store.times[-1]
    shown = store.query(f"increase(huawei_maas_consumed_tokens_total[{(last - first) // 1000}s])", last)
    for service in SERVICES:
        truth = store.days.truth[service, ""]
        # What was taken back is long made up, so that nothing is held any more.
        assert shown[service, ""] == truth.known(BEGAN + (CYCLES - 1) * CYCLE)[0] > 0
        assert store.days.counts[first][service, ""] == NOTHING


def test_counters_never_fall(store: Store) -> None:
    for metric in ("huawei_maas_consumed", "huawei_maas_key_consumed"):
        for count in COUNTS:
            resets = store.query(f"resets({metric}_{count}_total[10d])", store.times[-1])
            assert resets
            assert not any(resets.values())


def test_the_queries_of_the_docs_give_the_ledgers_numbers(store: Store) -> None:
    days, end = store.days, store.times[-1] // HOUR * HOUR
    midnight = end // DAY * DAY

    def grown(start: int, label: str = "") -> int:
        return sum(days.grown(start, end, (service, label))[0] for service in SERVICES)

    *totals, by_key = queries_of_docs("promql")
    # "This month" is as long as the data here.
    for query, start in zip(totals, (end - HOUR, end - DAY, midnight, end - 2 * DAY)):
        shown = store.query(query.replace("$__range", f"{(end - start) // 1000}s"), end)
        assert shown == {("", ""): grown(start)}
    assert store.query(by_key, end) == {("", label): grown(end - DAY, label) for label in LABELS if label}


@pytest.mark.parametrize("length", [HOUR, DAY])
def test_where_a_range_does_not_end_at_samples_it_is_stretched_by_a_scrape_interval(store: Store, length: int) -> None:
    stretches = []
    for start, end in store.windows(length):
        if set(range(start, end, SCRAPE)) <= set(store.times):
            # From the first sample in the range to the last one.
            between = store.days.grown(start + SCRAPE, end, ("preset", ""))[0]
            query = f"increase(huawei_maas_consumed_tokens_total[{length // 1000}s])"
            stretches += [store.query(query, end + SCRAPE // 2)["preset", ""] / between] if between else []
    # Of a counter that is near 0 the range's beginning is not stretched below 0.
    assert min(stretches) >= 1
    assert max(stretches) == pytest.approx(length / (length - SCRAPE))


def test_promtool_finds_nothing_wrong_with_counters(store: Store) -> None:
    with open(store.days.file, "rb") as metrics:
        checked = subprocess.run([find("promtool"), "check", "metrics"], stdin=metrics, capture_output=True, timeout=30)
    assert b"# TYPE huawei_maas_key_consumed_errors_total counter" in store.days.file.read_bytes()
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
