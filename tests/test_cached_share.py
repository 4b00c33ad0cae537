"""All shipped files that show a cost name the cached input in it; `report` has its own test."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List

import pytest
import yaml

from maas_usage_check.metrics import CATALOGUE, NO_CACHED_SHARE

from .agents.grafana_dashboards import INFLUXDB, PROMETHEUS, panels
from .agents.programs import ROOT

ASSETS = ROOT / "maas_usage_check" / "assets"


def shows_cost(query: Any) -> bool:
    """Return True for a query of a cost, or of budgets, which may be in cost."""
    return bool(re.search(r"cost(?!_center)|huawei_maas.budget", json.dumps(query)))


def test_sentence() -> None:
    text = "Without `cached_share`, cached input is priced as ordinary input, so the true cost is lower."
    assert text == NO_CACHED_SHARE


@pytest.mark.parametrize("board", [PROMETHEUS, INFLUXDB], ids=["prometheus", "influxdb"])
def test_grafana(board: Dict[str, Any]) -> None:
    """The description of a panel has it once."""
    told = {panel["title"]: panel["description"].count(NO_CACHED_SHARE) for panel in panels(board)}
    assert told == {panel["title"]: int(shows_cost(panel["targets"])) for panel in panels(board)}
    assert sum(told.values()) == 11


def test_datadog() -> None:
    """The notes of a group of widgets have it once."""
    board = json.loads((ASSETS / "datadog" / "dashboards" / "maas_usage.json").read_text(encoding="utf-8"))
    told, shown = {}, {}
    for group in (widget["definition"] for widget in board["widgets"]):
        widgets: List[Dict[str, Any]] = [widget["definition"] for widget in group["widgets"]]
        notes = " ".join(widget["content"] for widget in widgets if widget["type"] == "note")
        told[group["title"]] = notes.count(NO_CACHED_SHARE)
        shown[group["title"]] = int(shows_cost([widget.get("requests") for widget in widgets]))
    assert told == shown
    assert sum(told.values()) == 4


def test_alerts() -> None:
    """Rules and monitors of budgets have it."""
    rules = yaml.safe_load((ASSETS / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    texts = {rule["alert"]: (rule["expr"], rule["annotations"]["description"]) for rule in rules if "alert" in rule}
    for file in (ASSETS / "datadog" / "monitors").glob("*.json"):
        monitor = json.loads(file.read_text(encoding="utf-8"))["definition"]
        texts[file.stem] = (monitor["query"], monitor["message"])
    told = {name for name, (_, text) in texts.items() if NO_CACHED_SHARE in text}
    assert told == {name for name, (query, _) in texts.items() if shows_cost(query)}
    assert len(told) == 7


def test_catalogue() -> None:
    """The fields of HELP, metadata.csv, the pages and the Zabbix template have it, but for cost without input."""
    told = {field.name for fields in CATALOGUE.values() for field in fields if NO_CACHED_SHARE in field.description}
    assert told == {"cost", "prompt_cost", "used"}
