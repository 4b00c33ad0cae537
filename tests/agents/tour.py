"""`demo --serve` as a process at a fixed time, and what the ledger of its page has."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from maas_usage_check.clock import Clock
from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.demo_page import CONFIG, FOLDER
from maas_usage_check.config import load_file
from maas_usage_check.emulator.demo import PRICES, demo_traffic
from maas_usage_check.emulator.simulated_models import SimulatedModels

from .. import shifted_clock
from ..commands.simulated_page import KnownSeries, read_ledger
from ..price_oracle import PriceOracle
from .programs import OPENER, ROOT, environ, wait

ZONE = timezone(timedelta(hours=8))
BEGINS = datetime(2026, 11, 26, 15, 20, tzinfo=ZONE)
"""The tour's time when it starts. Its next cycle is 5 minutes after the first."""
CACHED_SHARE = 0.4
PRINTED = re.compile(r"--config (?P<config>\S+)$.*^ +(?P<url>http://\S+/)$", re.MULTILINE | re.DOTALL)


class Tour:
    """The running tour: `url` is that of its page, which ends with a slash."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.config = str(folder / FOLDER / CONFIG)
        self.now = BEGINS.timestamp()

    def wait_for_cycle(self) -> None:
        """Wait until the first cycle has ended."""
        wait(lambda: OPENER.open(f"{self.url}-/ready", timeout=60).status == 200, "the first cycle")

    def ledger(self) -> Ledger:
        """Read the ledger."""
        instance = load_file(self.config, self.now)[0]
        models = SimulatedModels(traffic=demo_traffic(self.now))
        return Ledger(read_ledger(instance, models, Clock(now=lambda: self.now)))


class Ledger:
    """The hours of all series that the ledger has; times are of ZONE."""

    def __init__(self, series: List[KnownSeries]) -> None:
        self._series = series

    def usage(self, begins: datetime, ends: datetime, label: Optional[str] = None) -> Usage:
        """Add up the use between two times, of all calls or of a label of API keys, as the statistics have it."""
        return self._sum(begins, ends, api_key_label=label, maas_api_id=None)

    def model_usage(self, begins: datetime, ends: datetime, model: str) -> Usage:
        """Add up the use of a model, as Cloud Eye has it."""
        return self._sum(begins, ends, model=model, maas_key_id=None)

    def cost(self, begins: datetime, ends: datetime, model: str = "", label: Optional[str] = None) -> str:
        """Add up the cost of all models or of one, and of all API keys or of one, and write it with two decimals."""
        total = Fraction(0)
        for name in [model] if model else PRICES:
            oracle = PriceOracle([PRICES[name]], "Asia/Shanghai", CACHED_SHARE)
            tags = {"maas_key_id": None} if label is None else {"api_key": label}
            for at, usage in self._hours(begins, ends, {"model": name, **tags}):
                total += sum(oracle.cost(at, usage.prompt_tokens, usage.completion_tokens))
        exact = Decimal(total.numerator) / Decimal(total.denominator)
        return f"{exact.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"

    def _sum(self, begins: datetime, ends: datetime, **tags: Optional[str]) -> Usage:
        return sum((usage for _, usage in self._hours(begins, ends, tags)), Usage(0, 0, 0, 0, 0))

    def _hours(self, begins: datetime, ends: datetime, tags: Dict[str, Optional[str]]) -> Iterator[Tuple[int, Usage]]:
        start, end = (int(at.timestamp() * 1000) for at in (begins, ends))
        for series in self._series:
            if all(series.tags.get(name) == value for name, value in tags.items()):
                for span, usage in series.spans.items():
                    if start <= span.start < end:
                        assert span.hours == 1
                        yield span.start, usage


@contextlib.contextmanager
def running_tour(folder: Path) -> Iterator[Tour]:
    """Run `demo --serve` until the block ends, and wait for its first cycle."""
    shift, log = folder / "shift", folder / "log"
    shifted_clock.write_shift(str(shift), BEGINS.timestamp() - time.time())
    command = [sys.executable, shifted_clock.__file__, str(shift), "demo", "--serve"]
    env = environ(folder, PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1", TMPDIR=str(folder))
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env, cwd=ROOT)
    try:
        printed = wait(lambda: PRINTED.search(log.read_text()) or process.poll() is not None, "the address")
        assert printed is not True, log.read_text()
        tour = Tour(printed["url"], Path(printed["config"]).parent)
        tour.wait_for_cycle()
        yield tour
    finally:
        process.terminate()
        process.wait(30)
