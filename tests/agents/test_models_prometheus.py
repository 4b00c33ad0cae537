"""Gauges and counters of models in a real Prometheus through half a simulated day, held against the emulator's ledger.

Where a range begins and ends at samples, `increase` is exact in Prometheus 2; see the test of the hours.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple

import pytest

from maas_usage_check.standin.ledger import Ledger
from maas_usage_check.standin.models import Models
from maas_usage_check.standin.server import serving

from .. import shifted_clock
from ..conftest import NOW
from .account import AK, SK
from .hours import COUNTS, HOUR, NOTHING, SentCloud, Use
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
from .programs import ROOT, find, get, prometheus_over, run, wait

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
    max_requests_per_minute: 180
"""
BEGAN = int(NOW * 1000)
CYCLE = 15 * MINUTE
CYCLES = 52
LOST = {9, 10, 31}
"""Cycles that did not run."""
DOWN = range(20, 24)
"""Cycles in which the cloud failed."""
AWAY = range(36, 42)
"""Neither the plugin nor Prometheus ran."""
FIRST, SECOND, THIRD = Models(3).ids()
SILENT = range(BEGAN + 100 * MINUTE, BEGAN + 330 * MINUTE)
APPEARS = BEGAN + 130 * MINUTE
RESTATED = ((-9, 0.0, 5), (-1, 3.0, 2), (3, 4.0, 6), (3, 0.0, 11), (4, 0.25, 12), (5, 2.5, 8))
"""Which hour is said to be how many times its use, and after how many hours; the first two are not counted at all."""


