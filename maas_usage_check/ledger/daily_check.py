"""The daily check that hours add up to their day: the cloud might count a call in two windows, or in none."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from msgspec import Struct, field

from .hour_store import HourStore
from .hour_values import DAY, FIELDS, HOUR, Values

FINAL_AFTER = 27 * HOUR
"""Milliseconds after its end a day is final."""
FIRST_PASS, SECOND_PASS = 26, 50
"""Answers of a check: the day, its 24 hours, the day again; if they differ, also its 24 hours again."""
PER_MILLE = 1
"""The largest allowed difference of a day and the sum of its hours."""


class DailyCheck(Struct, omit_defaults=True):
    """The check in progress of one access key, and the result of the last one.

    `due` and `began` are milliseconds since 1970. `series` and `day` are being checked; `answers` are those so far: the
    day, each of its hours, the day again, and if need be each of its hours again. `failed` describes the difference
    with its numbers, or is empty.
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
        """Return the window to query next."""
        hours = [(self.day + i * HOUR, self.day + (i + 1) * HOUR) for i in range(24)]
        whole = (self.day, self.day + DAY)
        return [whole, *hours, whole, *hours][len(self.answers)]

    def start(self, hour_stores: Mapping[str, HourStore], oldest: int, now_ms: int) -> bool:
        """Start or continue a check if it is due; return True if it is a check of one of these series.

        A check that another instance started is left to it for an hour.
        """
        if now_ms < self.due:
            return False
        if self.answers and 0 <= now_ms - self.began < HOUR:
            return self.series in hour_stores
        days = [
            (day, name)
            for name, hour_store in hour_stores.items()
            for day in _newest_final_day(hour_store, now_ms)
            if day >= oldest
        ]
        self.day, self.series = max(days, default=(0, ""))
        self.began, self.answers = now_ms, []
        if not days:  # without use, nothing can contradict the hours
            self.failed = ""
        return bool(days)

    def on_answer(self, position: int, values: Values, now_ms: int) -> bool:
        """Append an answer if its position is the next one; return True if there is more to query."""
        if position != len(self.answers):
            return False
        self.answers.append(values)
        if len(self.answers) not in (FIRST_PASS, SECOND_PASS):
            return True
        whole, again = self.answers[0], self.answers[FIRST_PASS - 1]
        hours = self.answers[FIRST_PASS:] or self.answers[1 : FIRST_PASS - 1]
        failure = _describe_difference(self.day, whole, hours)
        if whole == again and failure and len(self.answers) == FIRST_PASS:  # one of the answers may have been wrong
            return True
        if whole == again:
            self.failed = failure
        self.due = now_ms + (DAY if whole == again and not failure else HOUR)
        self.series, self.answers = "", []
        return False


def _newest_final_day(hour_store: HourStore, now_ms: int) -> List[int]:
    until = (now_ms - FINAL_AFTER) // DAY * DAY
    end = hour_store.newest_use_end(until)
    return [(end - HOUR) // DAY * DAY] if end else []


def _describe_difference(day: int, whole: Values, hours: Sequence[Values]) -> str:
    found = difference(whole, hours)
    if found is None:
        return ""
    date = dt.datetime.fromtimestamp(day / 1000, dt.timezone.utc).date()
    return f"the 24 hours of {date} (UTC) have {found.parts:,} {found.name}, their day has {found.whole:,}"


class Difference(NamedTuple):
    """A field whose parts do not add up to the whole."""

    name: str
    parts: int
    whole: int


def difference(whole: Values, parts: Sequence[Values]) -> Optional[Difference]:
    """Return the first field whose parts differ from the whole by more than PER_MILLE; None if none does."""
    for name, total, *each in zip(FIELDS, whole, *parts):
        if abs(sum(each) - total) * 1000 > total * PER_MILLE:
            return Difference(name.replace("_", " "), sum(each), total)
    return None
