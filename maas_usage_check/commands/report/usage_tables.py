"""The tables of `report`: those of Huawei's own script, and tables by day, hour and service type."""

from __future__ import annotations

from itertools import groupby
from typing import Mapping, Optional, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...cloud.usage import Usage
from .amounts import usage_cells
from .heat_map import HeatMap, heat_map
from .periods import Layout, Period, format_period, is_long, local_time
from .usage_rows import UsageRow, sum_usages

SERVICES = {"my_service": "My Service", "preset": "Preset Service", "custom_endpoint": "Custom Endpoint"}
RANGE_UNITS = {"today": "day", "yesterday": "day", "this_month": "month"}
BAR_LENGTH = 8
UNLIMITED_WIDTH = 1000
"""Columns in a file or a pipe, where a row must stay one line."""
LAG = "The cloud's statistics lag 1 to 2 hours behind."


def print_usage_tables(console: Console, layout: Layout, rows: Sequence[UsageRow], ledger_share: str = "") -> None:
    """Print a table per inference type and label; with several service types, per range too.

    Args:
        console: the output.
        layout: the queried periods.
        rows: their usage.
        ledger_share: a line about the hours from the ledger, if any.
    """
    services = list(dict.fromkeys(row.service_type for row in rows))
    bar = ("#" if console.options.ascii_only else "█") * BAR_LENGTH
    for (label, infer_type), group in groupby(rows, lambda row: (row.label, row.infer_type)):
        shown = list(group)
        name = f"{SERVICES[services[0]]} " if len(services) == 1 else ""
        kind = "" if infer_type == "real_time" else "(batch) "
        key = f" - API key: {label}" if label else ""
        console.print()
        console.print(
            Text(f"MaaS {name}{kind}Usage Statistics - Region: {layout.configured.region}{key}", style="bold")
        )
        if is_long(layout):
            hours = [
                (period, sum_usages([row.usage for row in same]))
                for period, same in groupby(shown, lambda row: row.period)
            ]
            maps = [heat_map(hours, layout.tz, width, console.options.ascii_only) for width in (2, 1)]
            print_widest_fit(console, [_map_table(each) for each in maps])
            for line in maps[0].legend:
                console.print(Text(line))
            _print_periods(console, layout, layout.ranges)
        elif layout.size:
            shapes = ((" ", bar), ("\n", bar), ("\n", ""))
            print_widest_fit(console, [_day_or_hour_table(layout, shown, services, *shape) for shape in shapes])
            _print_periods(console, layout, layout.ranges)
        elif len(services) == 1:
            print_widest_fit(console, [_range_table(shown)])
            _print_periods(console, layout, layout.ranges)
        else:
            for period, same in groupby(shown, lambda row: row.period):
                usages = {SERVICES[row.service_type]: row.usage for row in same}
                print_widest_fit(console, [_service_table(usages, gap) for gap in (" ", "\n")])
                _print_periods(console, layout, [period])
    for line in filter(None, (LAG, ledger_share)):
        console.print(Text(line, style="dim"))


def _range_table(rows: Sequence[UsageRow]) -> Table:
    """Lay out one service type as the script does, with a column per range."""
    table = make_table(["Metric"], [row.period.name if len(rows) > 1 else "Value" for row in rows])
    table.add_row("Service Type", *(SERVICES[row.service_type] for row in rows))
    names = ("Total Tokens", "Prompt Tokens", "Completion Tokens", "Total Requests", "Total Errors", "Error Rate")
    for name, *values in zip(names, *(usage_cells(row.usage, " tokens") for row in rows)):
        table.add_row(name, *values)
    return table


def _service_table(usages: Mapping[str, Optional[Usage]], gap: str) -> Table:
    """Lay out a row per service type, and their total."""
    table = make_table(["Service Type"], ["Total", "Prompt", "Completion", "Requests", "Errors", "Error rate"], gap)
    for name, usage in usages.items():
        table.add_row(name.replace(" ", gap), *usage_cells(usage))
    table.add_section()
    table.add_row("Total", *usage_cells(sum_usages(list(usages.values()))))
    return table


def _day_or_hour_table(layout: Layout, rows: Sequence[UsageRow], services: Sequence[str], gap: str, bar: str) -> Table:
    """Lay out a row and a bar per day or hour; with several service types, a column of tokens for each."""
    parts = ["Prompt", "Completion"] if len(services) == 1 else []
    service_names = [SERVICES[name] for name in services] if len(services) > 1 else []
    columns = [*service_names, "Total", *parts, "Requests", "Error rate"]
    table = make_table([str(layout.size).capitalize()], columns, gap)
    if bar:
        table.add_column("")

    def add(name: str, by_service: Sequence[Optional[Usage]], largest: int = 0) -> None:
        usage = sum_usages(by_service)
        tokens, prompt, completion, requests, _, rate = usage_cells(usage)
        cells = [usage_cells(each)[0] for each in by_service] if service_names else []
        cells += [tokens, *([prompt, completion] if parts else []), requests, rate]
        length = -(-usage.total_tokens * len(bar) // largest) if usage and largest else 0
        table.add_row(name, *cells, *([bar[:length]] if bar else []))

    by_period = [(period, [row.usage for row in same]) for period, same in groupby(rows, lambda row: row.period)]
    sums = [sum_usages(usages) for _, usages in by_period]
    largest = max((usage.total_tokens for usage in sums if usage), default=0)
    for period, usages in by_period:
        add(_title(layout, period) + (f"{gap}(part)" if period.partial else ""), usages, largest)
    table.add_section()
    add("Total", [sum_usages(list(usages)) for usages in zip(*(usages for _, usages in by_period))])
    return table


def _map_table(heat: HeatMap) -> Table:
    """Lay out a row per day with a cell per hour."""
    table = make_table(["Day"], [])
    table.add_column(heat.heading, no_wrap=True)
    table.add_column("Total", justify="right", overflow="fold")
    for day, cells, total in heat.days:
        table.add_row(day, Text(cells), total)
    table.add_section()
    table.add_row("Total", "", heat.total)
    return table


def _title(layout: Layout, period: Period) -> str:
    if layout.size == "day":
        return period.name
    start = local_time(period.start, layout.tz)
    is_repeated = start.replace(fold=0).utcoffset() != start.replace(fold=1).utcoffset()
    return f"{start:%m-%d %H:00 %Z}" if is_repeated else f"{start:%m-%d %H:00}"


def make_table(names: Sequence[str], numbers: Sequence[str], gap: str = " ") -> Table:
    """Make a table of names on the left and numbers, which fold so that no digit is cut off."""
    table = Table(box=box.ROUNDED)
    for name in names:
        table.add_column(name.replace(" ", gap), overflow="fold")
    for name in numbers:
        table.add_column(Text(name.replace(" ", gap)), justify="right", overflow="fold")
    return table


def print_widest_fit(console: Console, shapes: Sequence[Table]) -> None:
    """Print the first table that fits the console, else the last; the widest comes first."""
    unlimited = console.options.update(max_width=UNLIMITED_WIDTH)
    widths = [console.measure(table, options=unlimited).maximum for table in shapes]
    console.print(next((table for table, width in zip(shapes, widths) if width <= console.width), shapes[-1]))


def _print_periods(console: Console, layout: Layout, periods: Sequence[Period]) -> None:
    for period in periods:
        name = f"Period {period.name}" if len(layout.ranges) > 1 else "Period"
        part = f" - part of the {RANGE_UNITS.get(period.name, 'range')}" if period.partial else ""
        console.print(Text(f"{name}: {format_period(period, layout.tz)}{part}"), soft_wrap=True)
