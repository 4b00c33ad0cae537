"""Who: the shares of models, API keys, labels and services."""

from __future__ import annotations

from typing import Tuple

from ..panel_queries import COSTS, KEYS, LABELS, MODELS, SERVICES, PanelQuery, Rest, Used
from .panel import CLOUD_EYE, ESTIMATE, NO_COST, NO_HOURS, NO_MODEL_HOURS, Panel, Row

NO_LABELS = "No hours of a label yet, or hourly: true, api_keys or per_api_key: true is missing in the configuration"


def _share(title: str, description: str, empty: str, *queries: Tuple[str, PanelQuery]) -> Panel:
    return Panel(title, f"{description} For the selected time range{{since}}.", "short", "piechart", 8, queries, empty)


WHO = Row(
    "Who: which model, which key, which service?",
    (
        _share(
            "Tokens by model",
            CLOUD_EYE,
            NO_MODEL_HOURS,
            ("{model}", Used(MODELS, by=("model",))),
        ),
        _share(
            "Cost by model",
            ESTIMATE,
            NO_COST,
            ("{model} {currency}", Used(COSTS, "cost", ("model", "currency"))),
        ),
        _share(
            "Tokens by service type",
            "As the console counts them.",
            NO_HOURS,
            ("{service_type}", Used(SERVICES, by=("service_type",))),
        ),
        _share(
            "Tokens by API key",
            f"By label, for keys in `key_names`, else by key id: no API returns the names of keys. {CLOUD_EYE}{{rest}}",
            NO_MODEL_HOURS,
            ("{api_key}", Used(KEYS, by=("api_key",))),
            ("no key", Rest(MODELS, KEYS)),
        ),
        _share(
            "Tokens by label",
            "By the labels of `api_keys`, as the console counts them.{rest}",
            NO_LABELS,
            ("{api_key_label}", Used(LABELS, by=("api_key_label",))),
            ("no label", Rest(SERVICES, LABELS)),
        ),
        _share(
            "Requests by model",
            f"Calls. {CLOUD_EYE}",
            NO_MODEL_HOURS,
            ("{model}", Used(MODELS, "requests", ("model",))),
        ),
    ),
)
