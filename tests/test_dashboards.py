"""The Grafana dashboards keep the house rules; that they show the truth is for tests/agents."""

from __future__ import annotations

import itertools
import re
from typing import Any, Dict, Iterator, Tuple

import pytest

from maas_usage_check.metrics import API, AT_THEIR_HOUR, AT_THEIR_MINUTE, CATALOGUE, COUNT, USAGE
from tools import dashboards
from tools.asks import COSTS, KEYS, LABELS, MODELS, SERVICES
from tools.panels import ROWS

from .agents.dashboards import FOLDER, INFLUXDB, PROMETHEUS, panels, variables

BOTH = pytest.mark.parametrize("dashboard", [PROMETHEUS, INFLUXDB], ids=["prometheus", "influxdb"])
PINNED = re.compile(r"""range="[$\w]+"|"range" = '[$\w]+'|range!="this_month\"""")
SAME = {"region", "project_id", "service_type", "infer_type"}
ONE = re.compile(r"max by \((?P<tags>[^)]*)\) \(last_over_time\((?P<name>\w+){[^}]*}\[2h\]\)\)")
"""The last values of a measurement, held for 2 hours; of those with the same tags the largest."""
LARGEST = {
    "prometheus": re.compile(
        r"max by \((?P<tags>[^)]*)\) \((?:(?:last|max)_over_time|increase|resets)\((?P<name>\w+){"
        r"|max by \((?P<tags2>[^)]*)\) \((?P<name2>\w+){"
    ),
    "influxdb": re.compile(
        r'SELECT (?:max|last)\("\w+"\)[^*]*? FROM "(?P<name>\w+)" WHERE [^*]*? GROUP BY (?:time\([^()]*\), )?'
        r'(?P<tags>"\w+"(?:, "\w+")*)'
    ),
}
"""Of the series of a measurement that agree in some tags the largest."""
NAMES = {"tokens": "total_tokens"}


def queries(dashboard: Dict[str, Any]) -> Iterator[Tuple[str, str]]:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target.get("expr") or target["query"]


@pytest.mark.parametrize("name", dashboards.LANGUAGES)
def test_the_file_is_what_the_list_of_panels_makes(name: str) -> None:
    file = FOLDER / f"maas-usage-{name}.json"
    assert file.read_text(encoding="utf-8") == dashboards.text(name), "run python -m tools.dashboards"


def test_both_dashboards_have_the_same_panels_in_the_order_of_the_questions() -> None:
    same = ("id", "title", "type", "gridPos")
    one, other = ([[panel[key] for key in same] for panel in board["panels"]] for board in (PROMETHEUS, INFLUXDB))
    assert one == other
    assert [row["title"].split(":")[0] for row in PROMETHEUS["panels"] if row["type"] == "row"] == [
        "Now",
        "Today and this month",
        "When",
        "Who",
        "Collection",
    ]
    assert PROMETHEUS["uid"] != INFLUXDB["uid"]
    assert set(variables(INFLUXDB)) - set(variables(PROMETHEUS)) == {"timezone"}


