"""What hours, counters and counts must say, worked out from the emulator's ledger alone."""

from __future__ import annotations

import threading
from calendar import timegm
from time import strptime
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from maas_usage_check.emulator.demo import DEMO_CREDENTIALS
from maas_usage_check.emulator.emulator import Emulator, Refusal, Reply, json_reply
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import API_KEYS, SimulatedUsage

from .programs import ROOT

HOUR = 3_600_000
DAY = 24 * HOUR
"""Milliseconds."""
FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
COUNTS = ("tokens", *FIELDS[1:])
NOTHING = (0,) * len(FIELDS)
Use = Tuple[int, ...]
"""One number for each of FIELDS."""
EVERY_KEY = tuple(API_KEYS)


def use(ledger: SimulatedUsage, at: int, now: int, service_type: int = 2, labels: Sequence[str] = EVERY_KEY) -> Use:
    """Say what Books say at a moment of the real-time calls in the hour that begins at `at`."""
    hour = ledger.hour(service_type, "real_time", labels, at, now // HOUR * HOUR)
    tokens = hour.prompt_tokens + hour.completion_tokens + hour.other_tokens
    return (tokens, hour.prompt_tokens, hour.completion_tokens, hour.requests, hour.errors)


def queries_of_docs(language: str) -> List[str]:
    """Take the queries of hours out of docs/hours.md: per hour, per day, today, this month, by key."""
    page = (ROOT / "docs" / "hours.md").read_text(encoding="utf-8").split("\n## Queries\n")[1]
    block = page.split(f"```{language}\n")[1].split("```")[0]
    return [" ".join(text.splitlines()[1:]) for text in block.strip().split("\n\n")]


def added(*some: Use) -> Use:
    return tuple(map(sum, zip(NOTHING, *some)))


class Counts:
    """Work out what must have been counted of one series: the most that its hours ever added up to.

    Args:
        hour: what the cloud says of the hour that begins at a moment, at another; nothing changes after two days.
        began: when the counting began, milliseconds; the hours that ended after it count.
    """

    def __init__(self, hour: Callable[[int, int], Use], began: int) -> None:
        self._hour = hour
        self._next = began // HOUR * HOUR
        self._old = self.most = NOTHING

    def look(self, now: int) -> Use:
        """Take note of what the cloud says at a moment, and return the counts as of then."""
        self.most = tuple(map(max, self.most, self.known(now)))
        return self.most

    def known(self, now: int) -> Use:
        """Add up what the cloud says at a moment of the hours that are over, with what it took back left out."""
        while self._next + 2 * DAY < now:
            self._old = added(self._old, self._hour(self._next, now))
            self._next += HOUR
        return added(self._old, *(self._hour(at, now) for at in range(self._next, now // HOUR * HOUR, HOUR)))


class Consumed(Counts):
    """Count the calls of a service type, and of labels; see `use`."""

    def __init__(self, ledger: SimulatedUsage, began: int, **series: Any) -> None:
        super().__init__(lambda at, now: use(ledger, at, now, **series), began)


class Books(SimulatedUsage):
    """The account's hours: something new is said at full hours alone, and nothing from the moment `closed` on."""

    closed: Optional[int] = None
    unreadable = 0
    """A service type."""

    def totals(self, asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        if asked["service_type"] == self.unreadable:
            raise Refusal(400, "ModelArts.0104", "the statistics of this service type cannot be read now")
        return super().totals(asked, self.as_of(now))

    def as_of(self, now: int) -> int:
        return (now if self.closed is None else min(now, self.closed)) // HOUR * HOUR


class SentCloud(Emulator):
    """Answer as of the second in which a request was signed: a test may move the clock while one is under way."""

    def __init__(self, ledger: SimulatedUsage, models: Optional[SimulatedModels] = None) -> None:
        super().__init__(DEMO_CREDENTIALS, ledger, now=lambda: self.signed, models=models)
        self.signed = 0.0
        self.is_down = False
        self._one = threading.Lock()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        lower: Dict[str, str] = {name.lower(): value for name, value in headers.items()}
        with self._one:
            self.signed = float(timegm(strptime(lower["x-sdk-date"], "%Y%m%dT%H%M%SZ")))
            return json_reply(503, {}) if self.is_down else super().answer(method, target, headers, body)
