"""The tables of `report`: that of Huawei's own script, and tables by service type, label, model, day and hour."""

from __future__ import annotations

import json
from typing import List, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .amounts import UNKNOWN, abbreviate_tokens, format_change, format_cost, format_hours, format_share, usage_cells
from .heat_map import HeatMap, heat_map
from .month_budgets import MonthBudgets
from .periods import TWO_DAYS, format_hour, format_period, local_time
from .usage_report import Line, Row, UsageReport

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
    elif report.by == "service" and len(report.groups) == 1 and report.whole.previous is None:
        _print_widest_fit(console, [_script_table(report)])
    else:
        _print_widest_fit(console, [_groups_table(report, narrow) for narrow in (False, True)])
    console.print(Text(_period(report)), soft_wrap=True)
    for note in [*([] if report.by == "model" else [LAG]), *report.notes]:
        console.print(Text(note, style="dim"), soft_wrap=True)


def print_budgets(console: Console, budgets: MonthBudgets) -> None:
    """Print the table of the budgets of a month."""
    tz = budgets.instance.zone()
    console.print()
    console.print(Text(f"Budgets of {local_time(budgets.month.start, tz):%Y-%m}", style="bold"))
    numbers = ["Limit", "Used", "Used %", "Forecast", "Forecast %", "Exhausted", "Covered"]
    tables = [_make_table(["Budget", "Unit"], numbers)]
    narrow = _make_table(["Budget"], ["Limit", "Used", "Forecast", "Exhausted", "Covered"])
    for who, unit, limit, used, used_ratio, forecast, forecast_ratio, exhausted, covered in budgets.cells(tz):
        tables[0].add_row(Text(who), unit, limit, used, used_ratio, forecast, forecast_ratio, exhausted, covered)
        cells = (f"{used}\n{used_ratio}", f"{forecast}\n{forecast_ratio}", exhausted.replace(" ", "\n"), covered)
        narrow.add_row(Text(f"{who}\n{unit}"), limit, *cells)
    _print_widest_fit(console, [*tables, narrow])
    for note in budgets.notes():
        console.print(Text(note, style="dim"), soft_wrap=True)


def print_raw(console: Console, report: UsageReport) -> None:
    """Print the cloud's answers."""
    answers = [{"segment": format_period(period, report.tz), "data": json.loads(text)} for period, text in report.raw]
    console.print("\nRaw API Response:")
    console.print(json.dumps(answers, indent=2, ensure_ascii=False), markup=False, highlight=False, soft_wrap=True)


def _title(report: UsageReport) -> str:
    batch = "(batch) " if report.batch else ""
    service = f"{report.groups[0].title} " if report.by == "service" and len(report.groups) == 1 else ""
    what = {
        "service": f"{service}{batch}Usage Statistics",
        "key": f"{batch}Usage by API Key",
        "model": "Models Usage",
        "team": "Usage by Team",
    }
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
    line, currency = report.whole, report.currency
    headings = {"service": ["Service Type"], "key": ["API Key"], "model": ["Model"], "team": ["Team", "Cost Center"]}
    costs = [f"Cost ({currency})"] if currency else []
    last = ["Error rate"] if report.by == "service" else ["Share", *costs]
    names = _stack(["Total", "Prompt", "Completion", "Requests", "Errors"], narrow)
    before = _pairs([["Before", "Change"], *([["Cost before", "Change"]] if currency else [])], narrow)
    table = _make_table(headings[report.by], [*names, *last, *(before if line.previous else [])])

    def add(titles: Sequence[str], row: Row) -> None:
        *cells, error_rate = usage_cells(row.usage)
        ends = [error_rate] if report.by == "service" else [format_share(row.share)]
        ends += [format_cost(row.cost)] if currency else []
        changes = _pairs([_change_cells(row), *([_cost_change_cells(row)] if currency else [])], narrow)
        table.add_row(*map(Text, titles), *_stack(cells, narrow), *ends, *(changes if line.previous else []))

    for group, row in zip(report.groups, line.rows):
        add([group.title, *([str(group.columns["cost_center"])] if report.by == "team" else [])], row)
    table.add_section()
    add([f"Total{_marks(line)}", *([""] if report.by == "team" else [])], line.total_row)
    return table


def _change_cells(row: Row) -> List[str]:
    before = row.previous_usage
    return [abbreviate_tokens(before.total_tokens) if before else UNKNOWN, format_change(row.change)]


def _cost_change_cells(row: Row) -> List[str]:
    return [format_cost(row.previous_cost), format_change(row.cost_change)]


def _pairs(pairs: Sequence[Sequence[str]], narrow: bool) -> List[str]:
    return ["\n".join(pair) for pair in pairs] if narrow else [cell for pair in pairs for cell in pair]


def _lines_table(report: UsageReport, gap: str, bar: str) -> Table:
    """Lay out a row and a bar per day or hour; with several groups, a column of tokens for each."""
    is_one = len(report.groups) == 1
    parts = ["Prompt", "Completion"] if is_one else []
    groups = [] if is_one else [group.title for group in report.groups]
    before = ["Before", "Change"] if report.whole.previous else []
    names = [*groups, "Total", *parts, "Requests", "Error rate", *before]
    table = _make_table([str(report.size).capitalize()], names, gap)
    if bar:
        table.add_column("")
    largest = max((line.total.total_tokens for line in report.lines if line.total), default=0)

    def add(title: str, line: Line, length: int) -> None:
        tokens, prompt, completion, requests, _, rate = usage_cells(line.total)
        cells = [] if is_one else [usage_cells(usage)[0] for usage in line.usages]
        cells += [tokens, *([prompt, completion] if is_one else []), requests, rate]
        cells += _change_cells(line.total_row) if before else []
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