@BOTH
def test_a_dashboard_can_be_imported_anywhere(dashboard: Dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == 42
    assert dashboard["id"] is None
    assert re.fullmatch("[a-z-]{1,40}", dashboard["uid"])
    assert variables(dashboard)["datasource"]["type"] == "datasource"
    used = [*dashboard["annotations"]["list"], *panels(dashboard)]
    used += [target for panel in panels(dashboard) for target in panel["targets"]]
    used += [variable for variable in variables(dashboard).values() if variable["type"] == "query"]
    assert {one["datasource"]["uid"] for one in used} == {"${datasource}"}
    assert {one["datasource"]["type"] for one in used} == {variables(dashboard)["datasource"]["query"]}


@BOTH
def test_every_panel_has_a_title_a_description_a_unit_a_query_and_says_why_it_may_be_empty(
    dashboard: Dict[str, Any],
) -> None:
    for panel in panels(dashboard):
        assert panel["title"]
        assert re.fullmatch(r"[^{}]+\.", panel["description"]), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert re.fullmatch(r"\w[^{}]{20,}", panel["fieldConfig"]["defaults"]["noValue"]), panel["title"]
        assert panel["targets"], panel["title"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert (len(set(ids)), len(set(titles))) == (len(ids), len(titles))


@BOTH
def test_every_legend_has_the_largest_first(dashboard: Dict[str, Any]) -> None:
    legends = [panel["options"]["legend"] for panel in panels(dashboard) if "legend" in panel["options"]]
    shown = [legend for legend in legends if legend["showLegend"]]
    assert len(shown) == sum(panel["type"] in ("timeseries", "piechart") for panel in panels(dashboard))
    for legend in shown:
        assert legend["sortDesc"] is True
        columns = {"sum": "Total", "max": "Max", "value": "Value"}
        assert legend["sortBy"] in [columns.get(name) for name in [*legend.get("calcs", ()), *legend.get("values", ())]]


@BOTH
def test_no_value_of_a_share_of_the_budget_is_cut_off(dashboard: Dict[str, Any]) -> None:
    for panel in panels(dashboard):
        if "budget" in panel["title"].lower():
            assert panel["type"] == "stat"
            assert "max" not in panel["fieldConfig"]["defaults"]
            assert [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [None, 0.8, 1]


@BOTH
def test_variables_refresh_when_the_time_changes(dashboard: Dict[str, Any]) -> None:
    assert {one["refresh"] for one in variables(dashboard).values() if one["type"] == "query"} == {2}


@BOTH
def test_no_two_panels_share_a_place(dashboard: Dict[str, Any]) -> None:
    places = [
        {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        for at in (panel["gridPos"] for panel in dashboard["panels"])
    ]
    assert all(x < 24 for place in places for x, _ in place)
    assert not any(one & other for one, other in itertools.combinations(places, 2))
    tops = [panel["gridPos"]["y"] for panel in dashboard["panels"]]
    assert tops == sorted(tops)


@BOTH
def test_no_query_adds_up_over_range(dashboard: Dict[str, Any]) -> None:
    for title, query in queries(dashboard):
        if USAGE in query and "coverage" not in query:
            assert PINNED.search(query), f"{title}: {query}"


@BOTH
def test_no_query_counts_a_token_twice(dashboard: Dict[str, Any]) -> None:
    one = LARGEST[variables(dashboard)["datasource"]["query"]]
    same = {name: source.same for source in (SERVICES, LABELS, MODELS, KEYS, COSTS) for name in source[:2]}
    for title, query in queries(dashboard):
        if not any(name in query for name in (API, USAGE)):
            found = list(one.finditer(query))
            assert len(found) == len(re.findall("huawei_maas_", query)), f"{title}: {query}"
            for each in found:
                groups = {name: value for name, value in each.groupdict().items() if value}
                name = groups.get("name") or groups["name2"]
                tags = re.findall(r"\w+", groups.get("tags") or groups["tags2"])
                source = max((known for known in same if name.startswith(known)), key=len, default="")
                assert tags == list(same[source] if source else MODELS.same), f"{title}: {query}"


@BOTH
def test_queries_ask_for_fields_and_variables_that_exist(dashboard: Dict[str, Any]) -> None:
    store = variables(dashboard)["datasource"]["query"]
    hours = {name: [field.name for field in CATALOGUE[name]] for name in CATALOGUE if name in AT_THEIR_HOUR}
    known = {
        f"{name}_{field.name}" + ("_total" if field.nature == COUNT else "")
        for name in CATALOGUE
        if name not in hours
        for field in CATALOGUE[name]
    }
    for title, query in queries(dashboard):
        if store == "prometheus":
            assert set(re.findall(r"huawei_maas_\w+", query)) <= known, title
        else:
            (name,) = re.findall(r'FROM "(\w+)"', query)
            fields = {field.name for field in CATALOGUE[name]}
            assert name in hours or name in (USAGE, API, *AT_THEIR_MINUTE), title
            assert set(re.findall(r'(?:max|last|min)\("(\w+)"\)', query)) - {"v"} <= fields, title
        names = set(re.findall(r"\$(\w+)", query)) - {"timeFilter", "__interval", "__range", "__range_s"}
        assert names <= set(variables(dashboard)), title


@BOTH
def test_a_panel_that_needs_a_range_of_its_own_says_so(dashboard: Dict[str, Any]) -> None:
    for panel in panels(dashboard):
        text = str(panel["targets"])
        for span in ("today", "this_month"):
            if f'"{span}"' in text or f"'{span}'" in text:
                assert f"`{span}`" in panel["description"], panel["title"]


def test_what_is_off_is_said_where_it_would_be_shown() -> None:
    keys = {
        "Now": {"models: true"},
        "When": {"hourly: true"},
        "Who": {"hourly: true", "models: true", "prices", "per_api_key: true"},
    }
    for row in ROWS:
        said = {key for panel in row.panels for key in keys.get(row.title.split(":")[0], ()) if key in panel.empty}
        assert said == keys.get(row.title.split(":")[0], set())
