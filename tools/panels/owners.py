"""Who owes what: the shares, costs and budgets of teams, and of their keys and models."""

from __future__ import annotations

from typing import Tuple

from ..panel_queries import COSTS, KEY_COSTS, KEY_OWNERS, LABEL_OWNERS, OWNER, SERVICES, Budget, PanelQuery, Rest, Used
from .panel import CLOUD_EYE, ESTIMATE, NO_COST, NO_MODEL_HOURS, PICKED, Panel, Row, table

MONTH = "now/M"
OF_TEAM, IN_TOKENS, IN_MONEY = ("scope", "=", "team"), ("unit", "=", "tokens"), ("unit", "!=", "tokens")
NO_TEAMS = "No hours of a team yet, or hourly: true or teams is missing in the configuration"
THIS_MONTH = f"This calendar month{{since}}. {PICKED}"
KEY = (*OWNER, "api_key", "model")


def _share(title: str, description: str, empty: str, *queries: Tuple[str, PanelQuery]) -> Panel:
    return Panel(title, f"{description} {THIS_MONTH}", "short", "piechart", 12, queries, empty, since=MONTH)


OWNERS = Row(
    "Who owes what: which team, cost centre, key and model?",
    (
        table(
            "Teams",
            "Tokens as the console counts them, by the labels of each team; cost by the keys in `key_names`. "
            f"*Exhausted on* is that of the first of its budgets, if within the month. {ESTIMATE} {THIS_MONTH}",
            NO_TEAMS,
            ("Tokens", Used(LABEL_OWNERS, by=OWNER), "short"),
            ("Share", Used(LABEL_OWNERS, by=OWNER, share=True), "percentunit"),
            ("Cost", Used(KEY_COSTS, "cost", (*OWNER, "currency")), "short"),
            ("Budget in tokens", Budget("limit", ("team",), (OF_TEAM, IN_TOKENS)), "short"),
            ("Budget in cost", Budget("limit", ("team",), (OF_TEAM, IN_MONEY)), "short"),
            (
                "Exhausted on",
                Budget("exhausted_timestamp_seconds", ("team",), (OF_TEAM,), "min", " * 1000"),
                "dateTimeAsLocal",
            ),
            since=MONTH,
        ),
        _share(
            "Tokens by team",
            "By the labels of each team, as the console counts them; `unassigned` is of labels without a team.{rest}",
            NO_TEAMS,
            ("{team}", Used(LABEL_OWNERS, by=("team",))),
            ("no label", Rest(SERVICES, LABEL_OWNERS)),
        ),
        _share(
            "Cost by team",
            f"By the keys in `key_names`; `unassigned` is of keys without a team.{{rest}} {ESTIMATE}",
            f"{NO_COST}; teams also need key_names",
            ("{team} {currency}", Used(KEY_COSTS, "cost", ("team", "currency"))),
            ("no key {currency}", Rest(COSTS, KEY_COSTS, "cost", ("currency",))),
        ),
        table(
            "Keys and models",
            f"By label, for keys in `key_names`, else by key id. {CLOUD_EYE} {ESTIMATE} {THIS_MONTH}",
            NO_MODEL_HOURS,
            ("Tokens", Used(KEY_OWNERS, by=KEY), "short"),
            ("Share", Used(KEY_OWNERS, by=KEY, share=True), "percentunit"),
            ("Cost", Used(KEY_COSTS, "cost", (*KEY, "currency")), "short"),
            since=MONTH,
        ),
    ),
)
