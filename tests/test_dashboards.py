"""Conventions of the Grafana dashboards; tests/agents check their numbers."""

from __future__ import annotations

import itertools
import re
from typing import Any, Dict

import pytest

from tools.panel_queries import COSTS, KEY_COSTS, KEY_OWNERS, KEYS, MODELS
from tools.panels import ROWS

from .agents.grafana_dashboards import INFLUXDB, PROMETHEUS, panels, variables

BOTH = pytest.mark.parametrize("dashboard", [PROMETHEUS, INFLUXDB], ids=["prometheus", "influxdb"])


LARGEST = {
    "prometheus": re.compile(
        r"max by \((?P<tags>[^)]*)\) \((?:(?:(?:last|max)_over_time|increase|resets)\()?(?P<name>huawei_maas_model\w*){"
    ),
    "influxdb": re.compile(
        r'SELECT (?:max|last)\("\w+"\)[^*]*? FROM "(?P<name>huawei_maas_model\w*)" WHERE [^*]*? '
        r'GROUP BY (?:time\([^()]*\), )?(?P<tags>"\w+"(?:, "\w+")*)'
    ),
}
"""The largest of the series of a measurement with the same tags."""


def test_same_panels() -> None:
    """Both dashboards have the same panels in the same order."""
    same = ("id", "title", "type", "gridPos")
    one, other = ([[panel[key] for key in same] for panel in board["panels"]] for board in (PROMETHEUS, INFLUXDB))
    assert one == other
    rows = [row["title"].split(":")[0] for row in PROMETHEUS["panels"] if row["type"] == "row"]
    assert rows == ["Now", "Today and this month", "Who owes what", "When", "Who", "Collection"]
    assert PROMETHEUS["uid"] != INFLUXDB["uid"]
    assert set(variables(INFLUXDB)) - set(variables(PROMETHEUS)) == {"timezone"}


@BOTH
def test_import(dashboard: Dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == 42
    assert dashboard["id"] is None
    assert re.fullmatch("[a-z-]{1,40}", dashboard["uid"])
    assert variables(dashboard)["datasource"]["type"] == "datasource"
    filled = [variable for variable in variables(dashboard).values() if variable["type"] == "query"]
    assert {variable["refresh"] for variable in filled} == {2}, "when the time range changes"
    used = [*dashboard["annotations"]["list"], *panels(dashboard), *filled]
    used += [target for panel in panels(dashboard) for target in panel["targets"]]
    kind = variables(dashboard)["datasource"]["query"]
    assert all(each["datasource"] == {"type": kind, "uid": "${datasource}"} for each in used)


@BOTH
def test_panels(dashboard: Dict[str, Any]) -> None:
    """Panels have a description, a unit, a query and a reason to be empty, and name their range; legends are sorted."""
    for panel in panels(dashboard):
        title, defaults = panel["title"], panel["fieldConfig"]["defaults"]
        assert re.fullmatch(r"[^{}]+\.", panel["description"]), title
        assert defaults["unit"], title
        assert re.fullmatch(r"\w[^{}]{20,}", defaults["noValue"]), title
        assert panel["targets"], title
        for span in re.findall(r"""["'](today|this_month)["']""", str(panel["targets"])):
            assert f"`{span}`" in panel["description"], title
        if panel["type"] == "table":
            check_table(panel)
        elif "budget" in title.lower():  # no maximum: a share may exceed 1
            assert (panel["type"], "max" in defaults) == ("bargauge", False)
            assert [step["value"] for step in defaults["thresholds"]["steps"]] == [None, 0.8, 1]
        legend = panel["options"].get("legend", {"showLegend": False})
        assert legend["showLegend"] == (panel["type"] in ("timeseries", "piechart")), title
        if legend["showLegend"]:
            columns = {"sum": "Total", "max": "Max", "value": "Value"}
            shown = [columns.get(name) for name in [*legend.get("calcs", ()), *legend.get("values", ())]]
            assert legend["sortBy"] in shown, title
            assert legend["sortDesc"] is True
    for key in ("id", "title"):
        values = [panel[key] for panel in dashboard["panels"]]
        assert len(set(values)) == len(values)
        assert all(values)


def check_table(panel: Dict[str, Any]) -> None:
    """Each query of a table is a named column with a unit; times do not tell rows apart."""
    without_time, merge, columns = panel["transformations"]
    assert (without_time["options"], merge["id"]) == ({"exclude": {"names": ["Time"]}}, "merge")
    names = columns["options"]["renameByName"]
    values = {each.get("refId") and f"Value #{each['refId']}" for each in panel["targets"] if "expr" in each}
    values |= {re.findall('AS "([^"]+)" FROM', each["query"])[0] for each in panel["targets"] if "query" in each}
    assert values <= set(names)
    units = {each["matcher"]["options"]: each["properties"][0]["value"] for each in panel["fieldConfig"]["overrides"]}
    assert {names[value] for value in values} <= set(units)
    assert panel["options"]["sortBy"][0]["displayName"] in units
    text = {each.get("format") or each["resultFormat"] for each in panel["targets"]}
    assert text == {"table"}


@BOTH
def test_panels_do_not_overlap(dashboard: Dict[str, Any]) -> None:
    places = [
        {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        for at in (panel["gridPos"] for panel in dashboard["panels"])
    ]
    assert all(x < 24 for place in places for x, _ in place)
    assert not any(one & other for one, other in itertools.combinations(places, 2))
    tops = [panel["gridPos"]["y"] for panel in dashboard["panels"]]
    assert tops == sorted(tops)


@BOTH
def test_model_queries(dashboard: Dict[str, Any]) -> None:
    """No call is counted twice: of series that differ only in the user's tags, the largest counts."""
    largest = LARGEST[variables(dashboard)["datasource"]["query"]]
    same = [(name, source.same) for source in (MODELS, KEYS, COSTS, KEY_OWNERS, KEY_COSTS) for name in source[:2]]
    for target in (target for panel in panels(dashboard) for target in panel["targets"]):
        query = target.get("expr") or target["query"]
        found = list(largest.finditer(query))
        assert len(found) == len(re.findall("huawei_maas_model", query)), query
        for each in found:
            source = max((name for name, _ in same if each["name"].startswith(name)), key=len, default=MODELS[0])
            assert (source, tuple(re.findall(r"\w+", each["tags"]))) in same, query


def test_empty_panels() -> None:
    """The text of an empty panel names the configuration key that must be on."""
    keys = {
        "Now": {"models: true"},
        "When": {"hourly: true"},
        "Who": {"hourly: true", "models: true", "prices", "per_api_key: true"},
    }
    for row in ROWS:
        named = {key for panel in row.panels for key in keys.get(row.title.split(":")[0], ()) if key in panel.empty}
        assert named == keys.get(row.title.split(":")[0], set())
