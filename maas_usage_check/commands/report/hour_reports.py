"""Add up known hours: of each service type, label or model, in the window and in each of its days or hours."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ...cloud.usage import Usage
from ...config import ONLINE_EXPERIENCE, Instance
from ...config.ranges import HOUR
from ...ledger.window import NO_USE, Hours, KnownHours, kept_hours
from .amounts import format_hours
from .periods import HoursOfPeriod, split_hours
from .range_totals import is_unfinished, service_group
from .usage_report import Group, Line, Period, UsageReport, sum_usages

WHY_UNKNOWN = {
    "model": "Cloud Eye has the last 10 days, and the ledger has the collected hours (`models` and `hourly`)",
    "key": "hours can be queried for 29 days, and standard error names what failed",
}
WHY_UNKNOWN["service"] = WHY_UNKNOWN["key"]


class AskedHours(NamedTuple):
    """The whole UTC hours of an instance's one range that are over; `kept` are those that can be known."""

    name: str
    all: Sequence[int]
    kept: Sequence[int]
    is_unfinished: bool = False


def asked_hours(instance: Instance, by: str, now_ms: int) -> AskedHours:
    """List the hours of a report."""
    (range_,) = instance.ranges
    window = range_.window(now_ms, instance.zone)
    hours, kept = kept_hours(window.start, window.end, now_ms, by == "model")
    return AskedHours(range_.name, hours, kept, is_unfinished(range_, instance, now_ms))


def make_hour_reports(
    instance: Instance, by: str, size: Optional[str], asked: AskedHours, known: KnownHours, project_id: str
) -> Iterator[UsageReport]:
    """Yield one report of all models, or one of each inference type."""
    tz = instance.zone()
    for infer_type in ("",) if by == "model" else instance.infer_types:
        groups, series, whole_hours = _group(instance, by, known, infer_type)
        every = HoursOfPeriod(asked.name, asked.kept, asked.is_unfinished or len(asked.kept) < len(asked.all))
        whole = _line(every, len(asked.all), series, whole_hours)
        lines = [_line(each, len(each.hours), series, whole_hours) for each in split_hours(asked.kept, size, tz)]
        yield UsageReport(
            instance, project_id, tz, by, size, infer_type == "batch", tuple(groups), tuple(lines or [whole]), whole,
            tuple(_notes(by, whole, lines)) if groups else (),
        )  # fmt: skip


def _group(
    instance: Instance, by: str, known: KnownHours, infer_type: str
) -> Tuple[List[Group], List[Hours], Optional[Hours]]:
    """Return the groups and their hours; by key also the hours of all calls, whose rest is the last group."""
    if by == "model":
        tokens = {api_id: sum(usage.total_tokens for usage in hours.values()) for api_id, hours in known.hours.items()}
        groups = [_model_group(instance, api_id) for api_id in tokens]
        groups.sort(key=lambda group: (-tokens[str(group.columns["maas_api_id"])], group.title))
        return groups, [known.hours[group.columns["maas_api_id"]] for group in groups], None
    if by == "service":
        groups = [service_group(service_type.name, infer_type) for service_type in instance.service_types]
        return groups, [known.hours[service_type, infer_type, ""] for service_type in instance.service_types], None
    labels = [*(label or ONLINE_EXPERIENCE for label in instance.api_keys or ()), None]
    groups = [Group(label or "Other keys", {"infer_type": infer_type, "api_key_label": label}) for label in labels]
    *series, whole = (
        _add_up([known.hours[service_type, infer_type, label or ""] for service_type in instance.service_types])
        for label in labels
    )
    return groups, series, whole


def _model_group(instance: Instance, api_id: str) -> Group:
    name = instance.model_names.get(api_id, api_id)
    price = instance.prices.of(api_id, name) if instance.prices else None
    return Group(name, {"maas_api_id": api_id, "model": name}, price)


def _add_up(parts: Sequence[Hours]) -> Hours:
    """Add up the hours that are known of all parts."""
    return {at: reduce(add, (part[at] for part in parts)) for at in set(parts[0]).intersection(*parts[1:])}


def _line(period: HoursOfPeriod, count: int, series: Sequence[Hours], whole: Optional[Hours]) -> Line:
    """Add up the hours that are known of every group, so that groups compare. One without any is not known."""
    every = [*series, *([] if whole is None else [whole])]
    known = [set(period.hours).intersection(hours) for hours in every]
    common = set.intersection(*filter(None, known)) if any(known) else set()
    usages = [reduce(add, (hours[at] for at in common)) if own and common else None for hours, own in zip(every, known)]
    covered = Period(
        period.name, period.hours[0], period.hours[-1] + HOUR, period.partial, count * HOUR, len(common) * HOUR
    )
    if whole is None:
        return Line(covered, tuple(usages), sum_usages(usages))
    return Line(covered, (*usages[:-1], _rest(usages[-1], usages[:-1])), usages[-1])


def _rest(whole: Optional[Usage], labels: Sequence[Optional[Usage]]) -> Optional[Usage]:
    """Subtract the labels from the whole; None if one is not known, or if they exceed it."""
    covered = sum_usages([NO_USE, *labels])
    if whole is None or covered is None:
        return None
    names = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
    rest = [getattr(whole, name) - getattr(covered, name) for name in names]
    return Usage(*rest) if min(rest) >= 0 else None


def _notes(by: str, whole: Line, lines: Sequence[Line]) -> Iterator[str]:
    hours = format_hours(whole.period)
    if hours:
        yield f"{hours} hours are known and counted: {WHY_UNKNOWN[by]}."
    exceeds = (line.total and line.usages[-1] is None and None not in line.usages[:-1] for line in (whole, *lines))
    if by == "key" and any(exceeds):
        yield "The labels exceed all keys together: the cloud changed numbers between two answers; run it again."
