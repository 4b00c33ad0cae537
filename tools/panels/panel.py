"""A panel, independent of the query language, and the sentences that several panels share."""

from __future__ import annotations

from typing import NamedTuple, Tuple

from maas_usage_check.metrics import NO_CACHED_SHARE

from ..panel_queries import PanelQuery


class Panel(NamedTuple):
    """One panel. `queries` are by legend, `kind` is Grafana's name of the visualization, `width` is in its 24 columns.

    `empty` is the text without data. `since` and `earlier` replace and shift the selected time range. The queries of a
    table are its columns, each with a unit of its own in `units`.
    """

    title: str
    description: str
    unit: str
    kind: str
    width: int
    queries: Tuple[Tuple[str, PanelQuery], ...]
    empty: str
    step: str = ""
    since: str = ""
    earlier: str = ""
    units: Tuple[str, ...] = ()


class Row(NamedTuple):
    """A row of panels that answers one question."""

    title: str
    panels: Tuple[Panel, ...]


def table(title: str, description: str, empty: str, *columns: Tuple[str, PanelQuery, str], since: str = "") -> Panel:
    """Make a table over the whole width, of columns with a title, a query and a unit."""
    queries, units = tuple((name, query) for name, query, _ in columns), tuple(unit for _, _, unit in columns)
    return Panel(title, description, "short", "table", 24, queries, empty, since=since, units=units)


NO_MODELS = "No calls of a model, or models: true is missing in the configuration"
NO_HOURS = "No hours yet, or hourly: true is missing in the configuration"
NO_MODEL_HOURS = "No hours of a model yet, or models: true or hourly: true is missing in the configuration"
NO_COST = "No cost yet, or prices, models: true or hourly: true is missing in the configuration"
NO_BUDGET = "No budget yet, or budget, hourly: true or a team's budget is missing in the configuration"
NO_LIMITS = "No calls of a model, or limits or models: true is missing in the configuration"
CLOUD_EYE = "From Cloud Eye, without custom endpoints and batch inference."
PICKED = "If the time picker has two fixed times, the value is for the time between them."
ESTIMATE = (
    f"An estimate at the configured prices, not an invoice; a model without a price has no cost. {NO_CACHED_SHARE}"
)
