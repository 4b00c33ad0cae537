"""The tables of `report`: what Huawei's own script prints, and a little more."""

from __future__ import annotations

from itertools import groupby
from typing import Mapping, Optional, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...cloud.usage import Usage
from .amounts import cells
from .heat_map import HeatMap, heat_map
from .periods import Page, Span, is_long, local, period
from .rows import Row, total

SERVICES = {"my_service": "My Service", "preset": "Preset Service", "custom_endpoint": "Custom Endpoint"}
PERIODS = {"today": "day", "yesterday": "day", "this_month": "month"}
BAR = 8
PLENTY = 1000
"""Columns where nobody watches: in a file or a pipe a row must stay one line."""
LAG = "The cloud's statistics lag 1 to 2 hours behind."


def show(console: Console, page: Page, rows: Sequence[Row], share: str = "") -> None:
    """Print a table for each inference type and label; of several service types, for each range too.

    Args:
        console: where to.
        page: what was asked.
        rows: what was answered.
        share: how much of it was not asked, if any.
    """
    services = list(dict.fromkeys(row.service_type for row in rows))
    bar = ("#" if console.options.ascii_only else "█") * BAR
    for (label, infer_type), group in groupby(rows, lambda row: (row.label, row.infer_type)):
        shown = list(group)
        name = f"{SERVICES[services[0]]} " if len(services) == 1 else ""
        kind = "" if infer_type == "real_time" else "(batch) "
        key = f" - API key: {label}" if label else ""
        console.print()
        console.print(Text(f"MaaS {name}{kind}Usage Statistics - Region: {page.asked.region}{key}", style="bold"))
        if is_long(page):
            pieces = [(span, total([row.usage for row in same])) for span, same in groupby(shown, lambda row: row.span)]
            maps = [heat_map(pieces, page.tz, width, console.options.ascii_only) for width in (2, 1)]
            fit(console, [_map(drawn) for drawn in maps])
            for line in maps[0].legend:
                console.print(Text(line))
            _tell_periods(console, page, page.ranges)
        elif page.size:
            fit(console, [_pieces(page, shown, services, *shape) for shape in ((" ", bar), ("\n", bar), ("\n", ""))])
            _tell_periods(console, page, page.ranges)
        elif len(services) == 1:
            fit(console, [_ranges(shown)])
            _tell_periods(console, page, page.ranges)
        else:
            for span, of_span in groupby(shown, lambda row: row.span):
                usages = {SERVICES[row.service_type]: row.usage for row in of_span}
                fit(console, [_services(usages, gap) for gap in (" ", "\n")])
                _tell_periods(console, page, [span])
    for line in filter(None, (LAG, share)):
        console.print(Text(line, style="dim"))


def _ranges(rows: Sequence[Row]) -> Table:
    """Lay out one service type as the script does, with a column for each range."""
    table = table_of(["Metric"], [row.span.name if len(rows) > 1 else "Value" for row in rows])
    table.add_row("Service Type", *(SERVICES[row.service_type] for row in rows))
    names = ("Total Tokens", "Prompt Tokens", "Completion Tokens", "Total Requests", "Total Errors", "Error Rate")
    for name, *values in zip(names, *(cells(row.usage, " tokens") for row in rows)):
        table.add_row(name, *values)
    return table


def _services(usages: Mapping[str, Optional[Usage]], gap: str) -> Table:
    """Lay out a row for each service type, and their total."""
    table = table_of(["Service Type"], ["Total", "Prompt", "Completion", "Requests", "Errors", "Error rate"], gap)
    for name, usage in usages.items():
        table.add_row(name.replace(" ", gap), *cells(usage))
    table.add_section()
    table.add_row("Total", *cells(total(list(usages.values()))))
    return table


def _pieces(page: Page, rows: Sequence[Row], services: Sequence[str], gap: str, bar: str) -> Table:
    """Lay out a row and a bar for each day or hour; of several service types, a column of tokens for each."""
    parts = ["Prompt", "Completion"] if len(services) == 1 else []
    each = [SERVICES[name] for name in services] if len(services) > 1 else []
    table = table_of([str(page.size).capitalize()], [*each, "Total", *parts, "Requests", "Error rate"], gap)
    if bar:
        table.add_column("")

    def add(name: str, by_service: Sequence[Optional[Usage]], most: int = 0) -> None:
        usage = total(by_service)
        tokens, prompt, completion, requests, _, rate = cells(usage)
        columns = [cells(one)[0] for one in by_service] if each else []
        columns += [tokens, *([prompt, completion] if parts else []), requests, rate]
        length = -(-usage.total_tokens * len(bar) // most) if usage and most else 0
        table.add_row(name, *columns, *([bar[:length]] if bar else []))

    pieces = [(span, [row.usage for row in group]) for span, group in groupby(rows, lambda row: row.span)]
    most = max((usage.total_tokens for usage in (total(usages) for _, usages in pieces) if usage), default=0)
    for span, usages in pieces:
        add(_title(page, span) + (f"{gap}(part)" if span.partial else ""), usages, most)
    table.add_section()
    add("Total", [total(list(usages)) for usages in zip(*(usages for _, usages in pieces))])
    return table


def _map(drawn: HeatMap) -> Table:
    """Lay out a row for each day with a cell for each of its hours."""
    table = table_of(["Day"], [])
    table.add_column(drawn.heading, no_wrap=True)
    table.add_column("Total", justify="right", overflow="fold")
    for day, hours, used in drawn.days:
        table.add_row(day, Text(hours), used)
    table.add_section()
    table.add_row("Total", "", drawn.total)
    return table


def _title(page: Page, span: Span) -> str:
    if page.size == "day":
        return span.name
    start = local(span.start, page.tz)
    twice = start.replace(fold=0).utcoffset() != start.replace(fold=1).utcoffset()
    return f"{start:%m-%d %H:00 %Z}" if twice else f"{start:%m-%d %H:00}"


def table_of(names: Sequence[str], numbers: Sequence[str], gap: str = " ") -> Table:
    """Make a table of names on the left and numbers, of which a narrow terminal must not cut off a digit."""
    table = Table(box=box.ROUNDED)
    for name in names:
        table.add_column(name.replace(" ", gap), overflow="fold")
    for name in numbers:
        table.add_column(Text(name.replace(" ", gap)), justify="right", overflow="fold")
    return table


def fit(console: Console, shapes: Sequence[Table]) -> None:
    """Print the first shape that is not too wide, else the last."""
    unbound = console.options.update(max_width=PLENTY)
    widths = [console.measure(table, options=unbound).maximum for table in shapes]
    console.print(next((table for table, width in zip(shapes, widths) if width <= console.width), shapes[-1]))


def _tell_periods(console: Console, page: Page, spans: Sequence[Span]) -> None:
    for span in spans:
        name = f"Period {span.name}" if len(page.ranges) > 1 else "Period"
        part = f" - part of the {PERIODS.get(span.name, 'range')}" if span.partial else ""
        console.print(Text(f"{name}: {period(span, page.tz)}{part}"), soft_wrap=True)
