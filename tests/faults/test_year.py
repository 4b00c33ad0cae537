"""A simulated year: what each month's report says, against the emulator's own hours and an oracle's decimal cost."""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any, DefaultDict, Dict, Iterator, List, Tuple

import pytest
import yaml
from werkzeug import Request, Response

from maas_usage_check.collection import Collector, run_cycle
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.emulator.traffic import API_KEYS
from maas_usage_check.ledger import COUNTERS, Consumer
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import Store, find_file

from ..commands.conftest import ZoneInfo
from ..conftest import Cloud, FixedClock, Program

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600_000
DAY = 24 * HOUR
STEP = 2 * DAY
HOURS_KEPT = 62 * DAY
FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
TEAMS = {"search": ["team-search"], "support": ["team-support"]}
BUSY = (0, 1, 7, 12, 21, 22, 23)
"""Hours of UTC with calls; local midnight is among them."""
Values = Tuple[int, ...]


def local(year: int, month: int, day: int = 1, hour: int = 0) -> int:
    """Return a local time in milliseconds."""
    return int(dt.datetime(year, month, day, hour, tzinfo=BERLIN).timestamp() * 1000)


BEGIN, END = local(2027, 5, 20, 12), local(2028, 7, 6)
"""Summer time ends on 2027-10-31 and begins on 2028-03-26; 2028 is a leap year."""
OFF = [(local(2027, 9, 28), local(2027, 10, 1, 6)), (local(2028, 2, 27), local(2028, 3, 1, 1))]
"""Nobody collects in the last three days of September and February."""
OUTAGES = [(local(2027, 7, 30), local(2027, 8, 2, 5), 503), (local(2027, 12, 31), local(2028, 1, 3), 403)]
PRICES = [
    (BEGIN, (Decimal("2.35"), Decimal("8.1"))),
    (local(2027, 11, 20), (Decimal("2.4"), Decimal("9.07"))),
    (local(2028, 5, 5), (Decimal("1.999"), Decimal("7.123456"))),
]
"""From when the file has which prices."""
MONTHS = [(2027, month) for month in range(6, 13)] + [(2028, month) for month in range(1, 7)]


