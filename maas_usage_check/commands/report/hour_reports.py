"""Add up known usage: of each service type, label, team or model, in the period and in each of its days or hours."""

from __future__ import annotations

from typing import Iterator

from msgspec.structs import replace

from ...config import Instance
from ...ledger.known_usage import KnownUsage
from .asked_period import AskedPeriod
from .group_usage import group_usage
from .hour_notes import hour_notes
from .line_adder import LineAdder
from .periods import Part, split_hours
from .report_options import View
from .usage_report import UsageReport


def make_hour_reports(
    instance: Instance, view: View, asked: AskedPeriod, known: KnownUsage, project_id: str, now_ms: int
) -> Iterator[UsageReport]:
    """Yield one report of all models or teams, or one of each inference type."""
    tz = instance.zone()
    for infer_type in ("",) if view.by in ("model", "team") else instance.infer_types:
        adder = LineAdder(group_usage(instance, view.by, known, infer_type, now_ms), view.size == "hour")
        is_partial = asked.is_unfinished or asked.kept != asked.hours
        whole = adder.line(Part(asked.name, asked.kept.start, asked.kept.end, is_partial), asked.hours)
        parts = list(split_hours(asked.kept, view.size, tz))
        lines = [adder.line(part) for part in parts]
        if asked.previous is not None:
            previous = [adder.line(part) for part in split_hours(asked.previous, view.size, tz)]
            lines = [replace(line, previous=before) for line, before in zip(lines, previous)] + lines[len(previous) :]
            whole = replace(whole, previous=adder.line(Part("", asked.previous.start, asked.previous.end)))
        groups = adder.usage.groups
        if view.by == "model":  # the largest first
            tokens = [usage.total_tokens if usage else 0 for usage in whole.usages]
            order = sorted(range(len(groups)), key=lambda i: (-tokens[i], groups[i].title))
            groups, whole = tuple(groups[i] for i in order), whole.in_order(order)
            lines = [line.in_order(order) for line in lines]
        notes = tuple(hour_notes(view, whole, lines, parts, adder, tz)) if groups else ()
        yield UsageReport(
            instance, project_id, tz, view.by, view.size, infer_type == "batch", groups, tuple(lines or [whole]), whole,
            notes=notes,
        )  # fmt: skip
