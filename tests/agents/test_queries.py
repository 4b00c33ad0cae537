"""The queries of docs/queries.md in the real stores: the right ones give the ledger's numbers, the others do not."""

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
from .account import REGION
from .alerts import RULES
from .collecting import Collecting
from .conftest import need_library
from .dashboards import midnight, month_began
from .datadog_monitors import compared, query
from .datadog_queries import Sample
from .datadog_queries import ask as ask_datadog
from .hours import COUNTS, HOUR, Books, Consumed, SentCloud, added, queries_of_docs, use
from .influxdb import influxdb, write
from .influxdb import query as influx_query
from .models import COMPLETE, CURRENCY, MINUTE, Counted, cost, entry_of, minute, named, newest
from .models import use as model_use
from .programs import ROOT, prometheus_over, rows

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
TODAY, MONTH = midnight(NOW), month_began(NOW)
SCRAPE = 5 * MINUTE
SERVICES = {"preset": 2, "custom_endpoint": 4}
LABELS = {"team-search": ("team-search",), "online_experience": ("",)}
LEDGER, MODELS = Books(late=True), SimulatedModels(2, 2)
LARGE = MODELS.ids()[0]
ENTRY = {
    **entry_of(MODELS),
    "hourly": True,
    "backfill_days": 1,
    "ranges": ["today", "last_7d"],
    "timezone": "Asia/Shanghai",
    "service_types": list(SERVICES),
    "api_keys": ["team-search", ""],
    "per_api_key": True,
    "max_requests_per_minute": 190,
}
Rows = List[Tuple[Iterable[str], float]]


def one_of(rows: Rows) -> float:
    """Take the number that the page shows: that of `large`, or of `team-search`, or the only one."""
    shown = [value for tags, value in rows if {"large", "team-search"} & set(tags)] or [rows[0][1]]
    assert len(shown) == 1, rows
    return shown[0]


def grown(count: str, begin: int, end: int = NOW, services: Iterable[int] = SERVICES.values(), **series: Any) -> float:
    """Say what was counted from one cycle until another."""
    before, after = (max(at for at in CYCLES if at <= moment) for moment in (begin, end))
    total = 0
    for one in services:
        consumed = Consumed(LEDGER, BEGAN, service_type=one, **series)
        counted = {at: consumed.look(at)[COUNTS.index(count)] for at in CYCLES}
        total += counted[after] - counted[before]
    return total


def error_ratios() -> Dict[str, float]:
    """Say which share of the calls of the last 3 hours failed, as they were counted."""
    failed, called = (
        {one: grown(count, NOW - 3 * HOUR, services=[number]) for one, number in SERVICES.items()}
        for count in ("errors", "requests")
    )
    assert any(failed.values())
    return {one: failed[one] / called[one] for one in SERVICES}


