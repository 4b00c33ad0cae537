"""Every panel of the Grafana dashboards in a real Prometheus and a real InfluxDB, compared with the simulated usage.

If a range begins and ends at samples, `increase` is exact in Prometheus 2. Prometheus 3 leaves out the sample at the
range's beginning, and stretches the increase by a scrape interval.
"""

from __future__ import annotations

import subprocess
from typing import Any, Iterator, Tuple, Union

import pytest

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import Result

from . import grafana_dashboards
from .demo_account import REGION
from .expected_hours import COUNTS, HOUR
from .expected_models import MINUTE_FIELDS, all_series, expected_cost, model_names, newest_minute, priced_series
from .grafana_dashboards import INFLUXDB, PROMETHEUS, Chosen, Range, find_panel, is_over_time
from .influxdb import influxdb, query
from .month_in_prometheus import BEGAN, DOWN, LOST, Month
from .programs import find, prometheus_over, rows_over_time
from .simulated_account import SERVICES, Values, choose
from .weeks_in_influxdb import START, Weeks

pytestmark = pytest.mark.timeout(400)
MINUTELY = ("1m", "5m")
"""Intervals of panels over hours; the others are of hours and days, over a month."""


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    find("prometheus")  # skip before the slow part
    month = Month(tmp_path_factory.mktemp("prometheus"))
    month.run()
    with prometheus_over(month.samples, month.folder, "--max-block-duration=800h") as month.store_url:
        yield month


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weeks]:
    weeks = Weeks(tmp_path_factory.mktemp("influxdb"))
    with influxdb(weeks.folder) as weeks.store_url:
        weeks.run()
        yield weeks


Account = Union[Month, Weeks]


