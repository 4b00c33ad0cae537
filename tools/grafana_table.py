"""Tables of the Grafana dashboards: the results of a panel's queries side by side."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List

from .languages import Language
from .panels import Panel

NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Grafana's names of a panel's queries, in their order."""
TAGS = {"cost_center": "Cost centre", "api_key": "API key"}
"""Titles of the columns of tags, where they are not the tag itself."""


def transformations(language: Language, panel: Panel) -> List[Dict[str, Any]]:
    """Join the rows that have the same tags, and name the columns; the queries' times say nothing."""
    titles = {language.column.format(query=name, title=title): title for name, (title, _) in zip(NAMES, panel.queries)}
    tags = {tag: TAGS.get(tag, tag.capitalize()) for tag in _tags(panel)}
    order = {name: number for number, name in enumerate([*tags, *titles])}
    return [
        {"id": "filterFieldsByName", "options": {"exclude": {"names": ["Time"]}}},
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {"excludeByName": {}, "indexByName": order, "renameByName": {**tags, **titles}},
        },
    ]


def column_units(panel: Panel) -> Iterator[Dict[str, Any]]:
    """Yield the unit of each column of a table."""
    for (title, _), unit in zip(panel.queries, panel.units):
        yield {
            "matcher": {"id": "byName", "options": title},
            "properties": [
                {"id": "unit", "value": unit},
                *([{"id": "decimals", "value": 2}] if title == "Cost" else []),
            ],
        }


def _tags(panel: Panel) -> List[str]:
    return list(dict.fromkeys(tag for _, query in panel.queries for tag in getattr(query, "by", ())))
