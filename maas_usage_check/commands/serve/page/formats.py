"""Numbers and times as people write them, in English and Chinese. None is not known, and stays None."""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from html import escape
from itertools import accumulate
from typing import Mapping, Optional, Sequence, Tuple, Union

from ....config.ranges import HOUR
from ....metrics import Number
from ...report.amounts import format_change, format_cost, format_share
from ...report.periods import local_time
from .page_view import MONTH

MINUTE_MS, DAY_HOURS = 60_000, 24
EXACT_BELOW = 10_000
SCALES: Mapping[str, Sequence[Tuple[int, str]]] = {
    "en": ((10**9, "B"), (10**6, "M"), (10**3, "K")),
    "zh": ((10**8, "亿"), (10**4, "万")),
}
WEEKDAYS: Mapping[str, Sequence[str]] = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "zh": ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
}
MONTHS = "January February March April May June July August September October November December".split()
MAX_NAME = 48
"""Bytes of a name in HTML: 60 teams, 30 models and 20 keys fit into a page."""


class Formats:
    """The formats of one page: its language, currency and zone."""

    def __init__(self, language: str, currency: str, tz: dt.tzinfo, now_ms: int) -> None:
        self.language, self.currency, self.tz, self.now_ms = language, currency, tz, now_ms

    def exact(self, count: Optional[Number]) -> Optional[str]:
        """Write a count with all its digits: 1,234,567."""
        return None if count is None else f"{int(count):,}"

    def short(self, count: Optional[Number]) -> Optional[str]:
        """Write a count with three digits: 1.24 M, or 124 万. A small one is exact."""
        if count is None or count < EXACT_BELOW:
            return self.exact(count)
        for scale, unit in SCALES[self.language]:
            scaled = _three_digits(Decimal(int(count)) / scale)
            if scaled >= 1:
                return f"{_three_digits(scaled):,} {unit}"
        return self.exact(count)

    def round(self, count: Optional[Number]) -> Optional[str]:
        """Write a round count without zeros after the point: 20 M."""
        short = self.short(count)
        return short and re.sub(r"(\.[0-9]*[1-9])0+(?= )|\.0+(?= )", r"\1", short)

    def small(self, number: Optional[Number]) -> Optional[str]:
        """Write a number that may have decimals: 0.25, 12.5, 1,240."""
        if number is None:
            return None
        value = Decimal(repr(number))
        if value >= EXACT_BELOW:
            return self.short(number)
        rounded = value.quantize(Decimal(1) if value == int(value) else Decimal("0.1"), ROUND_HALF_UP)
        return "<0.1" if value and not rounded else f"{rounded:,}"

    def money(self, cost: Union[Decimal, float, None]) -> Optional[str]:
        """Write a cost with its currency and two decimals."""
        return None if cost is None else f"{self.currency} {format_cost(Decimal(cost))}"

    def amount(self, cost: Union[Decimal, float, None]) -> Optional[str]:
        """Write a cost without its currency."""
        return None if cost is None else format_cost(Decimal(cost))

    def percent(self, ratio: Optional[float]) -> Optional[str]:
        """Write a share of a limit in percent. It is never rounded up: 99.96 % is not all."""
        if ratio is None:
            return None
        return f"{(Decimal(repr(ratio)) * 100).quantize(Decimal('0.1'), ROUND_DOWN):,}%"

    def share(self, share: Optional[float]) -> Optional[str]:
        """Write a share in percent."""
        return None if share is None else format_share(share)

    def change(self, change: Optional[float]) -> Optional[str]:
        """Write a change in percent with its sign."""
        return None if change is None else format_change(change).replace("-", "\N{MINUS SIGN}")

    def hours(self, milliseconds: int) -> str:
        """Write a number of hours."""
        return f"{milliseconds // HOUR:,}"

    def seconds(self, seconds: Optional[Number]) -> Optional[str]:
        """Write a duration of calls."""
        return None if seconds is None else f"{seconds:.2f} s"

    def weekday(self, at_ms: int) -> str:
        """Write the day of the week."""
        return WEEKDAYS[self.language][local_time(at_ms, self.tz).weekday()]

    def day(self, at_ms: int) -> str:
        """Write a date: Mon 23 Nov, or 11月23日 周一."""
        parts = self.weekday(at_ms), self.date(at_ms)
        return " ".join(reversed(parts) if self.language == "zh" else parts)

    def date(self, at_ms: int) -> str:
        """Write a date without its weekday: 23 Nov, or 11月23日."""
        local = local_time(at_ms, self.tz)
        return (
            f"{local.month}月{local.day}日" if self.language == "zh" else f"{local.day} {MONTHS[local.month - 1][:3]}"
        )

    def clock(self, at_ms: int) -> str:
        """Write a time of the day: 14:05."""
        return f"{local_time(at_ms, self.tz):%H:%M}"

    def time(self, at_ms: int) -> str:
        """Write a time, with its date if that is not today."""
        is_today = local_time(at_ms, self.tz).date() == local_time(self.now_ms, self.tz).date()
        return self.clock(at_ms) if is_today else f"{self.date(at_ms)} {self.clock(at_ms)}"

    def date_time(self, at_ms: int) -> str:
        """Write a time with its date and year."""
        return f"{local_time(at_ms, self.tz):%Y-%m-%d %H:%M}"

    def month(self, name: str) -> str:
        """Write the name of a month such as 2026-10: October 2026."""
        year, month = int(name[:4]), int(name[5:])
        return f"{year}年{month}月" if self.language == "zh" else f"{MONTHS[month - 1]} {year}"

    def period(self, name: str, texts: Mapping[str, str]) -> str:
        """Write the name of a period: that of a view, or of a range in `report`."""
        last = re.fullmatch("last_([0-9]+)([dh])", name)
        if last:
            return texts[f"period_last_{last[2]}"].format(last[1])
        return texts.get(f"period_{name}") or (self.month(name) if MONTH.fullmatch(name) else name)

    def month_of(self, at_ms: int) -> str:
        """Write the month of a time."""
        return self.month(f"{local_time(at_ms, self.tz):%Y-%m}")

    def distance(self, at_ms: int) -> str:
        """Write how far a time is from now, without a direction: 5 min, 3 h, 2 d."""
        minutes = abs(at_ms - self.now_ms) // MINUTE_MS
        hours, units = minutes // 60, ("分钟", "小时", "天") if self.language == "zh" else ("min", "h", "d")
        if hours < 1:
            return f"{minutes} {units[0]}"
        return f"{hours} {units[1]}" if hours < 2 * DAY_HOURS else f"{hours // DAY_HOURS} {units[2]}"


def cut_name(name: str) -> str:
    """Cut a name that is too long for a page."""
    sizes = accumulate(len(escape(letter).encode()) for letter in name[: MAX_NAME + 1])
    kept = sum(size <= MAX_NAME for size in sizes)
    return name if kept == len(name) else f"{name[:kept]}…"


def _three_digits(value: Decimal) -> Decimal:
    """Round to three digits, but never a digit before the point."""
    decimals = max(0, 2 - value.adjusted())
    return value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
