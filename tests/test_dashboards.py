"""The Grafana dashboards keep the house rules; that they show the truth is for tests/agents."""

from __future__ import annotations

import itertools
import re
from typing import Any, Dict, Iterator, Tuple

import pytest

from maas_usage_check.metrics import API, CATALOGUE, KEY_USAGE
from tools import dashboards
from tools.panels import SUMS

from .agents.dashboards import FOLDER, INFLUXDB, PROMETHEUS, variables

BOTH = pytest.mark.parametrize("dashboard", [PROMETHEUS, INFLUXDB], ids=["prometheus", "influxdb"])
PINNED = re.compile(r"""range="[$\w]+"|"range" = '[$\w]+'|range!="this_month\"""")
BY_RANGE = re.compile(r'^\w+ by \(range\)|GROUP BY time\(2h, now\(\)\), "range" fill\(none\)$')
SAME = {"region", "project_id", "service_type", "infer_type"}
ONE = {
    "prometheus": re.compile(r"max by \((?P<tags>[^)]*)\) \(last_over_time\((?P<name>\w+){[^}]*}\[2h\]\)\)"),
    "influxdb": re.compile(
        r'SELECT max\([^*]* FROM \(SELECT last\([^*]* FROM "(?P<name>\w+)" WHERE [^*]* '
        r"GROUP BY time\(2h, now\(\)\), \*\) WHERE \$timeFilter GROUP BY time\(2h, now\(\)\), (?P<tags>[^)]*)\)"
    ),
}
"""The last values of a measurement, held for 2 hours; of those with the same tags the largest."""
BY_KEY = "Tokens by API key"


def queries(dashboard: Dict[str, Any]) -> Iterator[Tuple[str, str]]:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target.get("expr") or target["query"]


@pytest.mark.parametrize("name", dashboards.LANGUAGES)
def test_the_file_is_what_the_list_of_panels_makes(name: str) -> None:
    file = FOLDER / f"maas-usage-{name}.json"
    assert file.read_text(encoding="utf-8") == dashboards.text(name), "run python -m tools.dashboards"


def test_both_dashboards_have_the_same_panels_and_variables() -> None:
    same = ("id", "title", "description", "type", "gridPos", "fieldConfig", "options", "interval")
    one, other = ([[panel[key] for key in same] for panel in board["panels"]] for board in (PROMETHEUS, INFLUXDB))
    assert one == other
    assert dict(queries(PROMETHEUS)).keys() == dict(queries(INFLUXDB)).keys()
    assert list(variables(PROMETHEUS)) == list(variables(INFLUXDB))
    assert PROMETHEUS["uid"] != INFLUXDB["uid"]


@BOTH
def test_a_dashboard_can_be_imported_anywhere(dashboard: Dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == 42
    assert dashboard["id"] is None
    assert re.fullmatch("[a-z-]{1,40}", dashboard["uid"])
    assert variables(dashboard)["datasource"]["type"] == "datasource"
    used = [*dashboard["panels"], *(target for panel in dashboard["panels"] for target in panel["targets"])]
    used += [variable for variable in variables(dashboard).values() if variable["type"] == "query"]
    assert {one["datasource"]["uid"] for one in used} == {"${datasource}"}
    assert {one["datasource"]["type"] for one in used} == {variables(dashboard)["datasource"]["query"]}


@BOTH
def test_every_panel_has_a_title_a_description_a_unit_and_a_query(dashboard: Dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert len({panel["title"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


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


@BOTH
def test_no_query_adds_up_over_range(dashboard: Dict[str, Any]) -> None:
    for title, query in queries(dashboard):
        if API not in query:
            selectors = len(re.findall(r"huawei_maas_\w*usage_", query)) or 1
            assert len(PINNED.findall(query)) == selectors or BY_RANGE.search(query), f"{title}: {query}"


@BOTH
def test_no_query_counts_a_token_twice_or_takes_a_partial_failure_for_a_fall(dashboard: Dict[str, Any]) -> None:
    one = ONE[variables(dashboard)["datasource"]["query"]]
    for title, query in queries(dashboard):
        if API not in query:
            assert "huawei_maas" not in one.sub("", query), f"{title}: {query}"
            for found in one.finditer(query):
                label = {"api_key_label"} if found["name"].startswith(KEY_USAGE) else set()
                assert set(re.findall(r"\w+", found["tags"])) == {"range", *SAME, *label}, f"{title}: {query}"


@BOTH
def test_labels_are_asked_for_in_the_panel_by_key_alone(dashboard: Dict[str, Any]) -> None:
    asking = {title for title, query in queries(dashboard) if KEY_USAGE in query or "api_key" in query}
    assert asking == {BY_KEY}


@BOTH
def test_every_panel_that_adds_up_says_what_its_sum_is_of(dashboard: Dict[str, Any]) -> None:
    adding = {title for title, query in queries(dashboard) if API not in query and "coverage" not in query}
    assert {panel["title"] for panel in dashboard["panels"] if panel["description"].endswith(SUMS)} == adding


@BOTH
def test_queries_ask_for_fields_and_variables_that_exist(dashboard: Dict[str, Any]) -> None:
    known = {field.name for fields in CATALOGUE.values() for field in fields}
    for title, query in queries(dashboard):
        asked = re.findall(r"huawei_maas_(?:key_usage|usage|api)_(\w+)|last\(\"(\w+)\"\)", query)
        assert asked, title
        assert {one or other for one, other in asked} <= known, title
        names = set(re.findall(r"\$(\w+)", query)) - {"timeFilter", "__interval"}
        assert names <= set(variables(dashboard)), title


@BOTH
def test_a_panel_that_needs_a_range_of_its_own_says_so(dashboard: Dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        text = str(panel["targets"])
        for span in ("today", "last_7d", "last_30d"):
            if f'"{span}"' in text or f"'{span}'" in text:
                assert f"`{span}`" in panel["description"], panel["title"]
