"""The tables of `report`: that of Huawei's own script, and tables by service type, label, model, day and hour."""

from __future__ import annotations

import json
from typing import List, Optional, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...cloud.usage import Usage
from .amounts import format_cost, format_hours, format_share, usage_cells
from .heat_map import HeatMap, heat_map
from .periods import TWO_DAYS, format_hour, format_period
from .usage_report import Line, UsageReport

RANGE_UNITS = {"today": "day", "yesterday": "day", "this_month": "month"}
BAR_LENGTH = 8
UNLIMITED_WIDTH = 1000
"""Columns in a file or a pipe, where a row must stay one line."""
LAG = "The cloud's statistics lag 1 to 2 hours behind."
NO_MODELS = "Cloud Eye lists no models: no call in the last 3 hours, or only in another project or region."


def print_report(console: Console, report: UsageReport) -> None:
    """Print the table of a report, and the lines below it."""
    console.print()
    console.print(Text(_title(report), style="bold"))
    if not report.groups:
        console.print(Text(NO_MODELS), soft_wrap=True)
        return
    plain = console.options.ascii_only
    if report.size == "hour" and len(report.lines) > TWO_DAYS:
        hours = [(line.period.start, line.total) for line in report.lines]
        maps = [heat_map(hours, report.tz, width, plain) for width in (2, 1)]
        _print_widest_fit(console, [_map_table(each) for each in maps])
        for text in maps[0].legend:
            console.print(Text(text))
    elif report.size:
        bar = ("#" if plain else "█") * BAR_LENGTH
        _print_widest_fit(console, [_lines_table(report, *shape) for shape in ((" ", bar), ("\n", bar), ("\n", ""))])
    elif report.by == "service" and len(report.groups) == 1:
        _print_widest_fit(console, [_script_table(report)])
    else:
        _print_widest_fit(console, [_groups_table(report, narrow) for narrow in (False, True)])
    console.print(Text(_period(report)), soft_wrap=True)
    for note in [*([] if report.by == "model" else [LAG]), *report.notes]:
        console.print(Text(note, style="dim"), soft_wrap=True)


def print_raw(console: Console, report: UsageReport) -> None:
    """Print the cloud's answers."""
    answers = [{"segment": format_period(period, report.tz), "data": json.loads(text)} for period, text in report.raw]
    console.print("\nRaw API Response:")
    console.print(json.dumps(answers, indent=2, ensure_ascii=False), markup=False, highlight=False, soft_wrap=True)


def _title(report: UsageReport) -> str:
    batch = "(batch) " if report.batch else ""
    service = f"{report.groups[0].title} " if report.by == "service" and len(report.groups) == 1 else ""
    what = {"service": f"{service}{batch}Usage Statistics", "key": f"{batch}Usage by API Key", "model": "Models Usage"}
    return f"MaaS {what[report.by]} - Region: {report.instance.region}"


def _period(report: UsageReport) -> str:
    period = report.whole.period
    whole = "" if report.is_exact else ", in whole hours of UTC"
    part = f" - part of the {RANGE_UNITS.get(period.name, 'range')}" if period.partial else ""
    return f"Period: {format_period(period, report.tz)}{whole}{part}"


def _script_table(report: UsageReport) -> Table:
    """Lay out one service type as the script does."""
    table = _make_table(["Metric"], ["Value"])
    table.add_row("Service Type", report.groups[0].title)
    names = ("Total Tokens", "Prompt Tokens", "Completion Tokens", "Total Requests", "Total Errors", "Error Rate")
    for name, value in zip(names, usage_cells(report.whole.total, " tokens")):
        table.add_row(name, value)
    return table


