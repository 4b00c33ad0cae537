"""The exporter before its first cycle has ended: the counters in the state, so that a restart leaves no gap."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Dict, List

import pytest

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_models import SimulatedModels

from ..commands.exporter import running_exporter
from ..conftest import Cloud, FixedClock, Program, wait_for
from ..shifted_clock import write_shift

MODEL = SimulatedModels().ids()[0]
HOURS = "hourly: true\nbackfill_days: 0\ntags: ['a:b']\nmax_requests_per_minute: 1000\nmax_concurrency: 1\n"
MODELS = f"{HOURS}models: true\nprices: {{currency: CNY, models: {{{MODEL}: {{prompt: 1, completion: 2}}}}}}\n"
LABELS = f"{HOURS}api_keys: [team-a, team-b]\nper_api_key: true\nservice_types: [preset, my_service]\n"
PROJECT = f"project_id: {PROJECT_ID}\n"


def samples(text: str) -> Dict[str, float]:
    pairs = (line.rpartition(" ") for line in text.splitlines() if line[0] != "#")
    return {series: float(value) for series, _, value in pairs}


def counters(text: str) -> Dict[str, float]:
    return {series: value for series, value in samples(text).items() if series.split("{")[0].endswith("_total")}


class Restarts:
    """`serve` that is started again and again, over one state."""

    def __init__(self, cloud: Cloud, clock: FixedClock, program: Program) -> None:
        self.cloud = cloud
        self.clock = clock
        self.program = program

    def run(self, config: str) -> Dict[str, float]:
        """Run a cycle after another 6 hours; return its counters."""
        self.clock.sleep(6 * 3600)
        write_shift(self.program.command[-1], self.clock.now() - time.time())
        with running_exporter(self.program, config) as exporter:
            exporter.wait_until_ready()
            text = exporter.get().text
            assert exporter.stop() == 0
        return counters(text)

    def first_scrape(self, config: str) -> Dict[str, float]:
        """Start while the cloud hangs; return the samples of the first scrape, during the first cycle."""
        release, before = self.cloud.block(), len(self.cloud.requests)
        try:
            with running_exporter(self.program, config) as exporter:
                text = exporter.get().text
                assert exporter.get("/-/ready").status == 503
                wait_for(lambda: len(self.cloud.requests) > before, "the first cycle")
                assert len(self.cloud.requests) == before + 1, "the state is read without a request"
                assert exporter.get().text == text
                assert exporter.stop() == 0
        finally:
            release.set()
            self.cloud.responder = None
        return samples(text)


@pytest.fixture
def restarts(cloud: Cloud, clock: FixedClock, program: Program) -> Restarts:
    return Restarts(cloud, clock, program)


@pytest.mark.parametrize("more", [HOURS, MODELS, LABELS, HOURS + PROJECT])
def test_restart(cloud: Cloud, program: Program, restarts: Restarts, more: str) -> None:
    """The counters of the last run, under the same labels, and nothing else."""
    config = program.cloud_config(cloud, more)
    assert restarts.first_scrape(config) == {}, "no state, no counters"
    assert set(restarts.run(config).values()) == {0.0}
    before = restarts.run(config)
    assert max(before.values()) > 0
    assert restarts.first_scrape(config) == before
    assert restarts.run(config).keys() == before.keys()


def test_other_consumer(cloud: Cloud, program: Program, restarts: Restarts) -> None:
    """A configuration that is new to the state finds the project of the access key."""
    before = restarts.run(program.cloud_config(cloud, HOURS))
    other = shutil.copy(program.folder / "conf.yaml", program.folder / "other.yaml")
    assert restarts.first_scrape(str(other)) == before != {}


def test_without_a_key(cloud: Cloud, program: Program, restarts: Restarts) -> None:
    """Without credentials the project is that of the last run, as in a failed cycle."""
    config = program.cloud_config(cloud, HOURS)
    before = restarts.run(config)
    with running_exporter(program, config, HW_SECRET_KEY="") as exporter:
        exporter.wait_until_ready()
        assert counters(exporter.get().text) == before != {}


def test_damaged_state(cloud: Cloud, program: Program, restarts: Restarts) -> None:
    """What is wrong with the state is said by the first cycle; until then there is nothing to serve."""
    config = program.cloud_config(cloud, HOURS)
    restarts.run(config)
    state: List[Path] = list(program.folder.rglob("*.sqlite3"))
    state[0].write_bytes(b"nothing" * 1000)
    assert restarts.first_scrape(config) == {}
