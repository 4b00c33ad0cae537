"""The queries of docs/queries.md in real stores: the right ones return the simulated usage, the wrong ones do not."""

from __future__ import annotations

import re
from calendar import timegm
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Tuple

import pytest
import yaml

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_models import SimulatedModels

from ..conftest import Cloud, FixedClock
from .collect_runner import CollectRunner
from .conftest import need_library
from .datadog_monitor_eval import evaluate_monitor, monitor_query
from .datadog_query_eval import Sample
from .datadog_query_eval import evaluate_query as query_datadog
from .demo_account import REGION
from .expected_hours import (
    COUNTS,
    HOUR,
    HourlyUsage,
    ServiceCounts,
    SignatureTimeEmulator,
    doc_queries,
    expected_hour,
    sum_usage,
)
from .expected_models import (
    COMPLETE_AFTER,
    CURRENCY,
    MINUTE,
    TRAFFIC,
    ModelCounts,
    expected_cost,
    expected_minute,
    expected_model_hour,
    model_entry,
    newest_minute,
)
from .grafana_dashboards import midnight, month_start
from .influxdb import influxdb, write
from .influxdb import query as influx_query
from .programs import ROOT, prometheus_over, rows
from .promtool import RULES

need_library("datadog_checks.base")

pytestmark = pytest.mark.timeout(300)
PAGE = (ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
PAIRS = re.compile(
    r"```(promql|sql|text)\n([^`]+)\n```\n\ngives ([-\d,.]+)\. Not this, which gives ([-\d,.]+), because .*?:\n\n"
    r"```\1\n([^`]+)\n```",
    re.DOTALL,
)
QUESTIONS = PAGE.split("\n## ")[1:]
BEGAN = timegm((2026, 11, 30, 12, 45, 0)) * 1000
CYCLES = [BEGAN + hours * HOUR for hours in (*range(0, 33, 3), 33, 34, 35, 37, 38)]
NOW = CYCLES[-1]
TODAY, MONTH = midnight(NOW), month_start(NOW)
SCRAPE = 5 * MINUTE
SERVICES = {"preset": 2, "custom_endpoint": 4}
LABELS = {"team-search": ("team-search",), "online_experience": ("",)}
LEDGER, MODELS = HourlyUsage(late=True), SimulatedModels(2, 2, TRAFFIC)
LARGE = MODELS.ids()[0]
ENTRY = {
    **model_entry(MODELS),
    "hourly": True,
    "backfill_days": 1,
    "ranges": ["today", "last_7d"],
    "timezone": "Asia/Shanghai",
    "service_types": list(SERVICES),
    "api_keys": ["team-search", ""],
    "per_api_key": True,
    "max_requests_per_minute": 190,
    "budget": {"tokens": 10**9, "cost": 10_000},
    "teams": {"search": {"api_keys": ["team-search"], "budget": {"tokens": 10**8, "cost": 1000}}},
    "key_names": {MODELS.key_ids(LARGE)[0]: "team-search"},
    "limits": {"large": {"rpm": 100, "tpm": 100_000}},
}
Rows = List[Tuple[Iterable[str], float]]


def shown_value(rows: Rows) -> float:
    """Return the value that the page shows: of `large`, or of `team-search`, or the only one."""
    shown = [value for tags, value in rows if {"large", "team-search"} & set(tags)] or [rows[0][1]]
    assert len(shown) == 1, rows
    return shown[0]


def grown(count: str, begin: int, end: int = NOW, services: Iterable[int] = SERVICES.values(), **series: Any) -> float:
    """Return the growth of the counts from one cycle to another."""
    before, after = (max(at for at in CYCLES if at <= moment) for moment in (begin, end))
    total = 0
    for one in services:
        consumed = ServiceCounts(LEDGER, BEGAN, service_type=one, **series)
        counted = {at: consumed.update(at)[COUNTS.index(count)] for at in CYCLES}
        total += counted[after] - counted[before]
    return total


def error_ratios() -> Dict[str, float]:
    """Return the share of failed calls by the counts of the last 3 hours."""
    failed, called = (
        {one: grown(count, NOW - 3 * HOUR, services=[number]) for one, number in SERVICES.items()}
        for count in ("errors", "requests")
    )
    assert any(failed.values())
    return {one: failed[one] / called[one] for one in SERVICES}


def of_hours(begin: int, end: int = NOW // HOUR * HOUR, **series: Any) -> int:
    """Return the tokens that the cloud reports for hours."""
    hours = range(begin, end, HOUR)
    return sum_usage(*(expected_hour(LEDGER, at, NOW, one, **series) for one in SERVICES.values() for at in hours))[0]


def cost_of_hours(model: str) -> float:
    """Return the cost of a model's hours of the month."""
    hours = range(MONTH, NOW // HOUR * HOUR, HOUR)
    used = sum_usage(*(expected_model_hour(MODELS, (model, ""), at, NOW) for at in hours))
    return float(expected_cost(MODELS, model, used))


def spent(begin: int, model: str = LARGE) -> float:
    """Return a model's cost since a cycle, by its counter."""
    counted = ModelCounts(MODELS, (model, ""), BEGAN)
    counts = {at: counted.update(at) for at in CYCLES}
    before = counts[max(at for at in CYCLES if at <= begin)]
    return float(expected_cost(MODELS, model, tuple(b - a for a, b in zip(before, counts[NOW]))))


def truth(language: str) -> Tuple[float, ...]:
    """Return the expected results of the right queries, in the page's order."""
    day, hour, key = NOW - 24 * HOUR, NOW // HOUR * HOUR, LABELS["team-search"]
    if language != "sql":
        failing = newest_minute(MODELS, (LARGE, ""), NOW + 1000)["error_ratio"]
        return of_hours(TODAY), grown("tokens", NOW - HOUR), spent(MONTH), failing, grown("tokens", day, labels=key)
    minutes = [
        expected_minute(MODELS, (LARGE, ""), at, NOW) for at in range(NOW - 20 * MINUTE, NOW - COMPLETE_AFTER, MINUTE)
    ]
    errors = sum(one["errors_4xx"] + one["errors_5xx"] for one in minutes if one)
    return (
        of_hours(TODAY),
        of_hours(hour - 4 * HOUR, hour - 3 * HOUR),
        cost_of_hours(LARGE),
        errors / sum(one["requests_per_minute"] for one in minutes if one),
        of_hours(-(-day // HOUR) * HOUR, labels=key),
    )


def check_page(language: str, ask: Callable[[str], float]) -> None:
    """Compare the page's numbers with the store's and with the simulated usage, question by question."""
    values = truth(language)
    assert len(values) == len(QUESTIONS)
    for question, value in zip(QUESTIONS, values):
        ((right, number, other, wrong),) = [found[1:] for found in PAIRS.findall(question) if found[0] == language]
        assert [rounded(each) for each in (value, ask(right), ask(wrong))] == [number, number, other], question
        assert number != other


def rounded(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def run_cycles(folder: Path, output_format: str) -> Iterator[Tuple[int, List[str]]]:
    """Run all cycles; yield the time and the output of each."""
    collecting = CollectRunner(folder, SignatureTimeEmulator(LEDGER, MODELS), output_format, ENTRY)
    for at in CYCLES:
        done = collecting.collect(at)
        assert done.returncode == 0, done.stderr
        yield at, done.stdout.splitlines()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    samples: List[str] = []
    for (at, lines), after in zip(run_cycles(folder, "prometheus"), [*CYCLES[1:], NOW + SCRAPE]):
        shown = [line for line in lines if line[:1] != "#"]
        samples += [f"{line} {moment / 1000:.3f}" for moment in range(at, after, SCRAPE) for line in shown]
    with prometheus_over(samples, folder) as url:
        yield url


def test_prometheus(prometheus: str) -> None:
    def ask(text: str) -> float:
        since = MONTH if "cost" in text else TODAY
        expression = text.replace("$__range", f"{(NOW - since) // 1000}s")
        found = rows(prometheus, expression, NOW / 1000)
        return shown_value([(row["metric"].values(), float(row["value"][1])) for row in found])

    check_page("promql", ask)


def test_hours_in_prometheus(prometheus: str) -> None:
    """The queries of docs/hours.md; `increase` stretches a window that does not end at samples by a scrape interval."""

    def ask(expression: str, at: int = NOW) -> Dict[str, float]:
        found = rows(prometheus, expression, at / 1000)
        return {row["metric"].get("api_key_label", ""): float(row["value"][1]) for row in found}

    *totals, by_key = doc_queries("promql")
    for text, since in zip(totals, (NOW - HOUR, NOW - 24 * HOUR, TODAY, MONTH)):
        assert ask(text.replace("$__range", f"{(NOW - since) // 1000}s")) == {"": grown("tokens", since)}
    assert ask(by_key) == {name: grown("tokens", NOW - 24 * HOUR, labels=labels) for name, labels in LABELS.items()}
    stretched = grown("tokens", CYCLES[-4], CYCLES[-3]) * HOUR / (HOUR - SCRAPE)
    assert stretched > 0
    assert ask(totals[0], CYCLES[-3] + SCRAPE // 2) == {"": pytest.approx(stretched)}


def test_alert_rules(prometheus: str) -> None:
    """The alert rules find the plugin's series."""

    def found(expression: str) -> List[Dict[str, Any]]:
        return rows(prometheus, expression, NOW / 1000)

    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    named_rules = {rule.get("alert", rule.get("record")): rule["expr"] for rule in rules}
    grouped = re.compile(r"by \(([^)]*)\)\s*\((?:\w+\()*\(*(huawei_maas_\w+)")
    groupings = {one for expression in named_rules.values() for one in grouped.findall(expression)}
    assert len(groupings) > 10
    for labels, metric in groupings:
        # Only budgets of teams have a team; a rule adds the limit.
        assert all(set(labels.split(", ")) - {"team", "limit"} <= set(row["metric"]) for row in found(metric)), metric
        assert found(metric), metric
    budgets = found(named_rules["MaasBudgetNearlyUsed"].replace("> 0.8 <= 1", ">= 0"))
    assert {tuple(row["metric"].get(tag, "") for tag in ("scope", "team", "unit")) for row in budgets} == {
        (*scope, unit) for scope in (("all", ""), ("team", "search")) for unit in ("tokens", CURRENCY)
    }
    (growth,) = found(named_rules["MaasModelRequestsGrow"].replace("> 0.2", ">= 0").replace("> 0.5", ">= 0"))
    now, before = (newest_minute(MODELS, (LARGE, ""), at)["requests_per_minute"] for at in (NOW, CYCLES[-2]))
    assert float(growth["value"][1]) == pytest.approx((now / before) ** (MINUTE / (NOW - CYCLES[-2])) - 1)
    errors = found(named_rules["MaasErrorsHigh"].replace("> 0.1", ">= 0").replace(">= 20", ">= 0"))
    assert {row["metric"]["service_type"]: float(row["value"][1]) for row in errors} == error_ratios()
    (day,) = found(named_rules["huawei_maas:tokens:day"].replace(">= 150", ">= 0"))
    assert float(day["value"][1]) == grown("tokens", NOW - 24 * HOUR)


def test_influxdb(tmp_path: Path) -> None:
    with influxdb(tmp_path) as url:
        write(url, "\n".join(line for _, lines in run_cycles(tmp_path, "influx") for line in lines))

        def ask(text: str) -> float:
            # The database's clock is not the simulated one.
            moved = text.replace("now()", f"{NOW}ms").replace(" WHERE ", f" WHERE time < {NOW}ms AND ")
            hour = NOW // HOUR * HOUR - 4 * HOUR
            return shown_value(
                [
                    (row.get("tags", {}).values(), values[0])
                    for row in influx_query(url, moved)
                    for at, *values in row["values"]
                    if "time(1h)" not in text or at == hour
                ]
            )

        check_page("sql", ask)


def test_datadog(cloud: Cloud, make_check: Callable[..., Any], aggregator: Any, clock: FixedClock) -> None:
    """The queries for Datadog, and the monitors that add counts up."""
    now = NOW / 1000
    cloud.emulator.now, cloud.emulator.usage, cloud.emulator.models = clock.now, LEDGER, MODELS
    check = make_check(cloud.entry(**ENTRY, min_collection_interval=1800))
    samples: List[Sample] = []
    for at in CYCLES:
        clock.at = at / 1000
        aggregator.reset()
        assert not check.run()
        for name in aggregator.metric_names:
            for one in aggregator.metrics(name):
                samples.append(Sample(clock.at, name, dict(tag.split(":", 1) for tag in one.tags), one.value))

    def ask(text: str) -> float:
        """Return the sum of a count over its window, or the last value of a gauge."""
        windows = {"rollup": NOW - HOUR, "cost": MONTH, "key_consumed": NOW - 24 * HOUR}
        since = next((begin for part, begin in windows.items() if part in text), TODAY) / 1000
        first, *others = (
            query_datadog(part, samples, {}).aggregate("sum" if "count" in part else "last", now, since)
            for part in text.split(" + ")
        )
        return shown_value([(group, line[now]) for group, line in sum(others, first).values.items()])

    check_page("text", ask)
    assert evaluate_monitor(monitor_query("error_ratio"), samples, now) == {
        (REGION, PROJECT_ID, one, "real_time"): ratio for one, ratio in error_ratios().items()
    }
    used = {
        (REGION, PROJECT_ID, "tokens"): of_hours(MONTH) / 10**9,
        (REGION, PROJECT_ID, CURRENCY): pytest.approx(sum(map(cost_of_hours, MODELS.ids())) / 10_000),
    }
    assert evaluate_monitor(monitor_query("budget_used"), samples, now) == used
    assert evaluate_monitor(monitor_query("budget_used"), samples, now + 3 * 3600) == {}  # no data is not a zero
    of_team = evaluate_monitor(monitor_query("team_budget_used"), samples, now)
    assert of_team[REGION, PROJECT_ID, "search", "tokens"] == of_hours(MONTH, labels=LABELS["team-search"]) / 10**8
    assert set(of_team) == {(REGION, PROJECT_ID, "search", unit) for unit in ("tokens", CURRENCY)}
