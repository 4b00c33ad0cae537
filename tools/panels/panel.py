"""What a panel says, in neither query language; and the sentences that several of them share."""

from __future__ import annotations

from typing import NamedTuple, Tuple

from ..asks import Ask


class Panel(NamedTuple):
    """Show what is asked, by legend. `kind` is Grafana's name of the visualization, `width` is in its 24 columns.

    `empty` is what is said where nothing comes. `since` and `earlier` replace and shift the range that people picked.
    """

    title: str
    description: str
    unit: str
    kind: str
    width: int
    asks: Tuple[Tuple[str, Ask], ...]
    empty: str
    step: str = ""
    since: str = ""
    earlier: str = ""


class Row(NamedTuple):
    """Answer one question."""

    title: str
    panels: Tuple[Panel, ...]


NO_MODELS = "No model was called, or the file lacks models: true"
NO_HOURS = "No hour is known yet, or the file lacks hourly: true"
NO_MODEL_HOURS = "No hour of a model is known yet, or the file lacks models: true and hourly: true"
NO_COST = "No cost is known, or the file lacks prices, models: true and hourly: true"
CLOUD_EYE = "From Cloud Eye, without custom endpoints and batch inference."
PICKED = "Where two fixed times were picked, it is of what lies between them."
ESTIMATE = "An estimate at the prices of the file, not an invoice; a model without a price has none."