class Year:
    """An account whose plugin runs every other day, and its use by the emulator's own data."""

    def __init__(self, cloud: Cloud, clock: FixedClock, program: Program, folder: Path) -> None:
        self.cloud, self.clock, self.program, self.folder = cloud, clock, program, folder
        self.models = SimulatedModels(2, 2, late=True)
        self.usage = SimulatedUsage(late=True, busy=lambda at: at // HOUR % 24 in BUSY)
        cloud.emulator.models, cloud.emulator.usage = self.models, self.usage
        cloud.emulator.requests_per_minute = 10**6
        cloud.responder = self._fail
        self.first_cycle_from: Dict[int, int] = {}
        self._restate()

    def entry(self) -> Dict[str, Any]:
        prompt, completion = next(price for since, price in reversed(PRICES) if since <= self.now)
        price = {"prompt": float(prompt), "completion": float(completion)}
        return self.cloud.entry(
            hourly=True, models=True, timezone="Europe/Berlin", max_requests_per_minute=80_000,
            ranges=["last_1d"], key_names=self.models.key_labels, state_dir=str(self.folder / "state"),
            prices={"currency": "EUR", "models": dict.fromkeys(self.models.ids(), price)},
            teams={name: {"api_keys": labels} for name, labels in TEAMS.items()},
        )  # fmt: skip

    @property
    def now(self) -> int:
        return int(self.clock.now() * 1000)

    def run(self, make_collector: Any) -> Iterator[int]:
        """Run all cycles; yield the time of each."""
        store = Store(lambda: find_file(str(self.folder / "state")), now=self.clock.now)
        schedulers, prices, collector = Schedulers(store, self.clock.clock), None, None
        for at in range(BEGIN, END, STEP):
            if any(start <= at < end for start, end in OFF):
                continue
            self.clock.at = at / 1000
            entry = self.entry()
            if entry["prices"] != prices:  # a file that was edited is read at the next start
                prices = entry["prices"]
                collector = make_collector(entry, schedulers=schedulers, consumer=Consumer("one", COUNTERS))
            assert isinstance(collector, Collector)
            run_cycle([collector])
            yield at
        store.close()

    def report(self, *options: str) -> List[Dict[str, str]]:
        (self.folder / "conf.yaml").write_text(yaml.safe_dump({"instances": [self.entry()]}))
        done = self.program("report", "--config", str(self.folder / "conf.yaml"), "--format", "csv", *options)
        assert done.returncode == 0, done.stderr
        return list(csv.DictReader(io.StringIO(done.stdout)))

    def statistics(self, start: int, until: int, labels: List[str]) -> Values:
        """Add up what ShowStatistics says in the end, as far as that is now."""
        hours = (
            self.usage.hour(2, "real_time", labels, at, min(at + 29 * DAY, self.now))
            for at in range(start, until, HOUR)
        )
        return tuple(map(sum, zip(*(hour[:5] for hour in hours))))

    def of_models(self, start: int, until: int, label: str = "") -> Dict[str, Tuple[Values, Decimal]]:
        """Add up what Cloud Eye says in the end of each model, or of its keys with a label, and what that costs."""
        sums: DefaultDict[str, Tuple[Values, Decimal]] = defaultdict(lambda: ((0,) * 5, Decimal(0)))
        for model, key_id in self.models.series:
            if (self.models.key_labels[key_id] if key_id else "") == label:
                for at in range(start, until, HOUR):
                    use = self.models.hour(model, key_id, at, min(at + 9 * DAY, self.now))[:5]
                    use = use if use[3] else (0,) * 5  # Cloud Eye has no value of an hour without a request
                    prompt, completion = self.price(at)
                    values, cost = sums[model]
                    cost += (prompt * use[1] + completion * use[2]) / 10**6
                    sums[model] = tuple(map(sum, zip(values, use))), cost
        return sums

    def price(self, at: int) -> Tuple[Decimal, Decimal]:
        """Return the price of an hour: that of the file when its day was made, else today's."""
        day = dt.datetime.fromtimestamp(at / 1000, BERLIN).date() + dt.timedelta(days=1)
        made = local(day.year, day.month, day.day) + HOURS_KEPT
        cycle = BEGIN - (BEGIN - made) // STEP * STEP
        while any(start <= cycle < end for start, end in OFF) or any(s <= cycle < e for s, e, _ in OUTAGES):
            cycle += STEP
        return next(price for since, price in reversed(PRICES) if since <= min(max(cycle, BEGIN), self.now))

    def _restate(self) -> None:
        rng = random.Random(7)
        for at in range(BEGIN - 20 * DAY, END, HOUR):
            if rng.random() < 0.02:
                label, factor = rng.choice(list(API_KEYS)), rng.choice([0.0, 0.5, 1.5, 2.0])
                self.usage.restate(at, factor, at + rng.randrange(5, 20 * 24) * HOUR, label=label)
            if rng.random() < 0.01:
                model, key_id = rng.choice(list(self.models.series))
                self.models.restate(model, key_id, at, rng.choice([0.5, 1.5]), at + rng.randrange(3, 2 * 24) * HOUR)

    def _fail(self, request: Request) -> Any:
        status = next((status for start, end, status in OUTAGES if start <= self.now < end), None)
        return status and Response('{"error_msg": "policy doesn\'t allow"}', status)


def numbers(row: Dict[str, str]) -> Values:
    return tuple(int(row[name]) for name in FIELDS)


def bounds(year: int, month: int) -> Tuple[int, int]:
    return local(year, month), local(year + month // 12, month % 12 + 1)


@pytest.mark.timeout(1200)
def test_year(cloud: Cloud, clock: FixedClock, program: Program, make_collector: Any, tmp_path: Path) -> None:
    """Every month is the cloud's to the token and the oracle's to the last decimal, when it closed and a year later."""
    year = Year(cloud, clock, program, tmp_path)
    closed: List[Tuple[int, int]] = []
    for at in year.run(make_collector):
        now = dt.datetime.fromtimestamp(at / 1000, BERLIN)
        if now.day in (3, 4) and at > local(2027, 7, 2):
            month = (now.year - (now.month == 1), (now.month - 2) % 12 + 1)
            (row,) = year.report("--last-month")
            assert (row["period"], row["covered_ratio"]) == ("last_month", "1.0")
            closed.append(month)
    assert closed == MONTHS
    for month in MONTHS:
        cloud.requests.clear()
        start, until = bounds(*month)
        name = "{}-{:02}".format(*month)
        (whole,) = year.report("--month", name)
        assert numbers(whole) == year.statistics(start, until, list(API_KEYS)), name
        assert whole["covered_ratio"] == "1.0"
        models = year.of_models(start, until)
        rows = year.report("--month", name, "--by", "model")
        assert {row["maas_api_id"]: (numbers(row), Decimal(row["cost"])) for row in rows} == models, name
        whole_cost = sum(cost for _, cost in models.values())
        teams = {row["team"]: row for row in year.report("--month", name, "--by", "team")}
        for team, labels in TEAMS.items():
            assert numbers(teams[team]) == year.statistics(start, until, labels), (name, team)
            costs = [cost for label in labels for _, cost in year.of_models(start, until, label).values()]
            assert Decimal(teams[team]["cost"]) == sum(costs), (name, team)
        assert list(teams) == [*TEAMS, "unassigned"]
        assert until > year.now - 29 * DAY or not cloud.requests, "what is final is never asked again"
        assert tuple(map(sum, zip(*map(numbers, teams.values())))) == numbers(whole)
        assert sum(Decimal(row["cost"]) for row in teams.values()) == whole_cost
    size = sum(path.stat().st_size for path in (tmp_path / "state").iterdir())
    assert size < 2 * 2**20
