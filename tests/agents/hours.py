"""What hours, counters and counts must say, worked out from the emulator's ledger alone."""

from __future__ import annotations

import re
import threading
from calendar import timegm
from pathlib import Path
from time import strptime
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from maas_usage_check.standin.demo import DEMO_KEY
from maas_usage_check.standin.emulator import Emulator, Reply, reply
from maas_usage_check.standin.ledger import API_KEYS, Ledger
from maas_usage_check.standin.models import Models

HOUR = 3_600_000
DAY = 24 * HOUR
"""Milliseconds."""
FIELDS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
COUNTS = ("tokens", *FIELDS[1:])
NOTHING = (0,) * len(FIELDS)
Use = Tuple[int, ...]
"""One number for each of FIELDS."""
EVERY_KEY = tuple(API_KEYS)


def use(ledger: Ledger, at: int, now: int, service_type: int = 2, labels: Sequence[str] = EVERY_KEY) -> Use:
    """Say what the cloud says at a moment of the real-time calls in the hour that begins at `at`."""
    hour = ledger.hour(service_type, "real_time", labels, at, now)
    tokens = hour.prompt_tokens + hour.completion_tokens + hour.other_tokens
    return (tokens, hour.prompt_tokens, hour.completion_tokens, hour.requests, hour.errors)


def queries_of_docs(language: str) -> List[str]:
    """Take the queries of hours out of docs/hours.md: per hour, per day, today, this month, by key."""
    page = (Path(__file__).parents[2] / "docs" / "hours.md").read_text(encoding="utf-8")
    found = re.search(rf"^## Queries$.*?```{language}\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    assert found
    blocks = [[line for line in block.splitlines() if line[:1] != "#" and line[:2] != "--"]
              for block in found[1].split("\n\n")]  # fmt: skip
    return [" ".join(block) for block in blocks]


def added(*some: Use) -> Use:
    return tuple(map(sum, zip(NOTHING, *some)))


class Consumed:
    """Work out what must have been counted of one series: the most that its hours ever added up to.

    Args:
        ledger: what was used.
        began: when the counting began, milliseconds; the hours that ended after it count.
        series: what `use` takes besides.
    """

    def __init__(self, ledger: Ledger, began: int, **series: Any) -> None:
        self.ledger = ledger
        self.first = began // HOUR * HOUR
        self.series = series
        self.most = NOTHING

    def look(self, now: int) -> Use:
        """Take note of what the cloud says at a moment, and return the counts as of then."""
        self.most = tuple(map(max, self.most, self.known(now)))
        return self.most

    def known(self, now: int) -> Use:
        """Add up what the cloud says at a moment, with what it took back left out."""
        return added(*(use(self.ledger, at, now, **self.series) for at in range(self.first, now, HOUR)))


class Books(Ledger):
    """The account's hours, of which the cloud says nothing new from the moment `closed` on."""

    closed: Optional[int] = None

    def totals(self, asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        return super().totals(asked, self.as_of(now))

    def as_of(self, now: int) -> int:
        return now if self.closed is None else min(now, self.closed)


class SentCloud(Emulator):
    """Answer as of the second in which a request was signed: a test may move the clock while one is under way."""

    def __init__(self, ledger: Ledger, models: Optional[Models] = None) -> None:
        super().__init__(DEMO_KEY, ledger, now=lambda: self.signed, models=models)
        self.signed = 0.0
        self.is_down = False
        self._one = threading.Lock()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        lower: Dict[str, str] = {name.lower(): value for name, value in headers.items()}
        with self._one:
            self.signed = float(timegm(strptime(lower["x-sdk-date"], "%Y%m%dT%H%M%SZ")))
            return reply(503, {}) if self.is_down else super().answer(method, target, headers, body)