@pytest.fixture(params=["month", "weeks"])
def account(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def shown_by(account: Account, title: str, chosen: Chosen, picked: Range, fixed: bool = False) -> Values:
    """Return a panel's values by legend, or for a time series by legend and time in milliseconds."""
    panel, found = find_panel(account.dashboard, title), {}
    for target in panel["targets"]:
        for key, value in account.answer(panel, target, chosen, grafana_dashboards.panel_range(panel, picked, fixed)):
            assert key not in found
            found[key] = value
    return found


def compare(account: Account, title: str, chosen: Chosen, picked: Range) -> None:
    shown, expected = shown_by(account, title, chosen, picked), account.truth(chosen, picked).of(title)
    panel = find_panel(account.dashboard, title)
    assert expected
    if account.dashboard is INFLUXDB and is_over_time(panel) and panel["interval"] not in MINUTELY:
        # Hours without usage may be missing.
        shown, expected = ({key: value for key, value in each.items() if value != 0} for each in (shown, expected))
    assert shown == expected


TITLES = grafana_dashboards.titles(PROMETHEUS)
"""The dashboard for InfluxDB has the same: see tests/test_dashboards.py."""


@pytest.mark.parametrize(
    "chosen", [choose(), choose(service_type=("preset",), model=("large", "small"))], ids=["everything", "a part"]
)
@pytest.mark.parametrize("title", TITLES)
def test_every_panel(account: Account, title: str, chosen: Chosen) -> None:
    """Every panel shows the simulated usage."""
    panel = find_panel(account.dashboard, title)
    over_time = account.hours if panel["interval"] in MINUTELY else account.month
    compare(account, title, chosen, over_time if is_over_time(panel) else account.week)


@pytest.mark.parametrize("title", [title for title in TITLES if not is_over_time(find_panel(PROMETHEUS, title))])
def test_partial_failure(account: Account, title: str) -> None:
    """A partial failure shows, but not as a fall in usage."""
    compare(account, title, choose(), account.after)


def test_variables(account: Account) -> None:
    """Every variable offers the values of its tag."""
    filled = [one for one in grafana_dashboards.variables(account.dashboard).values() if one["type"] == "query"]
    assert {variable["name"]: account.variable_values(variable["query"]) for variable in filled} == {
        "region": {REGION},
        "project_id": {PROJECT_ID},
        "infer_type": {"real_time"},
        "service_type": set(SERVICES),
        "model": {model_names(account.models).get(each, each) for each in account.models.ids()},
    }


def test_annotations_prometheus(month: Month) -> None:
    """Annotations mark partial and failed cycles, in Prometheus."""
    (mark,) = PROMETHEUS["annotations"]["list"]
    text = grafana_dashboards.fill_in(PROMETHEUS, mark["expr"], choose())
    shown = rows_over_time(month.store_url, text, BEGAN, month.partial, HOUR)
    assert len({tuple(tags.items()) for tags, _, _ in shown}) == 1
    assert [at for _, at, _ in shown] == [at for at in month.scrapes if at in DOWN or at == month.partial]


def test_annotations_influxdb(weeks: Weeks) -> None:
    """Annotations mark partial and failed cycles, in InfluxDB."""
    (mark,) = INFLUXDB["annotations"]["list"]
    text = mark["query"].replace("$timeFilter", f"time >= {START}ms and time <= {weeks.partial}ms")
    (row,) = query(weeks.store_url, grafana_dashboards.fill_in(INFLUXDB, text, choose()))
    codes = (Result.REQUEST_REJECTED, Result.PARTIAL)
    assert {tuple(mark) for mark in row["values"]} == {(weeks.partial, code) for code in codes}


@pytest.mark.parametrize("count", COUNTS)
def test_counters(month: Month, count: str) -> None:
    """Counters begin at 0 and equal the sum of the hours."""
    field, counted = COUNTS.index(count), month.counts
    assert month.shown_samples(f"(model_)?(key_)?consumed_{count}_total") == {
        (series, at): counts[field] for series, scraped in counted.items() for at, counts in scraped.items()
    }
    assert set(counted) == set(month.counted)
    for scraped in counted.values():
        values = [counts[field] for at, counts in scraped.items() if at < LOST]
        assert 0 == values[0] < values[-1]
        assert values == sorted(values)


@pytest.mark.parametrize(
    ("field", "kinds"),
    [
        ("cost", ("prompt", "completion")),
        ("prompt_cost", ("prompt",)),
        ("completion_cost", ("completion",)),
    ],
)
def test_costs(month: Month, field: str, kinds: Tuple[str, ...]) -> None:
    """Cost counters are the counted tokens times the prices, in decimal arithmetic."""
    assert month.shown_samples(f"model_(key_)?cost_consumed_{field}_total") == {
        (series, at): float(expected_cost(month.models, series[0], counts, kinds))
        for series in priced_series(month.models)
        for at, counts in month.counts[series].items()
    }


@pytest.mark.parametrize("field", MINUTE_FIELDS)
def test_newest_minute(month: Month, field: str) -> None:
    """Each cycle shows the newest complete minute."""
    assert month.shown_samples(f"model_(key_)?{field}") == {
        (series, at): shown[field]
        for at, cycle in month.scrapes.items()
        for series in (all_series(month.models) if cycle not in DOWN else ())
        for shown in [newest_minute(month.models, series, cycle)]
        if field in shown
    }


def test_promtool(month: Month) -> None:
    """`promtool check metrics` objects only to the unit hours."""

    def check(text: str) -> str:
        promtool = [find("promtool"), "check", "metrics"]
        done = subprocess.run(promtool, input=text, capture_output=True, encoding="utf-8", timeout=30)
        return done.stdout + done.stderr

    text, of_api = ((month.folder / name).read_text() for name in ("out.prom", "out.api.prom"))
    assert check(text) == ""
    assert check(of_api) == 'huawei_maas_api_missing_hours use base unit "seconds" instead of "hours"\n'
    assert "# TYPE huawei_maas_key_consumed_errors_total counter" in text
    assert "# TYPE huawei_maas_model_key_cost_consumed_cost_total counter" in text
