"""The tables for people: what Huawei's own script prints, and a little more."""

from __future__ import annotations

import datetime as dt
import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Dict, List, Sequence, Tuple

import msgspec
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ..cloud.statistics import Answer, Totals
from ..config import Instance
from ..config.ranges import Fixed, Range, Window, instant, kept
from ..cycle import Batch, Collector, run_cycle
from ..metrics import API, Point

SERVICES = {"my_service": "My Service", "preset": "Preset Service", "custom_endpoint": "Custom Endpoint"}
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
BAR = 8
LAG = "The cloud's statistics lag 1 to 2 hours behind."


def by_day(instance: Instance, now: int) -> Instance:
    """Replace the one range of an instance by the local days in it; the first and the last may be part of a day."""
    tz = instance.zone()
    held = kept(instance.ranges[0].window(now, instance.zone), now).windows
    days: List[Range] = []
    start, end = (held[0].start, held[-1].end) if held else (0, 0)
    while start < end:
        day = _local(start, tz).date()
        until = min(instant(day + dt.timedelta(days=1), tz), end)
        days.append(Fixed(day.isoformat(), _moment(start), _moment(until)))
        start = until
    return msgspec.structs.replace(instance, ranges=tuple(days) or instance.ranges)


def ask(collectors: Sequence[Collector], now: float) -> List[Batch]:
    """Run the cycle of a moment (seconds since 1970), with a progress bar where someone watches."""
    total = sum(len(collector.plan().queries) for collector in collectors)
    watched = Console(stderr=True)
    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=watched, transient=True, disable=not watched.is_terminal) as progress:
        task = progress.add_task("asking", total=total)
        return run_cycle(collectors, progress=lambda: progress.advance(task), now=now)


def show(console: Console, instance: Instance, batch: Batch, daily: bool, raw: bool) -> None:
    """Print the tables of one instance: one for each service type, inference type and label."""
    now = _moment_of(batch)
    bar = "#" if console.options.ascii_only else "█"
    groups: Dict[Tuple[str, ...], List[Point]] = {}
    for point in batch.points:
        if point.measurement != API:
            names = ("service_type", "infer_type", "api_key_label")
            groups.setdefault(tuple(point.tags.get(name, "") for name in names), []).append(point)
    for (service_type, infer_type, label), points in groups.items():
        kind = "" if infer_type == "real_time" else " (batch)"
        key = f" - API key: {label}" if label else ""
        console.print()
        console.print(
            Text(f"MaaS {SERVICES[service_type]}{kind} Usage Statistics - Region: {instance.region}{key}", style="bold")
        )
        console.print(_days(points, bar) if daily else _totals(points))
        if not daily:
            shown = [span for span in instance.ranges if any(point.tags["range"] == span.name for point in points)]
            for span in shown:
                name = f"Period {span.name}" if len(shown) > 1 else "Period"
                held = kept(span.window(now, instance.zone), now).windows
                covered = Window(held[0].start, held[-1].end)
                console.print(Text(f"{name}: {period(covered, instance.zone())}"), soft_wrap=True)
    if groups:
        console.print(Text(LAG, style="dim"))
    if raw:
        answers = [
            {"segment": period(query.window, instance.zone()), "data": json.loads(outcome.text)}
            for query, outcome in batch.outcomes.items()
            if isinstance(query, Totals) and isinstance(outcome, Answer)
        ]
        console.print("\nRaw API Response:")
        console.print(json.dumps(answers, indent=2, ensure_ascii=False), markup=False, highlight=False, soft_wrap=True)


def clipped(asked: Instance, batch: Batch, daily: bool) -> List[str]:
    """Name the shown ranges that reach past what the cloud keeps, with the share that is there.

    Args:
        asked: the instance before its range was replaced by days.
        batch: what was answered.
        daily: the answers are those of the days.
    """
    now = _moment_of(batch)
    shown = {point.tags["range"] for point in batch.points if point.measurement != API}
    spans = [span for span in asked.ranges if (shown if daily else span.name in shown)]
    shares = {span.name: kept(span.window(now, asked.zone), now).coverage for span in spans}
    return [
        # Never rounded up to all of it.
        f"{name}: reaches past the 30 days that the cloud keeps; the numbers cover {min(share, 0.999):.1%} of it"
        for name, share in shares.items()
        if share < 1
    ]


def period(window: Window, tz: dt.tzinfo) -> str:
    """Write a window as the script does; the end is not counted."""
    start, end = _local(window.start, tz), _local(window.end, tz)
    return f"{start:%Y-%m-%d %H:%M:%S} ~ {end:%Y-%m-%d %H:%M:%S} ({end:%Z})"


def tokens(count: int) -> str:
    """Write a number of tokens as the script does: 2,482.08 M tokens, 12.40 K tokens."""
    scale, letter = (1_000_000, "M") if count >= 1_000_000 else (1_000, "K")
    scaled = (Decimal(count) / scale).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"{scaled:,} {letter} tokens"


def _totals(points: Sequence[Point]) -> Table:
    table = Table(box=box.ROUNDED)
    table.add_column("Metric")
    for point in points:
        table.add_column(Text(point.tags["range"] if len(points) > 1 else "Value"), justify="right")
    rows = {
        "Service Type": [SERVICES[point.tags["service_type"]] for point in points],
        "Total Tokens": [tokens(int(point.fields["total_tokens"])) for point in points],
        "Prompt Tokens": [tokens(int(point.fields["prompt_tokens"])) for point in points],
        "Completion Tokens": [tokens(int(point.fields["completion_tokens"])) for point in points],
        "Total Requests": [f"{point.fields['requests']:,}" for point in points],
        "Total Errors": [f"{point.fields['errors']:,}" for point in points],
        "Error Rate": [f"{point.fields['error_ratio']:.2%}" for point in points],
    }
    for name, values in rows.items():
        table.add_row(name, *values)
    return table


def _days(points: Sequence[Point], bar: str) -> Table:
    table = Table(box=box.ROUNDED)
    for name in ("Day", "Total", "Prompt", "Completion", "Requests", "Errors", ""):
        table.add_column(name, justify="left" if name in ("Day", "") else "right")
    most = max(int(point.fields["total_tokens"]) for point in points) or 1
    for point in points:
        count = int(point.fields["total_tokens"])
        shares = [tokens(int(point.fields[name])) for name in ("total_tokens", "prompt_tokens", "completion_tokens")]
        table.add_row(
            point.tags["range"],
            *(share.replace(" tokens", "") for share in shares),
            f"{point.fields['requests']:,}",
            f"{point.fields['error_ratio']:.2%}",
            bar * -(-count * BAR // most),
        )
    return table


def _moment_of(batch: Batch) -> int:
    return batch.points[-1].time // 1_000_000


def _local(milliseconds: int, tz: dt.tzinfo) -> dt.datetime:
    return _moment(milliseconds).astimezone(tz)


def _moment(milliseconds: int) -> dt.datetime:
    return EPOCH + dt.timedelta(milliseconds=milliseconds)
