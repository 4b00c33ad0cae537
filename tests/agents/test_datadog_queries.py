"""What the Datadog dashboard and monitors ask of the account, worked out over what the plugin really collected."""

from __future__ import annotations

import sys
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from maas_usage_check.metrics import API
from maas_usage_check.standin.emulator import PROJECT_ID

from . import account as truth
from .account import NAMES, REGION, Choice
from .datadog_monitors import monitor, query
from .datadog_queries import Cycle, Group, cycle, widget
from .programs import ROOT, run
from .test_datadog_assets import DASHBOARD, definitions, read

KEY = {"HW_ACCESS_KEY": truth.AK, "HW_SECRET_KEY": truth.SK, "PYTHONPATH": str(ROOT)}
HERE = (REGION, PROJECT_ID)
PARTIAL = 100 * 60
"""Seconds after the whole cycle comes the partial one."""
SPANS = ("7d", "14d", "30d")


class Store:
    """A whole cycle, then a partial one; and when they ran."""

    cycles: Tuple[Cycle, ...] = ()
    fed = 0.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("datadog")
    command = [sys.executable, "-m", "maas_usage_check", "collect", "--config", str(folder / "conf.yaml")]
    store = Store()
    with truth.account(folder) as books:

        def feed() -> None:
            books.unreadable = ""
            whole = run([*command, "--format", "json"], folder, **KEY)
            books.unreadable = "preset"
            part = run([*command, "--format", "json"], folder, **KEY)
            assert ["no values for" in done.stderr for done in (whole, part)] == [False, True]
            store.cycles = (cycle(0, whole.stdout), cycle(PARTIAL, part.stdout))

        store.fed = truth.within_an_hour(feed)
        yield store


def of_usage() -> List[Tuple[str, int, Dict[str, Any]]]:
    """List the dashboard's requests of usage: title, number in the widget, request."""
    return [
        (definition["title"], number, request)
        for definition in definitions(read(DASHBOARD)["widgets"])
        for number, request in enumerate(definition.get("requests", []))
        if any("usage." in query["query"] and "coverage" not in query["query"] for query in request["queries"])
    ]


def expected(now: float, service: Tuple[str, ...] = tuple(NAMES)) -> Dict[Tuple[str, int], Dict[Group, float]]:
    """Say what the requests of usage must show, from the ledger."""
    panels = {span: truth.expected(Choice(f"last_{span}", service), now) for span in SPANS}
    ranges = truth.expected(Choice(service_types=service), now)["Tokens per range"]

    def of(field: str, span: str, one: str, kinds: Tuple[str, ...] = ("real_time", "batch")) -> int:
        return sum(truth.total(field, span, now, tuple(truth.API_KEYS), one, kind) for kind in kinds)

    def each(over: str, under: str) -> Dict[Group, float]:
        return {
            (*HERE, one, kind): of(over, "last_7d", one, (kind,)) / of(under, "last_7d", one, (kind,))
            for one in service
            for kind in ("real_time", "batch")
        }

    def key(field: str, label: str) -> int:
        return sum(truth.total(field, "last_7d", now, (truth.TAGGED[label],), one, "real_time") for one in service)

    by_service = {(*HERE, one): of("total_tokens", "last_7d", one) for one in service}
    tokens, errors = ({(*HERE, tag): key(field, tag) for tag in truth.TAGGED} for field in ("total_tokens", "errors"))
    errors_by_range = {(*HERE, span): sum(of("errors", span, one) for one in service) for span in truth.RANGES}
    prompt = panels["7d"]["Prompt against completion"]
    return {
        **{(f"Tokens, last {span}", 0): {HERE: ranges[f"last_{span}"]} for span in SPANS},
        **{(f"Requests, last {span}", 0): {HERE: panels[span]["Requests"]["requests"]} for span in SPANS},
        **{(f"Error ratio, last {span}", 0): {HERE: panels[span]["Error ratio"]["error ratio"]} for span in SPANS},
        ("Tokens by range", 0): {(*HERE, span): tokens for span, tokens in ranges.items()},
        ("Prompt and completion tokens, last 7d", 0): {HERE: prompt["prompt"]},
        ("Prompt and completion tokens, last 7d", 1): {HERE: prompt["completion"]},
        ("Completion tokens per prompt token, last 7d", 0): each("completion_tokens", "prompt_tokens"),
        ("Errors by range", 0): errors_by_range,
        ("Error ratio by service type, last 7d", 0): each("errors", "requests"),
        ("Tokens by service type, last 7d", 0): by_service,
        ("Tokens by service type, last 7d, over time", 0): by_service,
        ("Tokens by API key, last 7d", 0): tokens,
        ("Tokens by API key, last 7d, over time", 0): tokens,
        ("Errors by API key, last 7d", 0): errors,
    }


@pytest.mark.parametrize(("title", "number", "request_"), of_usage(), ids=[f"{one[0]} {one[1]}" for one in of_usage()])
def test_every_widget_of_use_shows_what_the_ledger_holds(
    store: Store, title: str, number: int, request_: Dict[str, Any]
) -> None:
    whole = store.cycles[:1]
    assert widget(request_, list(whole), {}) == expected(store.fed)[title, number]
    chosen = {"$service_type": "service_type:my_service"}
    assert widget(request_, list(whole), chosen) == expected(store.fed, ("my_service",))[title, number]


@pytest.mark.parametrize(("title", "number", "request_"), of_usage(), ids=[f"{one[0]} {one[1]}" for one in of_usage()])
def test_no_widget_of_use_takes_a_partial_failure_for_a_fall(
    store: Store, title: str, number: int, request_: Dict[str, Any]
) -> None:
    shown = widget(request_, list(store.cycles), {})
    silent = {group for group, value in shown.items() if value is None}
    assert {group: value for group, value in shown.items() if value is not None} == {
        group: value for group, value in expected(store.fed)[title, number].items() if group not in silent
    }
    assert all("preset" in group for group in silent), "a line of one series ends; a sum goes on"


def test_a_sum_of_tokens_is_counted_once_and_holds_through_a_partial_failure(store: Store) -> None:
    used = expected(store.fed)["Tokens, last 7d", 0]
    assert monitor(query("token_forecast"), list(store.cycles[:1])) == used
    assert monitor(query("token_forecast"), list(store.cycles)) == used
    week, month = (query(name).split(" > ")[0] for name in ("token_forecast", "token_budget"))
    assert week.replace("last_7d", "this_month") == month


def test_silence_is_no_zero(store: Store) -> None:
    (whole, _), nothing = store.cycles, [point for point in store.cycles[0].points if point["measurement"] == API]
    silent = [whole, Cycle(3 * 3600, nothing)]
    assert set(monitor(query("token_forecast"), silent).values()) <= {None}
    for title, _, request in of_usage():
        if request["response_format"] == "timeseries":
            assert set(widget(request, silent, {}).values()) == {None}, title
