"""The sentences about a report by model: models that may be missing, what the cost leaves out, and the month's cost."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Iterator, Sequence

from ...config.ranges import HOUR, to_ms
from ...ledger.window import KnownHours, kept_hours
from .amounts import format_cost
from .hour_reports import AskedHours, make_hour_reports
from .periods import local_time
from .usage_report import UsageReport

WEEK_HOURS = 168
"""The month's cost is estimated at the rate of so many last hours."""
MAX_NAMED = 5
"""Models of a long list that a line names."""


def last_week(now_ms: int) -> Sequence[int]:
    """List the last 168 hours that are complete in Cloud Eye."""
    hours, _ = kept_hours(now_ms - (WEEK_HOURS + 2) * HOUR, now_ms, now_ms, is_models=True)
    return hours[-WEEK_HOURS:]


def model_notes(report: UsageReport, known: KnownHours, now_ms: int) -> Iterator[str]:
    """Yield the sentences about a report of models."""
    if report.whole.period.start < known.listed_since_ms:
        since = local_time(known.listed_since_ms, report.tz)
        yield (
            f"Models last called before {since:%Y-%m-%d %H:%M} are missing: Cloud Eye lists a model for 3 hours after "
            "its last call, and the ledger keeps the collected models."
        )
    if report.instance.prices:
        yield f"Cost is an estimate: tokens times the prices in the file.{_without_price(report)}"
        yield from _month(report, known, now_ms)


def _without_price(report: UsageReport) -> str:
    unpriced = [(group, usage) for group, usage in zip(report.groups, report.whole.usages) if group.price is None]
    if not unpriced:
        return ""
    shares = [report.whole.share(usage) for _, usage in unpriced]
    part = "" if None in shares else f", {sum(filter(None, shares)):.1%} of the tokens"
    names = ", ".join(group.title for group, _ in unpriced[:MAX_NAMED]) + (", ..." if len(unpriced) > MAX_NAMED else "")
    return (
        f" The total excludes models without a price: {len(unpriced)} of {len(report.groups)} models{part} ({names})."
    )


def _month(report: UsageReport, known: KnownHours, now_ms: int) -> Iterator[str]:
    """Estimate the cost of the current local month at the rate of the last 7 days."""
    first = local_time(now_ms, report.tz).date().replace(day=1)
    following = (first + dt.timedelta(days=31)).replace(day=1)
    length = Decimal(to_ms(following, report.tz) - to_ms(first, report.tz)) / HOUR
    hours = last_week(now_ms)
    (week,) = make_hour_reports(report.instance, "model", None, AskedHours("", hours, hours), known, "")
    known_hours, cost = week.whole.period.covered // HOUR, week.total_cost(week.whole)
    if known_hours < WEEK_HOURS:
        yield f"No estimate for {first:%B}: {known_hours} of the last {WEEK_HOURS} hours are known."
    elif cost is not None and report.instance.prices:
        unpriced = sum(group.price is None for group in report.groups)
        models = "models that have" if unpriced > 1 else "model that has"
        note = f", without the {models} no price" if unpriced else ""
        yield (
            f"At the rate of the last 7 days, {first:%B} costs about {format_cost(cost * length / WEEK_HOURS)} "
            f"{report.instance.prices.currency} (estimate{note})."
        )
