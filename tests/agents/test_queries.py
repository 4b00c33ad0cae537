"""The queries of docs/queries.md in the real stores: the right ones give the ledger's numbers, the others do not."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest
import yaml

from maas_usage_check.metrics.datadog import metric_name
from maas_usage_check.standin.emulator import PROJECT_ID
from maas_usage_check.standin.models import Models

from ..conftest import Cloud, FixedClock
from .account import REGION
from .alerts import RULES
from .collecting import Collecting
from .conftest import need_library
from .datadog_monitors import monitor, query
from .datadog_queries import Cycle
from .hours import COUNTS, HOUR, Consumed, SentCloud, added, use
from .influxdb import influxdb, write
from .influxdb import query as influx_query
from .models import COMPLETE, CURRENCY, MINUTE, Counted, config_of, cost, entry_of, minute, named, newest
from .models import use as model_use
from .months import Books
from .programs import ROOT, prometheus_over, rows

need_library("datadog_checks.base")

pytestmark = pytest.mark.timeout(300)
PAGE = (ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
PAIRS = re.compile(
    r"```(promql|sql|text)\n([^`]+)\n```\n\ngives ([-\d,.]+)\. Not this, which gives ([-\d,.]+), for .*?:\n\n"
    r"```\1\n([^`]+)\n```",
    re.DOTALL,
)
QUESTIONS = PAGE.split("\n## ")[1:]
TITLES = [question.splitlines()[0] for question in QUESTIONS]
SHANGHAI = dt.timezone(dt.timedelta(hours=8))
BEGAN = int(dt.datetime(2026, 11, 30, 20, 45, tzinfo=SHANGHAI).timestamp() * 1000)
TODAY = int(dt.datetime(2026, 12, 2, tzinfo=SHANGHAI).timestamp() * 1000)
MONTH = int(dt.datetime(2026, 12, 1, tzinfo=SHANGHAI).timestamp() * 1000)
CYCLES = [BEGAN + hours * HOUR for hours in (*range(0, 33, 3), 33, 34, 35, 37, 38)]
NOW = CYCLES[-1]
SCRAPE = 5 * MINUTE
SERVICES = {"preset": 2, "custom_endpoint": 4}
MODELS = Models(2, 2)
LARGE = MODELS.ids()[0]
RANGES = {"today": TODAY, "last_7d": NOW - 7 * 24 * HOUR}
CONFIG = """\
instances:
  - endpoint: {url}
    iam_endpoint: {url}
    cloud_eye_endpoint: {url}
    state_dir: {folder}/state
    hourly: true
    backfill_days: 1
    ranges: [today, last_7d]
    timezone: Asia/Shanghai
    service_types: [preset, custom_endpoint]
    api_keys: [team-search, ""]
    per_api_key: true
    max_requests_per_minute: 190