def _groups_table(report: UsageReport, narrow: bool) -> Table:
    """Lay out a row per group and their total; in a narrow table, two numbers share a column."""
    prices, line = report.instance.prices if report.by == "model" else None, report.whole
    last = ["Error rate"] if report.by == "service" else ["Share", *([f"Cost ({prices.currency})"] if prices else [])]
    heading = {"service": "Service Type", "key": "API Key", "model": "Model"}[report.by]
    names = _stack(["Total", "Prompt", "Completion", "Requests", "Errors"], narrow)
    table = _make_table([heading], [*names, *last])

    def add(title: str, usage: Optional[Usage], cost: str) -> None:
        *cells, error_rate = usage_cells(usage)
        ends = (
            [error_rate] if report.by == "service" else [format_share(line.share(usage)), *([cost] if prices else [])]
        )
        table.add_row(Text(title), *_stack(cells, narrow), *ends)

    for group, usage in zip(report.groups, line.usages):
        add(group.title, usage, format_cost(group.cost(usage)))
    table.add_section()
    add(f"Total{_marks(line)}", line.total, format_cost(report.total_cost(line)))
    return table


def _lines_table(report: UsageReport, gap: str, bar: str) -> Table:
    """Lay out a row and a bar per day or hour; with several groups, a column of tokens for each."""
    is_one = len(report.groups) == 1
    parts = ["Prompt", "Completion"] if is_one else []
    groups = [] if is_one else [group.title for group in report.groups]
    table = _make_table([str(report.size).capitalize()], [*groups, "Total", *parts, "Requests", "Error rate"], gap)
    if bar:
        table.add_column("")
    largest = max((line.total.total_tokens for line in report.lines if line.total), default=0)

    def add(title: str, line: Line, length: int) -> None:
        tokens, prompt, completion, requests, _, rate = usage_cells(line.total)
        cells = [] if is_one else [usage_cells(usage)[0] for usage in line.usages]
        cells += [tokens, *([prompt, completion] if is_one else []), requests, rate]
        table.add_row(title, *cells, *([bar[:length]] if bar else []))

    for line in report.lines:
        name = line.period.name if report.size == "day" else format_hour(line.period.start, report.tz)
        length = -(-line.total.total_tokens * len(bar) // largest) if line.total and largest else 0
        add(name + _marks(line, line.period.partial, gap), line, length)
    table.add_section()
    add(f"Total{_marks(report.whole, gap=gap)}", report.whole, 0)
    return table


def _marks(line: Line, is_part: bool = False, gap: str = " ") -> str:
    """Mark a row that covers only a part of its day, or only some of its hours."""
    hours = format_hours(line.period) if any(line.usages) else ""
    marks = [*(["part"] if is_part else []), *([f"{hours} h"] if hours else [])]
    return f"{gap}({', '.join(marks)})" if marks else ""


def _map_table(heat: HeatMap) -> Table:
    """Lay out a row per day with a cell per hour."""
    table = _make_table(["Day"], [])
    table.add_column(heat.heading, no_wrap=True)
    table.add_column("Total", justify="right", overflow="fold")
    for day, cells, total in heat.days:
        table.add_row(day, Text(cells), total)
    table.add_section()
    table.add_row("Total", "", heat.total)
    return table


def _stack(cells: Sequence[str], narrow: bool) -> List[str]:
    if not narrow:
        return list(cells)
    tokens, prompt, completion, requests, errors = cells
    return [tokens, f"{prompt}\n{completion}", f"{requests}\n{errors}"]


def _make_table(names: Sequence[str], numbers: Sequence[str], gap: str = " ") -> Table:
    """Make a table of names on the left and numbers, which fold so that no digit is cut off."""
    table = Table(box=box.ROUNDED)
    for name in names:
        table.add_column(name.replace(" ", gap), overflow="fold")
    for name in numbers:
        table.add_column(Text(name.replace(" ", gap)), justify="right", overflow="fold")
    return table


def _print_widest_fit(console: Console, shapes: Sequence[Table]) -> None:
    """Print the first table that fits the console, else the last; the widest comes first."""
    unlimited = console.options.update(max_width=UNLIMITED_WIDTH)
    widths = [console.measure(table, options=unlimited).maximum for table in shapes]
    console.print(next((table for table, width in zip(shapes, widths) if width <= console.width), shapes[-1]))
