"""What a panel can ask, in neither query language."""

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
    MODEL_KEY_HOURLY,
)

FILTERS = ("region", "project_id", "service_type", "infer_type")
OF_MODELS = ("region", "project_id", "maas_api_id", "model")
VARIABLES = (*FILTERS, "model")
"""The tags that people choose."""


class Source(NamedTuple):
    """Say where use is counted (Prometheus), where by the hour (InfluxDB), and what tells its series apart.

    Those that agree in the tags `same` are one, whatever tags of the user's they carry.
    """

    counts: str
    hours: str
    same: Tuple[str, ...]


SERVICES = Source(CONSUMED, HOURLY, FILTERS)
LABELS = Source(KEY_CONSUMED, KEY_HOURLY, (*FILTERS, "api_key_label"))
MODELS = Source(MODEL_CONSUMED, MODEL_HOURLY, OF_MODELS)
KEYS = Source(MODEL_KEY_CONSUMED, MODEL_KEY_HOURLY, (*OF_MODELS, "maas_key_id", "api_key"))
COSTS = Source(MODEL_COST_CONSUMED, MODEL_COST_HOURLY, (*OF_MODELS, "currency"))


class Used(NamedTuple):
    """Ask what was used of a field in each step or in the whole range, or which share of the field `over` that is."""

    source: Source
    field: str = "total_tokens"
    by: Tuple[str, ...] = ()
    over: str = ""
    then: str = ""


class Rest(NamedTuple):
    """Ask which tokens of the whole none of its parts covers."""

    whole: Source
    parts: Source


class HourOfDay(NamedTuple):
    """Ask for the tokens of one hour, 0 to 23, of each day."""

    hour: int


class Total(NamedTuple):
    """Ask for the tokens of a configured range."""

    span: str
    then: str = ""


class Forecast(NamedTuple):
    """Ask where the tokens of the calendar month end."""

    then: str = ""


class Minute(NamedTuple):
    """Ask what each model did by the minute."""

    field: str


class State(NamedTuple):
    """Ask how the collection is."""

    field: str
    how: str
    then: str = ""


class Coverage(NamedTuple):
    """Ask how much of each range the cloud still keeps."""


class Trouble(NamedTuple):
    """Ask when a cycle was partial or failed."""


Ask = Union[Used, Rest, HourOfDay, Total, Forecast, Minute, State, Coverage, Trouble]