"""
Ask = Callable[[str], float]
Rows = List[Tuple[Dict[str, str], float]]


LEDGER = Books(late=True)


def one_of(rows: Rows) -> float:
    """Take the number that the page shows: that of `large`, or of `team-search`, or the only one."""
    shown = [value for tags, value in rows if {"large", "team-search"} & set(tags.values())] or [rows[0][1]]
    assert len(shown) == 1, rows
    return shown[0]


def grown(count: str, begin: int, end: int, **series: Any) -> float:
    """Say what was counted of a service from the cycle at `begin` until that at `end`."""
    consumed = Consumed(LEDGER, BEGAN, **series)
    counted = {at: consumed.look(at // HOUR * HOUR) for at in CYCLES}
    before, after = (counted[max(at for at in CYCLES if at <= moment)] for moment in (begin, end))
    return after[COUNTS.index(count)] - before[COUNTS.index(count)]


def of_hours(begin: int, end: int, **series: Any) -> int:
    """Add up the tokens that the cloud tells of hours."""
    now = NOW // HOUR * HOUR
    hours = range(begin, end, HOUR)
    return sum(
        added(*(use(LEDGER, at, now, service_type=one, **series) for at in hours))[0] for one in SERVICES.values()
    )


def spent(begin: int, model: str = LARGE) -> float:
    """Say what a model cost by its counter since a cycle."""
    counted = Counted(MODELS, (model, ""), BEGAN)
    counts = {at: counted.look(at) for at in CYCLES}
    before = counts[max(at for at in CYCLES if at <= begin)]
    return float(cost(MODELS, model, tuple(b - a for a, b in zip(before, counts[NOW]))))


def truth(title: str, language: str) -> float:
    """Work out from the ledger what the right query must give."""
    day, key = NOW - 24 * HOUR, {"labels": ("team-search",)}
    failing = newest(MODELS, (LARGE, ""), NOW + 1000)["error_ratio"]
    if language == "sql":
        over = range(MONTH, NOW // HOUR * HOUR, HOUR)
        spent_by_hours = cost(MODELS, LARGE, added(*(model_use(MODELS, (LARGE, ""), at, NOW) for at in over)))
        minutes = [minute(MODELS, (LARGE, ""), at, NOW) for at in range(NOW - 20 * MINUTE, NOW - COMPLETE, MINUTE)]
        errors, calls = (
            sum(one[name] for one in minutes if one for name in names)
            for names in (("errors_4xx", "errors_5xx"), ("requests_per_minute",))
        )
        numbers = (
            of_hours(TODAY, NOW // HOUR * HOUR),
            of_hours(NOW // HOUR * HOUR - 4 * HOUR, NOW // HOUR * HOUR - 3 * HOUR),
            float(spent_by_hours),
            errors / calls,
            of_hours(-(-day // HOUR) * HOUR, NOW // HOUR * HOUR, **key),
        )
    else:
        numbers = (
            of_hours(TODAY, NOW // HOUR * HOUR),
            sum(grown("tokens", NOW - HOUR, NOW, service_type=one) for one in SERVICES.values()),
            spent(MONTH),
            failing,
            sum(grown("tokens", day, NOW, service_type=one, **key) for one in SERVICES.values()),
        )
    return dict(zip(TITLES, numbers))[title]


def hold(language: str, ask: Ask) -> None:
    """Compare what the page says with what the store gives and with the ledger, question by question."""
    wrong_here = []
    for title, question in zip(TITLES, QUESTIONS):
        ((right, number, other, wrong),) = [found[1:] for found in PAIRS.findall(question) if found[0] == language]
        written = [_written(value) for value in (truth(title, language), ask(right), ask(wrong))]
        if written != [number, number, other] or number == other:
            wrong_here.append(f"{title}: ledger and queries say {written}, the page says {number}, {other}")
    assert not wrong_here, "\n".join(wrong_here)


def _written(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Collected:
    """What the plugin wrote in all cycles, for either store."""

    def __init__(self, folder: Path) -> None:
        self.samples: List[str] = []
        self.lines: List[str] = []
        collections = []
        for form in ("influx", "prometheus"):
            (folder / form).mkdir()
            text = CONFIG + config_of(MODELS)
            collections.append(Collecting(folder / form, SentCloud(LEDGER, MODELS), text, form))
        for at, after in zip(CYCLES, [*CYCLES[1:], NOW + SCRAPE]):
            lines, text = (_written_at(at, one) for one in collections)
            self.lines += lines
            shown = [line for line in text if line[:1] != "#"]
            self.samples += [f"{line} {moment / 1000:.3f}" for moment in range(at, after, SCRAPE) for line in shown]


def _written_at(at: int, collecting: Collecting) -> List[str]:
    done = collecting.collect(at)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    return Collected(tmp_path_factory.mktemp("queries"))


@pytest.fixture(scope="module")
def prometheus(collected: Collected, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus_over(collected.samples, folder) as url:
        yield url


def test_the_queries_for_prometheus(prometheus: str) -> None:
    def ask(text: str) -> float:
        since = MONTH if "cost" in text else TODAY
        expression = text.replace("$__range", f"{(NOW - since) // 1000}s")
        return one_of([(row["metric"], float(row["value"][1])) for row in rows(prometheus, expression, NOW / 1000)])

    hold("promql", ask)


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
    assert {row["metric"]["service_type"]: float(row["value"][1]) for row in errors} == {
        one: grown("errors", NOW - 3 * HOUR, NOW, service_type=number)
        / grown("requests", NOW - 3 * HOUR, NOW, service_type=number)
        for one, number in SERVICES.items()
    }
    (day,) = found(named_rules["huawei_maas:tokens:day"].replace(">= 150", ">= 0"))
    assert float(day["value"][1]) == sum(
        grown("tokens", NOW - 24 * HOUR, NOW, service_type=one) for one in SERVICES.values()
    )


def test_the_queries_for_influxdb(collected: Collected, tmp_path: Path) -> None:
    with influxdb(tmp_path) as url:
        write(url, "\n".join(collected.lines))

        def ask(text: str) -> float:
            # The database's own clock is not that of the account.
            moved = text.replace("now()", f"{NOW}ms").replace(" WHERE ", f" WHERE time < {NOW}ms AND ")
            answer = [
                (row.get("tags", {}), at, values[0])
                for row in influx_query(url, moved)
                for at, *values in row["values"]
            ]
            hour = NOW // HOUR * HOUR - 4 * HOUR
            return one_of([(tags, value) for tags, at, value in answer if "time(1h)" not in text or at == hour])

        hold("sql", ask)


def test_the_queries_for_datadog_and_the_monitors_that_add_counts_up(
    cloud: Cloud, make_check: Callable[..., Any], aggregator: Any, clock: FixedClock
) -> None:
    cloud.emulator.now, cloud.emulator.ledger, cloud.emulator.models = clock.now, LEDGER, MODELS
    check = make_check(
        cloud.entry(
            hourly=True, backfill_days=1, ranges=list(RANGES), timezone="Asia/Shanghai", service_types=list(SERVICES),
            api_keys=["team-search", ""], per_api_key=True, **entry_of(MODELS),
            min_collection_interval=1800, max_requests_per_minute=190,
        ),
    )  # fmt: skip
    cycles: List[Cycle] = []
    for at in CYCLES:
        clock.at = at / 1000
        aggregator.reset()
        assert not check.run()
        cycles.append(
            Cycle(at / 1000, [point for name in aggregator.metric_names for point in _points(aggregator, name)])
        )

    def ask(text: str) -> float:
        windows = {"rollup": NOW - HOUR, "cost": MONTH, "key_consumed": NOW - 24 * HOUR}
        since = next((begin for part, begin in windows.items() if part in text), TODAY)
        recent = [one for one in cycles if one.at > since / 1000]
        parts = [_answer(part, recent) for part in text.split(" + ")]
        return one_of([({"": group}, sum(part[group] for part in parts)) for group in parts[0]])

    hold("text", ask)
    failed, called = (
        {one: grown(count, NOW - 3 * HOUR, NOW, service_type=SERVICES[one]) for one in SERVICES}
        for count in ("errors", "requests")
    )
    assert any(failed.values())
    assert monitor(query("error_ratio"), cycles) == {
        (REGION, PROJECT_ID, one, "real_time"): failed[one] / called[one] for one in SERVICES
    }
    used = {(REGION, PROJECT_ID): float(of_hours(-(-RANGES["last_7d"] // HOUR) * HOUR, NOW // HOUR * HOUR))}
    assert monitor(query("token_forecast"), cycles[-1:]) == used
    silent = Cycle(NOW / 1000 + 3 * 3600, [])
    assert set(monitor(query("token_forecast"), [*cycles, silent]).values()) <= {None}  # silence is no zero
    for name, begin in (("cost_budget", MONTH), ("cost_forecast", BEGAN)):
        cost_of_all = sum(spent(begin, model) for model in named(MODELS))
        assert monitor(query(name), cycles, MONTH / 1000) == {
            (REGION, PROJECT_ID, CURRENCY): pytest.approx(cost_of_all)
        }


def _points(aggregator: Any, name: str) -> List[Dict[str, Any]]:
    measurement, field = name.replace(".", "_", 1).rsplit(".", 1)
    return [
        {"measurement": measurement, "tags": dict(tag.split(":", 1) for tag in one.tags), "fields": {field: one.value}}
        for one in aggregator.metrics(name)
    ]


def _answer(text: str, cycles: List[Cycle]) -> Dict[str, float]:
    """Answer one query of Datadog: counts over all of the time, a gauge as of its end."""
    how, metric, scope, by, count = re.fullmatch(
        r"(\w+):([\w.]+)\{(.*?)\}(?: by \{(\w+)\})?(\.as_count\(\)(?:\.rollup\(sum, 3600\))?)?", text
    ).groups()  # type: ignore[union-attr]
    key, _, wanted = scope.partition(":")
    found: Dict[str, List[float]] = {}
    for one in cycles if count else cycles[-1:]:
        groups: Dict[str, List[float]] = {}
        for point in one.points:
            fields = {metric_name(point["measurement"], field): value for field, value in point["fields"].items()}
            if metric in fields and (scope == "*" or point["tags"].get(key) == wanted):
                groups.setdefault(point["tags"].get(by, ""), []).append(fields[metric])
        for group, values in groups.items():
            means = {"sum": sum(values), "max": max(values), "avg": sum(values) / len(values)}
            found.setdefault(group, []).append(means[how])
    return {group: sum(values) for group, values in found.items()}
