"""Expected hours and counts, computed from the emulator's usage alone."""

from __future__ import annotations

import threading
from calendar import timegm
from time import strptime
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from maas_usage_check.emulator.demo import DEMO_CREDENTIALS
from maas_usage_check.emulator.emulator import Emulator, Refusal, Reply, json_reply
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.emulator.traffic import API_KEYS

from .programs import ROOT

HOUR = 3_600_000
DAY = 24 * HOUR
"""Milliseconds."""
FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
COUNTS = ("tokens", *FIELDS[1:])
NOTHING = (0,) * len(FIELDS)
Usage = Tuple[int, ...]
"""One number for each of FIELDS."""
EVERY_KEY = tuple(API_KEYS)


def expected_hour(
    usage: SimulatedUsage, at: int, now: int, service_type: int = 2, labels: Sequence[str] = EVERY_KEY
) -> Usage:
    """Return what the cloud reports at `now` for real-time calls of the hour that begins at `at`, milliseconds."""
    return usage.hour(service_type, "real_time", labels, at, now // HOUR * HOUR)[: len(FIELDS)]


def doc_queries(language: str) -> List[str]:
    """Return the queries of docs/hours.md: per hour, per day, today, this month, by key."""
    page = (ROOT / "docs" / "hours.md").read_text(encoding="utf-8").split("\n## Queries\n")[1]
    block = page.split(f"```{language}\n")[1].split("```")[0]
    return [" ".join(text.splitlines()[1:]) for text in block.strip().split("\n\n")]


def sum_usage(*some: Usage) -> Usage:
    return tuple(map(sum, zip(NOTHING, *some)))


class ExpectedCounts:
    """Expected counts of one series: the running maximum of the sum of its hours.

    Args:
        hour: returns what the cloud reports for the hour that begins at a time, at another; final after two days.
        began: start of the history, milliseconds; the hours that ended after it count.
    """

    def __init__(self, hour: Callable[[int, int], Usage], began: int) -> None:
        self._hour = hour
        self._next = began // HOUR * HOUR
        self._old = self.maximum = NOTHING

    def update(self, now: int) -> Usage:
        """Update the maximum by what the cloud reports at `now`; return the counts."""
        self.maximum = tuple(map(max, self.maximum, self.reported(now)))
        return self.maximum

    def reported(self, now: int) -> Usage:
        """Return the sum of the hours that ended, as the cloud reports them at `now`; it may fall."""
        while self._next + 2 * DAY < now:
            self._old = sum_usage(self._old, self._hour(self._next, now))
            self._next += HOUR
        return sum_usage(self._old, *(self._hour(at, now) for at in range(self._next, now // HOUR * HOUR, HOUR)))


class ServiceCounts(ExpectedCounts):
    """Expected counts of a service type and of labels; see `expected_hour`."""

    def __init__(self, usage: SimulatedUsage, began: int, **series: Any) -> None:
        super().__init__(lambda at, now: expected_hour(usage, at, now, **series), began)


class HourlyUsage(SimulatedUsage):
    """Usage that changes at full hours only, and no more after `frozen_at`."""

    frozen_at: Optional[int] = None
    refused_service_type = 0

    def totals(self, query: Dict[str, Any], now: int) -> Dict[str, Any]:
        if query["service_type"] == self.refused_service_type:
            raise Refusal(400, "ModelArts.0104", "the statistics of this service type cannot be read now")
        return super().totals(query, self.full_hour(now))

    def full_hour(self, now: int) -> int:
        return (now if self.frozen_at is None else min(now, self.frozen_at)) // HOUR * HOUR


class SignatureTimeEmulator(Emulator):
    """Answers as of the second in which a request was signed, so that a test can move the clock meanwhile."""

    def __init__(self, usage: SimulatedUsage, models: Optional[SimulatedModels] = None) -> None:
        super().__init__(DEMO_CREDENTIALS, usage, now=lambda: self.signed_at, models=models)
        self.signed_at = 0.0
        self.is_down = False
        self._signing_lock = threading.Lock()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        lower: Dict[str, str] = {name.lower(): value for name, value in headers.items()}
        with self._signing_lock:
            self.signed_at = float(timegm(strptime(lower["x-sdk-date"], "%Y%m%dT%H%M%SZ")))
            return json_reply(503, {}) if self.is_down else super().answer(method, target, headers, body)
