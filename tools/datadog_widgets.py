"""The widgets of the Datadog dashboard: width, height and the form of Datadog's API."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .datadog_queries import DatadogQuery, request

Widget = Tuple[int, int, Dict[str, Any]]
Formats = Sequence[Tuple[str, float, str]]
OK, WARN, BAD = "white_on_green", "white_on_yellow", "white_on_red"


def note(content: str) -> Widget:
    """Write a line over the whole width."""
    look = {"background_color": "transparent", "font_size": "14", "text_align": "left"}
    return 12, 1, {"type": "note", "content": content, **look, "show_tick": False, "has_padding": True}


def value(width: int, title: str, query: str, precision: int = 0, formats: Formats = ()) -> Widget:
    """Show the newest value of a query."""
    shown = {**request("scalar", "a", a=query), **_formats(formats)}
    return (
        width,
        2,
        {"type": "query_value", "title": title, "autoscale": True, "precision": precision, "requests": [shown]},
    )


def toplist(
    width: int, title: str, formula: str = "a", formats: Formats = (), span: str = "", **asked: DatadogQuery
) -> Widget:
    """List the groups of queries, the largest first, for a span of time or for the selected time."""
    shown = request("scalar", formula, **asked)
    shown["formulas"][0].update({"limit": {"count": 30, "order": "desc"}, **_formats(formats)})
    return width, 2, {"type": "toplist", "title": title, **_time(span), "requests": [shown]}


def pie(width: int, title: str, span: str, **asked: DatadogQuery) -> Widget:
    """Show the shares of the groups of a query."""
    legend = {"legend": {"type": "automatic"}}
    return (
        width,
        3,
        {"type": "sunburst", "title": title, **_time(span), **legend, "requests": [request("scalar", "a", **asked)]},
    )


def series(
    width: int,
    title: str,
    *lines: Tuple[str, DatadogQuery],
    display: str = "line",
    shifted: Mapping[str, str] = {},
    span: str = "",
) -> Widget:
    """Draw queries over time, each under its alias; `shifted` has formulas for aliases other than the plain query."""
    requests = []
    for alias, one in lines:
        shown = request("timeseries", shifted.get(alias, "a"), a=one)
        requests.append({**shown, "formulas": [{**shown["formulas"][0], "alias": alias}], **_style(display)})
    return width, 3, {**_timeseries(title, requests), **_time(span)}


def ratio(width: int, title: str, alias: str, over: DatadogQuery, under: DatadogQuery, how: str = "/") -> Widget:
    """Draw one query divided by another, or their difference."""
    shown = request("timeseries", f"a {how} b", a=over, b=under)
    shown["formulas"][0]["alias"] = alias
    return width, 3, _timeseries(title, [{**shown, **_style("line")}])


def _time(span: str) -> Dict[str, Any]:
    return {"time": {"live_span": span}} if span else {}


def _timeseries(title: str, requests: List[Dict[str, Any]]) -> Dict[str, Any]:
    legend = {"show_legend": True, "legend_layout": "auto", "legend_columns": ["sum", "max", "value"]}
    return {"type": "timeseries", "title": title, **legend, "requests": requests}


def _style(display: str) -> Dict[str, Any]:
    return {"display_type": display, "style": {"palette": "dog_classic", "line_type": "solid", "line_width": "normal"}}


def _formats(formats: Formats) -> Dict[str, Any]:
    each = [{"comparator": comparator, "value": limit, "palette": palette} for comparator, limit, palette in formats]
    return {"conditional_formats": each} if each else {}


def placed(widgets: Sequence[Widget]) -> List[Dict[str, Any]]:
    """Place the widgets of a row side by side; all are as high as the first of the row."""
    x = y = row = 0
    there = []
    for width, height, definition in widgets:
        if x + width > 12:
            x, y = 0, y + row
        row = height
        there.append({"definition": definition, "layout": {"x": x, "y": y, "width": width, "height": height}})
        x += width
    return there
