"""The queries of panels, independent of the query language."""

from __future__ import annotations

from typing import NamedTuple, Tuple, Union

from maas_usage_check.metrics import (
    CONSUMED,
    HOURLY,
    KEY_CONSUMED,
    KEY_HOURLY,
    MODEL_CONSUMED,
    MODEL_COST_CONSUMED,
    MODEL_COST_HOURLY,
    MODEL_HOURLY,
    MODEL_KEY_CONSUMED,
    MODEL_KEY_COST_CONSUMED,
    MODEL_KEY_COST_HOURLY,
    MODEL_KEY_HOURLY,
)

FILTERS = ("region", "project_id", "service_type", "infer_type")
OF_MODELS = ("region", "project_id", "maas_api_id", "model")
OF_BUDGETS = ("region", "project_id", "scope", "team", "unit")
VARIABLES = (*FILTERS, "model")
"""The tags that are variables of the dashboard."""


class Source(NamedTuple):
    """A measurement of counts (Prometheus), the one of its hours (InfluxDB), and the tags that identify a series.

    Series with equal tags `same` count as one, whatever user tags they have.
    """

    counts: str
    hours: str
    same: Tuple[str, ...]


SERVICES = Source(CONSUMED, HOURLY, FILTERS)
LABELS = Source(KEY_CONSUMED, KEY_HOURLY, (*FILTERS, "api_key_label"))
MODELS = Source(MODEL_CONSUMED, MODEL_HOURLY, OF_MODELS)
KEYS = Source(MODEL_KEY_CONSUMED, MODEL_KEY_HOURLY, (*OF_MODELS, "maas_key_id", "api_key"))
COSTS = Source(MODEL_COST_CONSUMED, MODEL_COST_HOURLY, (*OF_MODELS, "currency"))
OWNER = ("team", "cost_center")
LABEL_OWNERS = Source(KEY_CONSUMED, KEY_HOURLY, (*LABELS.same, *OWNER))
KEY_OWNERS = Source(MODEL_KEY_CONSUMED, MODEL_KEY_HOURLY, (*KEYS.same, *OWNER))
KEY_COSTS = Source(MODEL_KEY_COST_CONSUMED, MODEL_KEY_COST_HOURLY, (*KEY_OWNERS.same, "currency"))


class Used(NamedTuple):
    """Usage of a field in each step or in the whole range, or its ratio to the field `over`.

    With `share` it is that of each group in all of them.
    """

    source: Source
    field: str = "total_tokens"
    by: Tuple[str, ...] = ()
    over: str = ""
    share: bool = False


class Rest(NamedTuple):
    """Usage of a field that is in the total and in none of its parts."""

    whole: Source
    parts: Source
    field: str = "total_tokens"
    by: Tuple[str, ...] = ()


class HourOfDay(NamedTuple):
    """Tokens of one hour, 0 to 23, of each day."""

    hour: int


class Total(NamedTuple):
    """Tokens of a configured range."""

    span: str


class Budget(NamedTuple):
    """The newest value of a field of the budgets that fit: each of `where` is a tag, `=` or `!=`, and its value."""

    field: str
    by: Tuple[str, ...] = OF_BUDGETS
    where: Tuple[Tuple[str, str, str], ...] = ()
    how: str = "max"
    then: str = ""


class Minute(NamedTuple):
    """A field of each model by the minute."""

    field: str


class State(NamedTuple):
    """A field of the collection's own state."""

    field: str
    how: str
    then: str = ""


class Coverage(NamedTuple):
    """Share of each range that the cloud still keeps."""


class Incomplete(NamedTuple):
    """Times of partial and failed cycles."""


PanelQuery = Union[Used, Rest, HourOfDay, Total, Budget, Minute, State, Coverage, Incomplete]
