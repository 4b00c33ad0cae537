"""Every panel of the Grafana dashboards over weeks in a real Prometheus and a real InfluxDB, held against the ledger.

Where a range begins and ends at samples, `increase` is exact in Prometheus 2; in Prometheus 3, which leaves out the
sample at the range's beginning, it is stretched by a scrape interval.
"""

from __future__ import annotations

import subprocess
from typing import Any, Iterator, Union

import pytest

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result

from . import dashboards
from .account import REGION
from .dashboards import INFLUXDB, PROMETHEUS, Chosen, Range, is_over_time, panel_of
from .hours import COUNTS, HOUR
from .influxdb import influxdb, query
from .models import MINUTE_FIELDS, cost, named, newest, priced, series_of
from .month_in_prometheus import BEGAN, DOWN, LOST, Month
from .months import END, SERVICES, Values, choice
from .programs import find, prometheus_over, rows_over_time
from .weeks_in_influxdb import START, Weeks

pytestmark = pytest.mark.timeout(400)
MINUTELY = ("1m", "5m")
"""Intervals of panels over hours; the others are of hours and days, over a month."""


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    find("prometheus")  # before what takes long
    month = Month(tmp_path_factory.mktemp("prometheus"))
    month.live()
    with prometheus_over(month.samples, month.folder, "--max-block-duration=800h") as month.store:
        yield month


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weeks]:
    weeks = Weeks(tmp_path_factory.mktemp("influxdb"))
    with influxdb(weeks.folder) as weeks.store:
        weeks.live()
        yield weeks


Account = Union[Month, Weeks]


@pytest.fixture(params=["month", "weeks"])
def account(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def shown_by(account: Account, title: str, chosen: Chosen, picked: Range, fixed: bool = False) -> Values:
    """Read a panel: values by legend; over time by legend and time, milliseconds."""
    panel, found = panel_of(account.board, title), {}
    for target in panel["targets"]:
        for key, value in account.answer(panel, target, chosen, dashboards.range_of(panel, picked, fixed)):
            assert key not in found
            found[key] = value
    return found


def compare(account: Account, title: str, chosen: Chosen, picked: Range) -> None:
    shown, expected = shown_by(account, title, chosen, picked), account.truth(chosen, picked).of(title)
    panel = panel_of(account.board, title)
    assert expected
    if account.board is INFLUXDB and is_over_time(panel) and panel["interval"] not in MINUTELY:
        # Hours without use may be missing.
        shown, expected = ({key: value for key, value in each.items() if value != 0} for each in (shown, expected))
    assert shown == expected


TITLES = dashboards.titles(PROMETHEUS)
"""And of the other one: see tests/test_dashboards.py."""


@pytest.mark.parametrize(
    "chosen", [choice(), choice(service_type=("preset",), model=("large", "small"))], ids=["everything", "a part"]
)
@pytest.mark.parametrize("title", TITLES)
def test_every_panel_shows_what_the_ledger_holds(account: Account, title: str, chosen: Chosen) -> None:
    panel = panel_of(account.board, title)
    over_time = account.hours if panel["interval"] in MINUTELY else account.month
    compare(account, title, chosen, over_time if is_over_time(panel) else account.week)


@pytest.mark.parametrize("title", [title for title in TITLES if not is_over_time(panel_of(PROMETHEUS, title))])
def test_a_partial_failure_is_said_and_is_no_fall_in_use(account: Account, title: str) -> None:
    compare(account, title, choice(), account.after)


def test_every_variable_offers_what_there_is(account: Account) -> None:
    filled = [one for one in dashboards.variables(account.board).values() if one["type"] == "query"]
    assert {variable["name"]: account.offered(variable["query"]) for variable in filled} == {
        "region": {REGION},
        "project_id": {PROJECT_ID},
        "infer_type": {"real_time"},
        "service_type": set(SERVICES),
        "model": {named(account.models).get(each, each) for each in account.models.ids()},
    }


@pytest.mark.parametrize("title", ["Forecast for the month", "Forecast against the budget"])
def test_a_forecast_is_the_same_between_two_fixed_times(month: Month, title: str) -> None:
    fixed = shown_by(month, title, choice(), Range(END - HOUR, END), fixed=True)
    assert fixed == shown_by(month, title, choice(), month.week)


def test_prometheus_marks_where_a_cycle_was_partial_or_failed(month: Month) -> None:
    (mark,) = PROMETHEUS["annotations"]["list"]
    text = dashboards.filled_in(PROMETHEUS, mark["expr"], choice())
    shown = rows_over_time(month.store, text, BEGAN, month.partial, HOUR)
    assert len({tuple(tags.items()) for tags, _, _ in shown}) == 1
    assert [at for _, at, _ in shown] == [at for at in month.scrapes if at in DOWN or at == month.partial]


def test_influxdb_marks_where_a_cycle_was_partial_or_failed(weeks: Weeks) -> None:
    (mark,) = INFLUXDB["annotations"]["list"]
    text = mark["query"].replace("$timeFilter", f"time >= {START}ms and time <= {weeks.partial}ms")
    (row,) = query(weeks.store, dashboards.filled_in(INFLUXDB, text, choice()))
    codes = (Result.REQUEST_REJECTED, Result.PARTIAL)
    assert {tuple(mark) for mark in row["values"]} == {(weeks.partial, code) for code in codes}


@pytest.mark.parametrize("count", COUNTS)
def test_counters_are_what_the_hours_added_up_to_and_begin_at_0(month: Month, count: str) -> None:
    field, counted = COUNTS.index(count), month.counts
    assert month.shown_samples(f"(model_)?(key_)?consumed_{count}_total") == {
        (series, at): counts[field] for series, scraped in counted.items() for at, counts in scraped.items()
    }
    assert set(counted) == set(month.counted)
    for scraped in counted.values():
        values = [counts[field] for at, counts in scraped.items() if at < LOST]
        assert 0 == values[0] < values[-1]
        assert values == sorted(values)


def test_costs_are_those_of_the_counted_tokens_in_decimal_arithmetic(month: Month) -> None:
    assert month.shown_samples("model_(key_)?cost_consumed_cost_total") == {
        (series, at): float(cost(month.models, series[0], counts))
        for series in priced(month.models)
        for at, counts in month.counts[series].items()
    }


@pytest.mark.parametrize("field", MINUTE_FIELDS)
def test_each_cycle_shows_the_newest_complete_minute(month: Month, field: str) -> None:
    assert month.shown_samples(f"model_(key_)?{field}") == {
        (series, at): shown[field]
        for at, cycle in month.scrapes.items()
        for series in (series_of(month.models) if cycle not in DOWN else ())
        for shown in [newest(month.models, series, cycle)]
        if field in shown
    }


def test_promtool_finds_nothing_wrong_with_the_metrics_but_that_hours_are_no_base_unit(month: Month) -> None:
    def check(text: str) -> str:
        promtool = [find("promtool"), "check", "metrics"]
        done = subprocess.run(promtool, input=text, capture_output=True, encoding="utf-8", timeout=30)
        return done.stdout + done.stderr

    text, of_api = ((month.folder / name).read_text() for name in ("out.prom", "out.api.prom"))
    assert check(text) == ""
    assert check(of_api) == 'huawei_maas_api_missing_hours use base unit "seconds" instead of "hours"\n'
    assert "# TYPE huawei_maas_key_consumed_errors_total counter" in text
    assert "# TYPE huawei_maas_model_key_cost_consumed_cost_total counter" in text
