"""A simulated month of an account whose every number is known, for the dashboards' stores."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

from maas_usage_check.standin.emulator import Refusal
from maas_usage_check.standin.ledger import Ledger
from maas_usage_check.standin.models import Models
from maas_usage_check.standin.server import serving

from .. import shifted_clock
from ..conftest import NOW
from . import many_cycles
from .account import AK, SK
from .dashboards import Chosen
from .hours import DAY, EVERY_KEY, HOUR, NOTHING, SentCloud, Use, added, use
from .models import MINUTE, config_of
from .programs import ROOT, environ

END = int(NOW * 1000)
"""2026-11-23 20:00 in Shanghai, milliseconds."""
SERVICES = {"preset": 2, "my_service": 1}
LABELS = {"": EVERY_KEY, "team-search": ("team-search",), "online_experience": ("",)}
"""By its tag; the label of the whole is empty."""
BUDGET, COST_BUDGET = 50_000_000, 300
"""Less than was used."""
CONFIG = """\
init_config:
instances:
  - &all
    endpoint: {url}
    iam_endpoint: {url}
    cloud_eye_endpoint: {url}
    state_dir: {folder}/state
    timezone: Asia/Shanghai
    hourly: true
    backfill_days: {backfill}
    ranges: [today, this_month, last_7d]
    api_keys: [team-search, ""]
    per_api_key: true
    max_requests_per_minute: 5000
    deadline: 60
    service_types: [preset]
    tags: ["view:again"]
  - <<: *all
    service_types: [preset, my_service]
    tags: []
{models}"""
"""Two instances that ask the same: only a tag of the user's tells their series apart, and nothing may count twice."""
Series = Tuple[str, str]
"""A service type and a label, or a model and a key; the label or key of the whole is empty."""


class Books(Ledger):
    """The account's hours: something new is said at full hours alone, and a service type may be unreadable."""

    unreadable = 0

    def totals(self, asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        if asked["service_type"] == self.unreadable:
            raise Refusal(400, "ModelArts.0104", "the statistics of this service type cannot be read now")
        return super().totals(asked, now // HOUR * HOUR)


class OnTheMinute(Models):
    """An account of which Cloud Eye says something new at full minutes alone: a process may take its time."""

    def there(self, model: str, start: int, now: int) -> bool:
        return super().there(model, start, now // MINUTE * MINUTE)


class Counts:
    """Work out what must have been counted of one series: the most that its hours ever added up to.

    Args:
        hour: what the cloud says of the hour that begins at a moment, at another; nothing changes after two days.
        began: when the counting began, milliseconds; the hours that ended after it count.
    """

    def __init__(self, hour: Callable[[int, int], Use], began: int) -> None:
        self._hour = hour
        self._next = began // HOUR * HOUR
        self._old = NOTHING
        self.most = NOTHING

    def look(self, now: int) -> None:
        """Take note of what the cloud says at a moment."""
        while self._next + 2 * DAY < now:
            self._old = added(self._old, self._hour(self._next, now))
            self._next += HOUR
        known = added(self._old, *(self._hour(at, now) for at in range(self._next, now // HOUR * HOUR, HOUR)))
        self.most = tuple(map(max, self.most, known))


class Account:
    """Run the plugin's cycles by the test's clock, in one process."""

    def __init__(self, folder: Path, form: str, third_appears: int = 0) -> None:
        self.folder = folder
        self.file = folder / "out.prom"
        self.books = Books(late=True)
        self.models = OnTheMinute(3, 2, late=True, appears={Models(3).ids()[2]: third_appears})
        self.cloud = SentCloud(self.books, self.models)
        self.cloud.requests_per_minute = 5000  # a backfill in one cycle
        self.form = form

    @contextlib.contextmanager
    def open(self, backfill: int) -> Iterator[None]:
        shift = self.folder / "shift"
        options = ["--config", str(self.folder / "conf.yaml"), "--format", self.form, "--output", str(self.file)]
        command = [sys.executable, many_cycles.__file__, str(shift), "collect", *options]
        keys = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "PYTHONPATH": str(ROOT)}
        shifted_clock.write_shift(str(shift), 0)
        with serving(self.cloud) as url, open(self.folder / "said", "w", encoding="utf-8") as said:
            names = {"url": url, "folder": self.folder, "backfill": backfill, "models": config_of(self.models)}
            (self.folder / "conf.yaml").write_text(CONFIG.format(**names))
            with subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                encoding="utf-8",
                env=environ(self.folder, **keys),
                cwd=ROOT,
            ) as self._process:
                yield

    def cycle(self, at: int) -> int:
        """Run a cycle at a moment, milliseconds; return the exit code."""
        assert self._process.stdin
        assert self._process.stdout
        shifted_clock.write_shift(str(self.folder / "shift"), at / 1000 - time.time())
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def hours(self, start: int, now: int, services: Tuple[str, ...] = tuple(SERVICES)) -> Use:
        """Add up what the cloud says at a moment of the hours from `start` on."""
        return added(*(self.hour(at, now, services) for at in range(start, now, HOUR)))

    def hour(self, at: int, now: int, services: Tuple[str, ...] = tuple(SERVICES), label: str = "") -> Use:
        """Say what the cloud says at a moment of the hour that begins at `at`."""
        said = now // HOUR * HOUR
        return added(*(use(self.books, at, said, SERVICES[name], LABELS[label]) for name in services))


def choice(**chosen: Tuple[str, ...]) -> Chosen:
    """Choose in the dashboard's variables; what is not named is All."""
    typed = {
        "budget": (str(BUDGET),),
        "cost_budget": (str(COST_BUDGET),),
        "timezone": ("Asia/Shanghai",),
        "utc_offset": ("8",),
    }
    return {**dict.fromkeys(("region", "project_id", "service_type", "infer_type", "model")), **typed, **chosen}
