"""A page's content by hand: three teams, three models and a week before Monday, 2026-11-23, 20:30 in Shanghai."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from msgspec.structs import replace

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.report.coverage import find_gaps
from maas_usage_check.commands.report.periods import Part, split_hours
from maas_usage_check.commands.report.usage_report import Group, Line, Period, UsageReport
from maas_usage_check.commands.serve.page.content import BudgetRow, CollectionState, LiveModel, PageContent, Total
from maas_usage_check.commands.serve.page.missing_hours import due_until
from maas_usage_check.commands.serve.page.page_view import PageView
from maas_usage_check.config import Instance, load
from maas_usage_check.config.ranges import HOUR, Window, month_window
from maas_usage_check.errors import Problem
from maas_usage_check.ledger.known_usage import Span

from ..fixed_clock import MONDAY
from .conftest import ZoneInfo

NOW = int(MONDAY * 1000)
SHANGHAI = ZoneInfo("Asia/Shanghai")
SIX_HOURS = 6 * HOUR
NO_USE = Usage(0, 0, 0, 0, 0)
HOSTILE = [
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}{% for x in y %}",
    "\u202egnp.exe \u2066 right-to-left",
    'a"b\' onmouseover="alert(1)',
    "x" * 10_000,
    "مرحبا بالعالم",
]
MODELS = ("deepseek-v3.2", "qwen3-235b-a22b", "kimi-k2-instruct")
TEAMS = ("search", "support", "data-platform")


def use(at: int, now_ms: int = NOW) -> Optional[Usage]:
    """Return the use of an hour: more on weekdays and by day; the newest two hours are not known."""
    if at + 3 * HOUR > now_ms:
        return None
    local = dt.datetime.fromtimestamp(at / 1000, SHANGHAI)
    wave = max(0.0, math.sin((local.hour - 6) / 18 * math.pi)) * (0.35 if local.weekday() > 4 else 1.0)
    total = int(3_100_000 * wave * (0.7 + 0.3 * math.sin(at / HOUR * 1.7)) + 20_000 * (local.hour % 5))
    prompt, completion = total * 82 // 100, total * 13 // 100
    return Usage(total, prompt, completion, total // 5100, total // 240_000)


def add(usages: Sequence[Usage]) -> Usage:
    result = NO_USE
    for usage in usages:
        result = result + usage
    return result


def part_of(usage: Optional[Usage], share: float) -> Optional[Usage]:
    if usage is None:
        return None
    return Usage(*(int(number * share) for number in (
        usage.total_tokens, usage.prompt_tokens, usage.completion_tokens, usage.requests, usage.errors,
    )))  # fmt: skip


class Sample:
    """Makes contents. Change its attributes before `content()`."""

    def __init__(self, period: str = "7d", language: str = "en", zone: str = "Asia/Shanghai", now: int = NOW) -> None:
        self.now, self.tz, self.language, self.period = now, ZoneInfo(zone), language, period
        self.unknown: List[int] = []
        self.is_empty = False
        self.has_prices = True
        self.teams: Sequence[str] = TEAMS
        self.models: Sequence[str] = MODELS
        self.instances: Tuple[str, ...] = ("production",)

    def instance(self) -> Instance:
        entry: Dict[str, Any] = {"hourly": True, "models": True, "timezone": str(self.tz)}
        if self.has_prices:
            entry["prices"] = {"currency": "CNY", "models": {"m": {"prompt": 2, "completion": 8}}}
        return load({"init_config": None, "instances": [entry]}, self.now / 1000)[0]

    def hour(self, at: int) -> Optional[Usage]:
        return None if self.is_empty or at in self.unknown else use(at, self.now)

    def window(self) -> Window:
        until = self.now // HOUR * HOUR
        month = month_window(self.now, self.tz)
        if self.period == "today":
            midnight = dt.datetime.fromtimestamp(self.now / 1000, self.tz).replace(hour=0, minute=0, second=0)
            return Window(int(midnight.timestamp()) * 1000, until)
        if self.period == "this_month":
            return Window(month.start, until)
        if self.period == "last_month":
            return month_window(month.start - 1, self.tz)
        return Window(until - 7 * 24 * HOUR, until)

    def line(self, part: Part, shares: Sequence[float] = (1.0,), is_priced: bool = False) -> Line:
        spans = [Span(at, at + HOUR) for at in range(part.start, part.end, HOUR) if self.hour(at) is not None]
        total = add([self.hour(span.start) or NO_USE for span in spans]) if spans else None
        usages = tuple(part_of(total, share) for share in shares)
        costs = tuple(_cost(usage) for usage in usages) if is_priced and self.has_prices else (None,) * len(usages)
        length, covered = part.end - part.start, len(spans) * HOUR
        period = Period(part.name, part.start, part.end, part.partial, length, covered)
        gaps = tuple(find_gaps(part.start, part.end, spans))
        cost = _cost(total) if is_priced and self.has_prices else None
        return Line(period, usages, total, costs, cost, length == covered, (0,) * len(usages), gaps)

    def report(self, by: str, window: Window, names: Sequence[str], size: Optional[str] = None) -> UsageReport:
        weights = [1 / (index + 1) for index, _ in enumerate(names)]
        shares = [weight / sum(weights) for weight in weights]
        groups = tuple(Group(name, {by: name}) for name in names)
        is_priced = by in ("team", "model")
        whole = self.line(Part(self.period, window.start, window.end, True), shares, is_priced)
        lines = tuple(self.line(part, shares, is_priced) for part in split_hours(window, size, self.tz))
        return UsageReport(self.instance(), "p" * 32, self.tz, by, size, False, groups, lines or (whole,), whole)

    def total(self, start: int, until: int, previous: Optional[Window] = None) -> Total:
        """Return totals as `page_totals` reads them: how many hours are missing, but not which."""

        def line(is_priced: bool, start: int, until: int) -> Line:
            found = self.line(Part("", start, until, True), is_priced=is_priced)
            due = max(start, min(until, due_until(self.now)))
            period = replace(found.period, length=max(due - start, found.period.covered))
            return replace(found, period=period, gaps=(), is_cost_complete=not period.is_incomplete)

        lines = [line(is_priced, start, until) for is_priced in (False, True)]
        if previous is not None:
            before = [line(is_priced, previous.start, previous.end) for is_priced in (False, True)]
            lines = [replace(after, previous=each) for after, each in zip(lines, before)]
        return Total(lines[0], lines[1] if self.has_prices else None)

    def content(self, **changes: Any) -> PageContent:
        window, month = self.window(), month_window(self.now, self.tz)
        until = (self.now - 3 * HOUR) // HOUR * HOUR
        last = month_window(month.start - 1, self.tz)
        period = self.report("service", window, ["Preset Service"], "day")
        today = dt.datetime.fromtimestamp(self.now / 1000, self.tz).replace(hour=0, minute=0, second=0)
        content = PageContent(
            view=PageView(self.period, language=self.language, in_url={"period": self.period}),
            instances=self.instances,
            months=("2026-11", "2026-10", "2026-09"),
            groupings=("team", "key", "model", "service"),
            tz=self.tz,
            now_ms=self.now,
            state=CollectionState("ok", self.now - 120_000, None if self.is_empty else until, 0),
            currency="CNY" if self.has_prices else "",
            has_cached_note=self.has_prices,
            today=self.total(int(today.timestamp()) * 1000, self.now // HOUR * HOUR),
            month=self.total(month.start, until),
            comparison=self.total(month.start, until, Window(last.start, last.start + until - month.start)),
            has_budget=False,
            budgets=() if self.is_empty else tuple(self.budgets(month)),
            period=period,
            day_costs=[_cost(line.total) if self.has_prices else None for line in period.lines],
            hours=[(at, self.hour(at)) for at in range(window.start, window.end, HOUR)],
            groups=(
                self.report("team", window, [*self.teams, "unassigned"]),
                self.report("model", window, self.models),
            ),
            live_models=() if self.is_empty else tuple(self.live_models()),
        )
        return replace(content, **changes)

    def budgets(self, month: Window) -> Iterator[BudgetRow]:
        limits = [
            ("", "tokens", 1e9, 0.71, 0.93),
            ("", "CNY", 3000.0, 0.68, 0.89),
            ("search", "tokens", 4e8, 1.04, 1.4),
        ]
        limits += [("support", "tokens", 2.5e8, 0.84, 1.11), ("data-platform", "CNY", 500.0, 0.31, 0.41)]
        for team, unit, limit, used, forecast in limits:
            if unit == "CNY" and not self.has_prices:
                continue
            fields = {
                "limit": limit, "used": limit * used, "used_ratio": used, "forecast": limit * forecast,
                "forecast_ratio": forecast, "covered_ratio": 1.0, "period_start_timestamp_seconds": month.start / 1000,
            }  # fmt: skip
            if forecast >= 1:
                share = (1 - used) / (forecast - used) if used < 1 else -0.12
                fields["exhausted_timestamp_seconds"] = (self.now + share * (month.end - self.now)) // 1000
            yield BudgetRow(team, unit, fields)

    def live_models(self) -> Iterator[LiveModel]:
        minute = self.now // 60_000 * 60_000 - 6 * 60_000
        for index, name in enumerate(self.models):
            requests = 42.0 / (index + 1) if index != 2 else 0.0
            fields = {
                "requests_per_minute": round(requests), "tokens_per_minute": round(requests * 5100),
                "errors_4xx": float(index), "errors_5xx": 0.0, "error_ratio": 0.021 * index,
                "time_to_first_token_seconds": 0.53, "latency_seconds": 11.2184,
                "requests_limit_ratio": 0.7 / (index + 1), "tokens_limit_ratio": 0.93 / (index + 1),
            }  # fmt: skip
            if index == 2:
                fields = {name: fields[name] for name in ("requests_per_minute", "tokens_per_minute")}
            yield LiveModel(name, minute, fields)


def _cost(usage: Optional[Usage]) -> Optional[Decimal]:
    return (
        None if usage is None else (Decimal(usage.prompt_tokens) * 2 + Decimal(usage.completion_tokens) * 8) / 1_000_000
    )


def failing() -> CollectionState:
    """Return the state after a cycle in which some queries failed."""
    problems = [
        Problem(
            "W", "production: 3 of 18 queries failed: the network is down (Connection refused); check the proxy", "a"
        ),
        Problem("I", "production: backfill: 120 hours of 1 series missing, about 144 requests, newest first", "b"),
    ]
    return CollectionState("partial", NOW - 60_000, NOW - 3 * HOUR, 120, problems)
