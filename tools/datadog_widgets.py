"""The widgets of the Datadog dashboard: how wide and high each is, and what its API takes."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .datadog_queries import Asked, request

Widget = Tuple[int, int, Dict[str, Any]]
Formats = Sequence[Tuple[str, float, str]]


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
    width: int, title: str, formula: str = "a", formats: Formats = (), span: str = "", **asked: Asked
) -> Widget:
    """List the groups of what is asked, the largest first, of a span of time or of what is picked."""
    shown = request("scalar", formula, **asked)
    shown["formulas"][0].update({"limit": {"count": 30, "order": "desc"}, **_formats(formats)})
    time = {"time": {"live_span": span}} if span else {}
    return width, 2, {"type": "toplist", "title": title, **time, "requests": [shown]}


def series(
    width: int, title: str, *lines: Tuple[str, Asked], display: str = "line", shifted: Mapping[str, str] = {}
) -> Widget:
    """Draw what is asked over time, each under its alias; `shifted` has the formulas that are not just that."""
    requests = []
    for alias, one in lines:
        shown = request("timeseries", shifted.get(alias, "a"), a=one)
        requests.append({**shown, "formulas": [{**shown["formulas"][0], "alias": alias}], **_style(display)})
    return width, 3, _timeseries(title, requests)


def ratio(width: int, title: str, alias: str, over: Asked, under: Asked, how: str = "/") -> Widget:
    """Draw one thing divided by another, or less it."""
    shown = request("timeseries", f"a {how} b", a=over, b=under)
    shown["formulas"][0]["alias"] = alias
    return width, 3, _timeseries(title, [{**shown, **_style("line")}])


def _timeseries(title: str, requests: List[Dict[str, Any]]) -> Dict[str, Any]:
    legend = {"show_legend": True, "legend_layout": "auto", "legend_columns": ["sum", "max", "value"]}
    return {"type": "timeseries", "title": title, **legend, "requests": requests}


def _style(display: str) -> Dict[str, Any]:
    return {"display_type": display, "style": {"palette": "dog_classic", "line_type": "solid", "line_width": "normal"}}


def _formats(formats: Formats) -> Dict[str, Any]:
    each = [{"comparator": comparator, "value": limit, "palette": palette} for comparator, limit, palette in formats]
    return {"conditional_formats": each} if each else {}


def placed(widgets: Sequence[Widget]) -> List[Dict[str, Any]]:
    """Place widgets of one row beside one another; all of a row are as high as its first."""
    x = y = row = 0
    there = []
    for width, height, definition in widgets:
        if x + width > 12:
            x, y = 0, y + row
        row = height
        there.append({"definition": definition, "layout": {"x": x, "y": y, "width": width, "height": height}})
        x += width
    return there
