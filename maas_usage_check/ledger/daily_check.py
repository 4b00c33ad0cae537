"""The daily look whether hours add up to their day: the cloud might count a call in two windows, or in none."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from msgspec import Struct, field

from .hour_store import HourStore
from .hour_values import DAY, FIELDS, HOUR, Values

ENDED = 27 * HOUR
"""Milliseconds since a day's end after which nothing of it should still change."""
ONCE, TWICE = 26, 50
"""Questions of a look: the day, its hours, the day again; and once more its hours where they differ from it."""
PER_MILLE = 1
"""By how much the sum of the hours may differ from their day."""


class DailyCheck(Struct, omit_defaults=True):
    """Hold the look under way of one key, and what the last one found.

    `due` and `began` are milliseconds since 1970; `series` and `day` say what is looked at, `answers` what was answered
    so far: the day, each of its hours, the day again, and its hours again if need be. `failed` is a sentence with the
    numbers, or empty.
    """

    stored_kind: ClassVar[str] = "AddUp"

    due: int = 0
    failed: str = ""
    began: int = 0
    series: str = ""
    day: int = 0
    answers: List[Tuple[int, ...]] = field(default_factory=list)

    @property
    def next_window(self) -> Tuple[int, int]:
        """Name the window to ask next."""
        hours = [(self.day + i * HOUR, self.day + (i + 1) * HOUR) for i in range(24)]
        whole = (self.day, self.day + DAY)
        return [whole, *hours, whole, *hours][len(self.answers)]

    def begin(self, hour_stores: Mapping[str, HourStore], oldest: int, now_ms: int) -> bool:
        """Begin or go on, if it is time; tell whether these ledgers are looked at.

        A look of somebody else's is left to them, but not for longer than an hour.
        """
        if now_ms < self.due:
            return False
        if self.answers and 0 <= now_ms - self.began < HOUR:
            return self.series in hour_stores
        days = [
            (day, name)
            for name, hour_store in hour_stores.items()
            for day in _newest_day(hour_store, now_ms)
            if day >= oldest
        ]
        self.day, self.series = max(days, default=(0, ""))
        self.began, self.answers = now_ms, []
        if not days:  # nothing is left that could speak against the hours
            self.failed = ""
        return bool(days)

    def on_answer(self, position: int, values: Values, now_ms: int) -> bool:
        """Take the answer to the question of this place, if it is missing; tell whether there is more to ask."""
        if position != len(self.answers):
            return False
        self.answers.append(values)
        if len(self.answers) not in (ONCE, TWICE):
            return True
        whole, again = self.answers[0], self.answers[ONCE - 1]
        differs = _difference(self.day, whole, self.answers[ONCE:] or self.answers[1 : ONCE - 1])
        if whole == again and differs and len(self.answers) == ONCE:  # one of the hours may have been a wrong answer
            return True
        if whole == again:
            self.failed = differs
        self.due = now_ms + (DAY if whole == again and not differs else HOUR)
        self.series, self.answers = "", []
        return False


def _newest_day(hour_store: HourStore, now_ms: int) -> List[int]:
    until = (now_ms - ENDED) // DAY * DAY
    end = hour_store.newest_use(until)
    return [(end - HOUR) // DAY * DAY] if end else []


def _difference(day: int, whole: Values, hours: Sequence[Values]) -> str:
    found = difference(whole, hours)
    if found is None:
        return ""
    date = dt.datetime.fromtimestamp(day / 1000, dt.timezone.utc).date()
    return f"the 24 hours of {date} (UTC) have {found.parts:,} {found.name}, their day has {found.whole:,}"


class Difference(NamedTuple):
    """Hold what does not add up: its name, the sum of the parts, and the whole."""

    name: str
    parts: int
    whole: int


def difference(whole: Values, parts: Sequence[Values]) -> Optional[Difference]:
    """Find the first number of a window that differs from the sum of its parts by more than is allowed."""
    for name, total, *each in zip(FIELDS, whole, *parts):
        if abs(sum(each) - total) * 1000 > total * PER_MILLE:
            return Difference(name.replace("_", " "), sum(each), total)
    return None
