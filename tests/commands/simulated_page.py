"""The page of `demo --serve`, whose cloud is the emulator in this process."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import DefaultDict, Dict, List, NamedTuple, Tuple

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Statistics
from maas_usage_check.cloud.cloud_eye import CloudEye, Dimensions
from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.demo_page import prepare_page
from maas_usage_check.commands.runner import open_store
from maas_usage_check.config import Instance, load_file
from maas_usage_check.emulator.demo import DEMO_CREDENTIALS, SimulatedAccount, demo_instance, demo_traffic
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.ledger.day_store import Day, days
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.known_usage import NO_USE, Span, hour_span
from maas_usage_check.ledger.schema import read_transaction

from ..conftest import Cloud, FixedClock, Program
from .conftest import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
END = 2**41
"""After every hour, in milliseconds."""


class KnownSeries(NamedTuple):
    """The tags of a series, and what the ledger knows of it."""

    tags: Dict[str, str]
    spans: Dict[Span, Usage]


class SimulatedPage:
    """A page in a folder, as of a time of the clock."""

    def __init__(self, cloud: Cloud, clock: FixedClock, program: Program, folder: Path) -> None:
        self._cloud, self._clock, self._program, self._folder = cloud, clock, program, folder
        self.config = ""

    def prepare(self, now: datetime) -> None:
        """Write the history and the configuration at a time."""
        self._clock.at = now.timestamp()
        traffic, emulator = demo_traffic(self._clock.at), self._cloud.emulator
        emulator.usage, emulator.models = SimulatedUsage(traffic), SimulatedModels(traffic=traffic)
        emulator.secret_keys, emulator.requests_per_minute = DEMO_CREDENTIALS, 10**6
        instance = {**demo_instance(self._cloud.url, emulator.models), "tags": ["source:demo"]}
        account = SimulatedAccount(emulator.usage, emulator.models, str(self._folder), instance)
        self.config = prepare_page(account, self._clock.clock)

    @property
    def instance(self) -> Instance:
        return load_file(self.config, self._clock.at)[0]

    def collect(self, format_name: str = "influx") -> List[str]:
        """Run a cycle; return the lines of its points."""
        self._cloud.requests.clear()
        done = self._program("collect", "--config", self.config, "--format", format_name)
        assert [line for line in done.stderr.splitlines() if "have no place here" not in line] == []
        return done.stdout.splitlines()

    def known(self) -> List[KnownSeries]:
        """Read all series of the ledger."""
        return read_ledger(self.instance, self._cloud.emulator.models, self._clock.clock)


def read_ledger(instance: Instance, simulated_models: SimulatedModels, clock: Clock) -> List[KnownSeries]:
    """Read all series of the ledger of an instance."""
    models = (Dimensions(model, key_id or "") for model, key_id in simulated_models.series)
    series = [
        *Statistics().hour_series(instance, PROJECT_ID),
        *(CloudEye().hour_series(instance, PROJECT_ID, each) for each in models),
    ]
    store = open_store([instance], pytest.fail, clock)
    with closing(store), read_transaction(store, int(clock.now() * 1000)) as transaction:
        hour_stores = [HourStore(transaction, each.name, each.settled_after_ms) for each in series]
        return [KnownSeries(each.tags, _spans(hours)) for each, hours in zip(series, hour_stores)]


def _spans(hour_store: HourStore) -> Dict[Span, Usage]:
    spans = {hour_span(hour.start): Usage(*hour.values) for hour in hour_store.hours(0, END, changed_since=0)}
    of_days: DefaultDict[Tuple[int, int], List[Day]] = defaultdict(list)
    for day in days(hour_store, 0, END):
        of_days[day.start, day.until].append(day)  # a part for each price
    for bounds, parts in of_days.items():
        usage = sum((Usage(*part.values) for part in parts), NO_USE)
        spans[Span(*bounds, sum(part.hours for part in parts))] = usage
    return spans