class OnTheMinute(Models):
    """An account of which Cloud Eye says something new at full minutes alone: a process may take its time."""

    def there(self, model: str, start: int, now: int) -> bool:
        return super().there(model, start, now // MINUTE * MINUTE)


class HalfADay:
    """Run the cycles by the test's clock, and keep what was scraped and what must have been."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "maas.prom"
        self.models = OnTheMinute(
            3,
            2,
            late=True,
            appears={THIRD: APPEARS},
            missing=lambda at: at // MINUTE % 37 == 5,
            busy=lambda model, at: model != SECOND or at not in SILENT,
        )
        self.cloud = SentCloud(Ledger(), self.models)
        self.truth = {each: Counted(self.models, each, BEGAN) for each in series_of(self.models)}
        self.counts: Dict[int, Dict[Series, Use]] = {}
        """By the time of the scrape."""
        self.seen: Set[Series] = set()
        self.samples: List[str] = []
        for began, factor, after in RESTATED:
            for key in (None, self.models.keys_of(FIRST)[0]):
                self.models.restate(FIRST, key, BEGAN + began * HOUR, factor, at=BEGAN + after * HOUR)

    def live(self, number: int) -> None:
        at = BEGAN + number * CYCLE
        self.cloud.is_down = number in DOWN
        if number in AWAY or number in LOST:
            return
        done = self.collect(at)
        assert done.returncode == (1 if self.cloud.is_down else 0), done.stderr
        if not self.cloud.is_down:
            for each in self.truth.values():
                each.look(at)
        text = "".join(file.read_text() for file in self.folder.glob("maas*.prom"))
        lines = [line for line in text.splitlines() if line.startswith("huawei_maas_model")]
        self.samples += [f"{line} {at / 1000:.3f}" for line in lines]
        seen = {series for series in self.truth if any("consumed_" in line and series[0] in line for line in lines)}
        # What comes while somebody counts is first seen at 0, so that none of it is lost.
        self.counts[at] = {each: self.truth[each].most if each in self.seen else NOTHING for each in seen | self.seen}
        self.seen |= seen

    def collect(self, at: int) -> subprocess.CompletedProcess[str]:
        shift = self.folder / "shift"
        shifted_clock.write_shift(str(shift), at / 1000 - time.time())
        command = [sys.executable, shifted_clock.__file__, str(shift), "collect"]
        options = ["--config", str(self.folder / "conf.yaml"), "--format", "prometheus", "--output", str(self.file)]
        keys = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "PYTHONPATH": str(ROOT)}
        return run([*command, *options], self.folder, **keys)

    def seen_at(self, at: int) -> Set[Series]:
        """Tell which series were on a list by then, as their counters show."""
        return set(self.counts[at])


class Store:
    """A Prometheus with the samples of that time."""

    def __init__(self, url: str, day: HalfADay) -> None:
        self.url = url
        self.day = day
        self.times = sorted(day.counts)

    def query(self, expression: str, at: int) -> List[Dict[str, Any]]:
        found: List[Dict[str, Any]] = get(
            f"{self.url}/api/v1/query", query=expression, time=f"{at / 1000:.3f}"
        )["data"]["result"]  # fmt: skip
        return found

    def by_series(self, expression: str, metric: str, at: int) -> Dict[Series, float]:
        """Read the values of a metric at a moment, of models and by key; `{}` stands for its name in the expression."""
        names = (f"huawei_maas_model_{metric}", f"huawei_maas_model_key_{metric}")
        rows = [row for name in names for row in self.query(expression.format(name), at)]
        found = {series_in(row["metric"]): float(row["value"][1]) for row in rows}
        assert len(found) == len(rows)
        return found

    def windows(self, length: int) -> List[Tuple[int, int]]:
        return [(at - length, at) for at in self.times if at - length in self.day.counts]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    find("prometheus", "Debian package prometheus")  # before what takes long
    folder = tmp_path_factory.mktemp("prometheus")
    day = HalfADay(folder)
    with serving(day.cloud) as url:
        (folder / "conf.yaml").write_text(CONFIG.format(url=url, folder=folder) + config_of(day.models))
        for number in range(CYCLES):
            day.live(number)
    with prometheus_over(day.samples, folder) as url:
        store = Store(url, day)
        wait(lambda: store.query("huawei_maas_model_consumed_tokens_total", store.times[-1]), "Prometheus")
        yield store


@pytest.mark.parametrize("field", MINUTE_FIELDS)
def test_each_cycle_shows_the_newest_complete_minute_and_none_that_is_old(store: Store, field: str) -> None:
    day, silent = store.day, 0
    for at in store.times:
        known = day.seen_at(at) if (at - BEGAN) // CYCLE not in DOWN else ()
        truth = {each: newest(day.models, each, at + 1000) for each in known}
        shown = store.by_series("{}", field, at)
        assert shown == {each: fields[field] for each, fields in truth.items() if field in fields}, at
        silent += (SECOND, "") in known and (SECOND, "") not in shown
    assert silent > 5


@pytest.mark.parametrize("field", range(len(COUNTS)))
def test_counters_are_what_the_hours_added_up_to(store: Store, field: int) -> None:
    for at in store.times:
        shown = store.by_series("{}", f"consumed_{COUNTS[field]}_total", at)
        assert shown == {series: counts[field] for series, counts in store.day.counts[at].items()}, at
    for resets in store.by_series("resets({}[10d])", f"consumed_{COUNTS[field]}_total", store.times[-1]).values():
        assert resets == 0


def test_a_model_that_comes_is_first_seen_at_0_and_then_counted_from_its_first_token_on(store: Store) -> None:
    day, new = store.day, (THIRD, "")
    came = min(at for at, counts in day.counts.items() if new in counts)
    assert APPEARS < came <= APPEARS + HOUR + 2 * CYCLE
    assert store.by_series("{}", "consumed_tokens_total", came)[new] == 0
    last = store.times[-1]
    whole = store.by_series(f"increase({{}}[{(last - BEGAN) // 1000}s])", "consumed_tokens_total", last)
    assert whole[new] == day.truth[new].known(last)[0] > 0


@pytest.mark.parametrize("length", [HOUR, 3 * HOUR, 9 * HOUR])
def test_increase_between_samples_is_what_the_hours_grew_by(store: Store, length: int) -> None:
    windows = store.windows(length)
    assert len(windows) > 5
    for start, end in windows:
        before, after = store.day.counts[start], store.day.counts[end]
        grown = {each: tuple(b - a for a, b in zip(before[each], after[each])) for each in before}
        for field, count in enumerate(COUNTS):
            shown = store.by_series(f"increase({{}}[{length // 1000}s])", f"consumed_{count}_total", end)
            assert {each: shown[each] for each in grown} == {each: use[field] for each, use in grown.items()}
        shown = store.by_series(f"increase({{}}[{length // 1000}s])", "cost_consumed_cost_total", end)
        models = store.day.models
        costs = {each: float(cost(models, each[0], grown[each])) for each in grown if each in priced(models)}
        assert {each: shown[each] for each in costs} == pytest.approx(costs)


def test_the_cost_of_all_that_was_counted_is_that_of_its_tokens_in_decimal_arithmetic(store: Store) -> None:
    day = store.day
    for at in store.times:
        assert store.by_series("{}", "cost_consumed_cost_total", at) == {
            series: float(cost(day.models, series[0], day.counts[at][series])) for series in priced(day.models)
        }
    currencies = {row["metric"]["currency"] for row in store.query("huawei_maas_model_cost_consumed_cost_total", at)}
    assert currencies == {CURRENCY}


def test_promtool_finds_nothing_wrong_with_models(store: Store) -> None:
    with open(store.day.file, "rb") as metrics:
        checked = subprocess.run([find("promtool"), "check", "metrics"], stdin=metrics, capture_output=True, timeout=30)
    assert b"# TYPE huawei_maas_model_key_cost_consumed_cost_total counter" in store.day.file.read_bytes()
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