def of_hours(begin: int, end: int = NOW // HOUR * HOUR, **series: Any) -> int:
    """Add up the tokens that the cloud tells of hours."""
    hours = range(begin, end, HOUR)
    return added(*(use(LEDGER, at, NOW, one, **series) for one in SERVICES.values() for at in hours))[0]


def spent(begin: int, model: str = LARGE) -> float:
    """Say what a model cost by its counter since a cycle."""
    counted = Counted(MODELS, (model, ""), BEGAN)
    counts = {at: counted.look(at) for at in CYCLES}
    before = counts[max(at for at in CYCLES if at <= begin)]
    return float(cost(MODELS, model, tuple(b - a for a, b in zip(before, counts[NOW]))))


def truth(language: str) -> Tuple[float, ...]:
    """Work out from the ledger what the right queries must give, in the page's order."""
    day, hour, key = NOW - 24 * HOUR, NOW // HOUR * HOUR, LABELS["team-search"]
    if language != "sql":
        failing = newest(MODELS, (LARGE, ""), NOW + 1000)["error_ratio"]
        return of_hours(TODAY), grown("tokens", NOW - HOUR), spent(MONTH), failing, grown("tokens", day, labels=key)
    of_model = added(*(model_use(MODELS, (LARGE, ""), at, NOW) for at in range(MONTH, hour, HOUR)))
    minutes = [minute(MODELS, (LARGE, ""), at, NOW) for at in range(NOW - 20 * MINUTE, NOW - COMPLETE, MINUTE)]
    errors = sum(one["errors_4xx"] + one["errors_5xx"] for one in minutes if one)
    return (
        of_hours(TODAY),
        of_hours(hour - 4 * HOUR, hour - 3 * HOUR),
        float(cost(MODELS, LARGE, of_model)),
        errors / sum(one["requests_per_minute"] for one in minutes if one),
        of_hours(-(-day // HOUR) * HOUR, labels=key),
    )


def hold(language: str, ask: Callable[[str], float]) -> None:
    """Compare what the page says with what the store gives and with the ledger, question by question."""
    values = truth(language)
    assert len(values) == len(QUESTIONS)
    for question, value in zip(QUESTIONS, values):
        ((right, number, other, wrong),) = [found[1:] for found in PAIRS.findall(question) if found[0] == language]
        assert [rounded(each) for each in (value, ask(right), ask(wrong))] == [number, number, other], question
        assert number != other


def rounded(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def written(folder: Path, form: str) -> Iterator[Tuple[int, List[str]]]:
    """Run all cycles; go through what each wrote."""
    collecting = Collecting(folder, SentCloud(LEDGER, MODELS), form, ENTRY)
    for at in CYCLES:
        done = collecting.collect(at)
        assert done.returncode == 0, done.stderr
        yield at, done.stdout.splitlines()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    samples: List[str] = []
    for (at, lines), after in zip(written(folder, "prometheus"), [*CYCLES[1:], NOW + SCRAPE]):
        shown = [line for line in lines if line[:1] != "#"]
        samples += [f"{line} {moment / 1000:.3f}" for moment in range(at, after, SCRAPE) for line in shown]
    with prometheus_over(samples, folder) as url:
        yield url


def test_the_queries_for_prometheus(prometheus: str) -> None:
    def ask(text: str) -> float:
        since = MONTH if "cost" in text else TODAY
        expression = text.replace("$__range", f"{(NOW - since) // 1000}s")
        found = rows(prometheus, expression, NOW / 1000)
        return one_of([(row["metric"].values(), float(row["value"][1])) for row in found])

    hold("promql", ask)


def test_the_queries_of_hours_for_prometheus(prometheus: str) -> None:
    """Also where a window does not end at samples: then `increase` stretches it by a scrape interval."""

    def ask(expression: str, at: int = NOW) -> Dict[str, float]:
        found = rows(prometheus, expression, at / 1000)
        return {row["metric"].get("api_key_label", ""): float(row["value"][1]) for row in found}

    *totals, by_key = queries_of_docs("promql")
    for text, since in zip(totals, (NOW - HOUR, NOW - 24 * HOUR, TODAY, MONTH)):
        assert ask(text.replace("$__range", f"{(NOW - since) // 1000}s")) == {"": grown("tokens", since)}
    assert ask(by_key) == {name: grown("tokens", NOW - 24 * HOUR, labels=labels) for name, labels in LABELS.items()}
    stretched = grown("tokens", CYCLES[-4], CYCLES[-3]) * HOUR / (HOUR - SCRAPE)
    assert stretched > 0
    assert ask(totals[0], CYCLES[-3] + SCRAPE // 2) == {"": pytest.approx(stretched)}


def test_the_alert_rules_find_the_series_of_the_plugin(prometheus: str) -> None:
    def found(expression: str) -> List[Dict[str, Any]]:
        return rows(prometheus, expression, NOW / 1000)

    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    named_rules = {rule.get("alert", rule.get("record")): rule["expr"] for rule in rules}
    grouped = re.compile(r"by \(([^)]*)\)\s*\((?:\w+\()*\(*(huawei_maas_\w+)")
    asked = {one for expression in named_rules.values() for one in grouped.findall(expression)}
    assert len(asked) > 10
    for labels, metric in asked:
        assert all(set(labels.split(", ")) <= set(row["metric"]) for row in found(metric)), metric
        assert found(metric), metric
    errors = found(named_rules["MaasErrorsHigh"].replace("> 0.1", ">= 0").replace(">= 20", ">= 0"))
    assert {row["metric"]["service_type"]: float(row["value"][1]) for row in errors} == error_ratios()
    (day,) = found(named_rules["huawei_maas:tokens:day"].replace(">= 150", ">= 0"))
    assert float(day["value"][1]) == grown("tokens", NOW - 24 * HOUR)


def test_the_queries_for_influxdb(tmp_path: Path) -> None:
    with influxdb(tmp_path) as url:
        write(url, "\n".join(line for _, lines in written(tmp_path, "influx") for line in lines))

        def ask(text: str) -> float:
            # The database's own clock is not that of the account.
            moved = text.replace("now()", f"{NOW}ms").replace(" WHERE ", f" WHERE time < {NOW}ms AND ")
            hour = NOW // HOUR * HOUR - 4 * HOUR
            return one_of(
                [
                    (row.get("tags", {}).values(), values[0])
                    for row in influx_query(url, moved)
                    for at, *values in row["values"]
                    if "time(1h)" not in text or at == hour
                ]
            )

        hold("sql", ask)


def test_the_queries_for_datadog_and_the_monitors_that_add_counts_up(
    cloud: Cloud, make_check: Callable[..., Any], aggregator: Any, clock: FixedClock
) -> None:
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
        """Add counts up over all of the time; of a gauge take what it is at its end."""
        windows = {"rollup": NOW - HOUR, "cost": MONTH, "key_consumed": NOW - 24 * HOUR}
        since = next((begin for part, begin in windows.items() if part in text), TODAY) / 1000
        first, *others = (
            ask_datadog(part, samples, {}).reduced("sum" if "count" in part else "last", now, since)
            for part in text.split(" + ")
        )
        return one_of([(group, line[now]) for group, line in sum(others, first).values.items()])

    hold("text", ask)
    assert compared(query("error_ratio"), samples, now) == {
        (REGION, PROJECT_ID, one, "real_time"): ratio for one, ratio in error_ratios().items()
    }
    used = {(REGION, PROJECT_ID): of_hours(-(-(NOW - 7 * 24 * HOUR) // HOUR) * HOUR)}
    assert compared(query("token_forecast"), [one for one in samples if one.at == now], now) == used
    assert compared(query("token_forecast"), samples, now + 3 * 3600) == {}  # silence is no zero
    for name, begin in (("cost_budget", MONTH), ("cost_forecast", BEGAN)):
        cost_of_all = sum(spent(begin, model) for model in named(MODELS))
        assert compared(query(name), samples, now, MONTH / 1000) == {
            (REGION, PROJECT_ID, CURRENCY): pytest.approx(cost_of_all)
        }
