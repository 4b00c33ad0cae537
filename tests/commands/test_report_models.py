"""`report --by model`, compared with the simulated models of the emulator."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import pytest
from werkzeug import Request, Response

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.report.csv_json import csv_value
from maas_usage_check.commands.report.group_usage import GroupedUsage, GroupUsage
from maas_usage_check.commands.report.line_adder import LineAdder
from maas_usage_check.commands.report.periods import Part
from maas_usage_check.commands.report.usage_report import Group
from maas_usage_check.config.model_prices import PricedTokens
from maas_usage_check.config.prices import Price
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.ledger.known_usage import hour_span

from ..conftest import Cloud, FixedClock, Program
from ..fixed_clock import MONDAY
from ..program import only_line
from .conftest import COUNTS, Report, counts, delete_state, execute_sql, parse_csv, row_cells, table_lines

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = int(MONDAY * 1000)
NOON = NOW // HOUR * HOUR
BY_MODEL = ("--by", "model")
PRICES = {0: ("2.0", "8.0"), 1: ("0.35", "1.25")}
"""Of the first two models of three."""
HOURLY = "hourly: true\nbackfill_days: 3\n"
ALL = "hourly: true\nbackfill_days: 10\n"
"""Cloud Eye has 10 days of hours."""


@pytest.fixture
def report(cloud: Cloud, report: Report, tmp_path: Path) -> Report:
    cloud.emulator.requests_per_minute = 10**6
    report.yaml = f"state_dir: {tmp_path}\nmax_requests_per_minute: 80000\nmodels: true\n"
    return report


@pytest.fixture
def priced(cloud: Cloud, report: Report) -> Report:
    """Report with prices for two models, one by its name and one by its id."""
    first, second, _ = cloud.emulator.models.ids()
    prices = ", ".join(
        f"{name}: {{prompt: {prompt}, completion: {completion}}}"
        for name, (prompt, completion) in zip(("deepseek", second), PRICES.values())
    )
    named = f"model_names: {{{first}: deepseek}}"
    report.yaml += f"hourly: true\n{named}\nprices: {{currency: CNY, models: {{{prices}}}}}\n"
    return report


@pytest.fixture
def collected(report: Report) -> Report:
    """Report on models whose hours of the last 3 days are in the ledger."""
    report.yaml += HOURLY
    collect(report)
    return report


def collect(report: Report) -> None:
    report.collect("--format", "prometheus", "--output", str(report.program.folder / "out"))


def collect_before(report: Report, clock: FixedClock, *days: float) -> None:
    """Collect at each of these numbers of days ago, in order."""
    for ago in days:
        clock.at = MONDAY - ago * 86_400
        collect(report)
    clock.at = MONDAY


def hours_of(row: Dict[str, str]) -> List[int]:
    """Return how many hours of a row are known, of how many."""
    start, end = (int(dt.datetime.fromisoformat(row[name]).timestamp() * 1000) for name in ("start", "end"))
    hours = (end - start) // HOUR
    return [round(float(row["covered_ratio"]) * hours), hours]


def known_hours(row: Dict[str, str]) -> range:
    """List the known hours of a row: the newest, if not all are known."""
    end = int(dt.datetime.fromisoformat(row["end"]).timestamp() * 1000)
    return range(end - hours_of(row)[0] * HOUR, end, HOUR)


def truth(cloud: Cloud, model: str, hours: Sequence[int]) -> List[int]:
    """Add up the hours of the simulated model."""
    values = [cloud.emulator.models.hour(model, None, at, NOW) for at in hours]
    return [sum(getattr(hour, name) for hour in values) for name in COUNTS]


def cost(i: int, counts: Sequence[int]) -> Decimal:
    prompt, completion = map(Decimal, PRICES[i])
    return (prompt * counts[1] + completion * counts[2]) / 1_000_000


def requests_to(cloud: Cloud, path: str) -> List[Request]:
    return [request for request in cloud.requests if path in request.path]


def test_rows(cloud: Cloud, report: Report) -> None:
    """Each model has one row, which its API keys do not split."""
    report.yaml += "tags: [team:a]"
    rows = report.csv(*BY_MODEL, "--last", "7d")
    assert list(rows[0])[-1] == "share"  # no cost without prices
    assert sorted(row["maas_api_id"] for row in rows) == sorted(cloud.emulator.models.ids())
    for row in rows:
        assert (row["start"], row["end"]) == ("2026-11-16T13:00:00+00:00", "2026-11-23T12:00:00+00:00")
        assert hours_of(row) == [167, 167]
        assert counts(row) == truth(cloud, row["maas_api_id"], known_hours(row))
        assert (row["model"], row["region"], row["tags"]) == (row["maas_api_id"], "cn-southwest-2", "team:a")
        assert (row["project_id"], row["period"]) == (PROJECT_ID, "last_7d")
    totals = [int(row["total_tokens"]) for row in rows]
    assert totals == sorted(totals, reverse=True)
    assert [float(row["share"]) for row in rows] == pytest.approx([count / sum(totals) for count in totals])
    assert len(requests_to(cloud, "/metrics")) >= 1
    assert not any(b"maas_key_id" in request.get_data() for request in requests_to(cloud, "/batch-query"))


def test_cost(cloud: Cloud, priced: Report) -> None:
    """Cost is exact in decimals; a model without a price has none."""
    rows = {row["maas_api_id"]: row for row in priced.csv(*BY_MODEL, "--last", "2d")}
    for i, model in enumerate(cloud.emulator.models.ids()):
        row = rows[model]
        assert row["currency"] == "CNY"
        expected = f"{cost(i, truth(cloud, model, known_hours(row))).normalize():f}" if i < 2 else ""
        assert row["cost"] == expected
    assert rows[cloud.emulator.models.ids()[0]]["model"] == "deepseek"
    for record in priced.json(*BY_MODEL, "--last", "2d"):
        row = rows[record["maas_api_id"]]
        assert list(record) == list(row)
        assert record["cost"] == (float(row["cost"]) if row["cost"] else None)
        assert [type(record[name]) for name in (*COUNTS, "share")] == [int] * 5 + [float]


def test_unknown_cost_has_no_total() -> None:
    """Use of times without a price is left out of the total."""
    price, span = Price(Decimal(2), Decimal(8)), hour_span(0)
    priced = {span: [PricedTokens(price, 3, 2, 1)]}
    parts = [
        GroupUsage(Group("a", {}), {span: Usage(3, 2, 1, 1, 0)}, is_priced=True, priced=priced),
        GroupUsage(Group("b", {}), {}),
        GroupUsage(
            Group("c", {}),
            {span: Usage(9, 6, 3, 1, 0)},
            is_priced=True,
            priced={span: [PricedTokens(None, 9, 6, 3)]},
        ),
        GroupUsage(Group("d", {}), {}, is_priced=True),
    ]
    for count, expected in ((2, price.cost(2, 1)), (3, price.cost(2, 1)), (4, None)):
        line = LineAdder(GroupedUsage(parts[:count]), by_hour=False).line(Part("", 0, HOUR))
        assert line.total_cost == expected


@pytest.mark.parametrize(("amount", "written"), [("1E-7", "0.0000001"), ("2E+3", "2000"), ("0", "0")])
def test_cost_without_exponent(amount: str, written: str) -> None:
    assert csv_value(Decimal(amount)) == written


def test_total_and_estimate_of_the_month(cloud: Cloud, priced: Report) -> None:
    done = priced(*BY_MODEL, "--last", "2d")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nPeriod: 2026-11-21 13:00:00 ~ 2026-11-23 12:00:00 (UTC), in whole hours" in done.stdout
    models = cloud.emulator.models.ids()
    used = [truth(cloud, model, range(NOON - 47 * HOUR, NOON, HOUR)) for model in models]
    costs = [cost(i, used[i]) for i in range(2)]
    assert row_cells(done.stdout, "│ deepseek")[-1] == f"{costs[0]:,.2f}"
    assert row_cells(done.stdout, f"│ {models[2]}")[-1] == "-"
    assert row_cells(done.stdout, "│ Total  ")[-1] == f"{sum(costs):,.2f}"
    assert row_cells(done.stdout, "│ Total  ")[3] == f"{sum(each[3] for each in used):,}"
    share = used[2][0] / sum(each[0] for each in used)
    assert f"excludes models without a price: 1 of 3 models, {share:.1%} of the tokens ({models[2]})." in done.stdout
    week = sum(cost(i, truth(cloud, models[i], range(NOON - 168 * HOUR, NOON, HOUR))) for i in range(2))
    assert (
        f"At the rate of the last 7 days, November costs about {week * 30 / 7:,.2f} CNY (estimate, without the model "
        "that has no price)."
    ) in done.stdout.splitlines()


def test_without_prices_and_hours(report: Report) -> None:
    """There is no cost and no estimate, and the last line says what the comparison needs."""
    done = report(*BY_MODEL, "--last", "1d")
    assert done.returncode == 0
    assert not re.search("cost|CNY|estimate", done.stdout, re.IGNORECASE)
    assert row_cells(done.stdout, "│ Model")[-1] == "Share"
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Cloud Eye cannot be compared with the statistics (ShowStatistics): the ledger")
    assert "`hourly: true` and `service_types: [preset, my_service]`" in last


def test_no_estimate(cloud: Cloud, priced: Report) -> None:
    """There is no estimate until the hours of the last week are known."""
    priced.yaml += "backfill_days: 3"
    collect(priced)
    cloud.emulator.denied_permissions.add("ces:metricData:list")
    done = priced(*BY_MODEL, "--yesterday")
    assert re.search("^No estimate for November: 72 of the last 168 hours are known", done.stdout, re.M)
    assert "costs about" not in done.stdout


def test_cloud_eye_has_ten_days(cloud: Cloud, report: Report) -> None:
    """The report says how many hours of a longer range are known."""
    for row in report.csv(*BY_MODEL, "--last", "20d"):
        assert hours_of(row) == [239, 479]
        assert counts(row) == truth(cloud, row["maas_api_id"], known_hours(row))
    shown = report(*BY_MODEL, "--last", "20d").stdout
    assert "\ncovered 49.8 %: 2026-11-03 13:00 to 2026-11-13 13:00 not known\n" in shown
    assert "Cloud Eye has the last 10 days" in shown
    for request in requests_to(cloud, "/batch-query"):
        body = json.loads(request.get_data())
        assert body["from"] > NOW - 240 * HOUR
        assert len(body["metrics"]) * (body["to"] + 1 - body["from"]) // HOUR < 3000


def test_older_hours_from_ledger(cloud: Cloud, clock: FixedClock, report: Report) -> None:
    """The ledger has the hours that Cloud Eye no longer has."""
    report.yaml += ALL
    cloud.emulator.models = SimulatedModels(1, 0)
    collect_before(report, clock, 21, 14, 5, 0)
    done = report(*BY_MODEL, "--last", "20d", "--format", "csv")
    assert (done.returncode, done.stderr, cloud.requests) == (0, "", [])
    for row in parse_csv(done.stdout):
        assert hours_of(row) == [479, 479]
        assert counts(row) == truth(cloud, row["maas_api_id"], known_hours(row))
    text = report(*BY_MODEL, "--last", "20d").stdout
    assert "hours are known" not in text
    assert "are missing" not in text


def test_model_last_listed_weeks_ago(cloud: Cloud, clock: FixedClock, program: Program, report: Report) -> None:
    report.yaml += ALL
    gone = cloud.emulator.models.ids()[1]
    cloud.emulator.models = SimulatedModels(2, 0, busy=lambda model, at: model != gone or at < NOON - 16 * DAY)
    collect_before(report, clock, 16, 14.5, 6)
    done = program("collect", "--config", report.config(), "--format", "prometheus")
    assert done.returncode == 0, done.stderr
    assert requests_to(cloud, "/batch-query")
    assert not any(gone.encode() in request.get_data() for request in requests_to(cloud, "/batch-query"))
    rows = report.csv(*BY_MODEL, "--from", "2026-11-01", "--to", "2026-11-21")
    (row,) = [row for row in rows if row["maas_api_id"] == gone]
    assert hours_of(row) == [480, 480]
    assert counts(row) == truth(cloud, gone, known_hours(row)) != [0] * 5


def test_new_model(cloud: Cloud, clock: FixedClock, report: Report) -> None:
    """A new model had no use before it appeared."""
    new = cloud.emulator.models.ids()[1]
    cloud.emulator.models = SimulatedModels(1, 0)
    report.yaml += ALL
    collect_before(report, clock, 12, 5, 1)
    cloud.emulator.models = SimulatedModels(2, 0)
    (row,) = [row for row in report.csv(*BY_MODEL, "--last", "20d") if row["maas_api_id"] == new]
    assert row["covered_ratio"] == "1.0"
    assert counts(row) == truth(cloud, new, known_hours(row)[-239:])


def test_model_no_longer_listed(cloud: Cloud, collected: Report, tmp_path: Path) -> None:
    gone = cloud.emulator.models.ids()[0]
    cloud.emulator.models = SimulatedModels(busy=lambda model, at: model != gone or at < NOW - 5 * HOUR)
    rows = {row["maas_api_id"]: row for row in collected.csv(*BY_MODEL, "--last", "2d")}
    assert int(rows[gone]["total_tokens"]) > 0
    delete_state(tmp_path)
    done = collected(*BY_MODEL, "--last", "2d")
    assert gone not in done.stdout
    assert re.search(r"^Models last called before [\d: -]+ are missing: Cloud Eye lists", done.stdout, re.M)


def test_failed_model(cloud: Cloud, priced: Report) -> None:
    """A model whose query failed is not a zero, and there is no total."""
    failed = sorted(cloud.emulator.models.ids())[-1]

    def refuse(request: Request) -> Optional[Response]:
        return Response(b"{}", 400) if failed.encode() in request.get_data() else None

    cloud.responder = refuse
    done = priced(*BY_MODEL, "--last", "10d")
    assert done.returncode == 0
    assert done.stderr.startswith("W! cn-southwest-2: Cloud Eye: the cloud rejected the request")
    name = "deepseek" if failed == cloud.emulator.models.ids()[0] else failed
    assert row_cells(done.stdout, f"│ {name}") == ["-"] * 7
    assert row_cells(done.stdout, "│ Total  ")[:6] == ["-"] * 6
    rows = {row["maas_api_id"]: row for row in priced.csv(*BY_MODEL, "--last", "10d")}
    assert [rows[failed][column] for column in (*COUNTS, "share", "cost")] == [""] * 7
    assert "some hours of the models are missing" in done.stdout


@pytest.mark.parametrize("permission", ["ces:metrics:list", "ces:metricData:list"])
def test_missing_permission(cloud: Cloud, report: Report, permission: str) -> None:
    """The error names the missing permission."""
    cloud.emulator.denied_permissions.add(permission)
    start = f"E! cn-southwest-2: Cloud Eye: the key's user lacks a permission: allow `{permission}` in an IAM policy"
    assert only_line(report(*BY_MODEL, "--last", "2d"), 1).startswith(start)


def test_ledger_without_cloud_eye(cloud: Cloud, collected: Report, tmp_path: Path) -> None:
    """The hours of the ledger are shown while Cloud Eye refuses."""
    missing = NOON - 20 * HOUR
    assert execute_sql(tmp_path, "DELETE FROM hours WHERE start = ?", missing) > 3
    cloud.emulator.denied_permissions |= {"ces:metrics:list", "ces:metricData:list"}
    done = collected(*BY_MODEL, "--last", "2d", "--format", "csv")
    assert (done.returncode, done.stderr[:3]) == (0, "W! ")
    known = [at for at in range(NOON - 47 * HOUR, NOON, HOUR) if at != missing]
    for row in parse_csv(done.stdout):
        assert hours_of(row) == [46, 47]
        assert counts(row) == truth(cloud, row["maas_api_id"], known)
    assert collected(*BY_MODEL, "--last", "1d", HW_ACCESS_KEY=None).returncode == 1


def test_bad_metric(cloud: Cloud, report: Report) -> None:
    """A metric that is not as documented is not a zero."""

    def break_metric(request: Request) -> Optional[Response]:
        if not request.path.endswith("/batch-query-metric-data"):
            return None
        answer = cloud.emulator.answer(request.method, request.path, dict(request.headers), request.get_data())
        return Response(answer.body.replace(b'"metric_name": ', b'"metric_name": 1, "name": ', 1))

    cloud.responder = break_metric
    done = report(*BY_MODEL, "--last", "1d", "--format", "csv")
    assert done.returncode == 0
    assert "a metric is not as documented" in done.stderr
    assert sorted(row["total_tokens"] == "" for row in parse_csv(done.stdout)) == [False, False, True]


def test_no_models(cloud: Cloud, report: Report) -> None:
    """Without models the table is empty."""
    cloud.emulator.models = SimulatedModels(models=0)
    done = report(*BY_MODEL, "--last", "1d")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Cloud Eye lists no model" in done.stdout
    document = report.document(*BY_MODEL, "--last", "1d")
    assert (document["rows"], document["covered_ratio"], set(document["total"].values())) == ([], 0.0, {None})


def statistics(cloud: Cloud, service_type: int, hours: range) -> int:
    body = {"service_type": service_type, "start_time": hours.start, "end_time": hours.stop}
    return round(cloud.emulator.usage.totals(body, NOW)["total_token"] * 1000)


@pytest.mark.parametrize(
    ("types", "kinds", "words"),
    [
        ("[my_service, preset]", (1, 2), "preset and my service."),
        ("[preset]", (2,), "preset alone; it also counts my service, missing from the ledger of hours"),
        ("[my_service]", (1,), "my service alone; it also counts preset, missing from the ledger of hours"),
    ],
)
def test_comparison(cloud: Cloud, report: Report, types: str, kinds: Sequence[int], words: str) -> None:
    """The last line compares Cloud Eye with the statistics."""
    report.yaml += f"{HOURLY}service_types: {types}"
    collect(report)
    last = report(*BY_MODEL, "--from", "2026-11-21", "--to", "2026-11-22").stdout.splitlines()[-1]
    hours = range(NOON - 60 * HOUR, NOON - 36 * HOUR, HOUR)
    expected = sum(truth(cloud, model, hours)[0] for model in cloud.emulator.models.ids())
    statistics_total = sum(statistics(cloud, kind, hours) for kind in kinds)
    percent, number, rest = re.findall(r"^Cloud Eye counts ([\d.]+) % of the .* same (\d+) hours of (.*)$", last)[0]
    assert percent == f"{Decimal(100 * expected) / statistics_total:.1f}"
    assert (percent == "100.0") == (len(kinds) == 2)
    assert (number, rest[: len(words)]) == ("24", words)


@pytest.mark.parametrize("columns", [80, 70])
def test_narrow_terminal(cloud: Cloud, priced: Report, columns: int) -> None:
    """A narrow terminal shows every digit."""
    plain = priced(*BY_MODEL, "--yesterday").stdout
    lines = table_lines(priced.on_terminal(columns, *BY_MODEL, "--yesterday"), columns)
    for model in ("deepseek", "Total  ", *cloud.emulator.models.ids()[1:]):
        for cell in row_cells(plain, f"│ {model}"):
            assert any(cell in line for line in lines)


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        ("--last 1d --service-type 1", 2, "--service-type: cannot be combined with --by model"),
        ("--last 1d --infer-type batch", 2, "--infer-type: cannot be combined with --by model"),
        ("--last 1d --api-keys a", 2, "--api-keys: cannot be combined with --by model"),
        ("--last 1d --raw", 2, "--raw: cannot be combined with --by model"),
        ("--last 1h", 1, "cn-southwest-2: Cloud Eye: last_1h contains no complete UTC hour"),
        (
            "--from 2026-11-03 --to 2026-11-08", 1,
            "cn-southwest-2: Cloud Eye: no hour of 2026-11-03..2026-11-08 is known: Cloud Eye has the last 10 days",
        ),
    ],
)  # fmt: skip
def test_wrong_options(cloud: Cloud, report: Report, typed: str, code: int, words: str) -> None:
    assert only_line(report(*BY_MODEL, *typed.split()), code).startswith(f"E! {words}")
    assert code == 1 or not cloud.requests


def test_instances_of_a_file(cloud: Cloud, program: Program) -> None:
    """Only the instances with `models` are shown, or all if none has it."""
    hosts = ", ".join(f"{name}: {cloud.url}" for name in ("endpoint", "iam_endpoint", "cloud_eye_endpoint"))
    for models, shown in (("models: true, ", ["n:1"]), ("", ["n:1", "n:2"])):
        config = program.config(f"instances:\n  - {{{hosts}, {models}tags: ['n:1']}}\n  - {{{hosts}, tags: ['n:2']}}\n")
        done = program("report", "--config", config, *BY_MODEL, "--last", "1d", "--format", "json")
        assert sorted({row["tags"] for row in json.loads(done.stdout)["rows"]}) == shown


@pytest.mark.parametrize(("size", "number"), [("--daily", 3), ("--hourly", 47)])
def test_models_by_day_and_hour(cloud: Cloud, priced: Report, size: str, number: int) -> None:
    """Each model has a row per day or hour, with its cost; the rows add up to the total."""
    document = priced.document(*BY_MODEL, "--last", "2d", size)
    assert len(document["rows"]) == 3 * number
    for row in document["rows"]:
        assert counts(row) == truth(cloud, row["maas_api_id"], known_hours(row))
        assert (row["cost"] is None) is (row["maas_api_id"] == cloud.emulator.models.ids()[2])
    assert counts(document["total"]) == [sum(column) for column in zip(*map(counts, document["rows"]))]
    costs = [row["cost"] for row in document["rows"] if row["cost"] is not None]
    assert document["total"]["cost"] == pytest.approx(sum(costs))
    shown = priced(*BY_MODEL, "--last", "2d", size).stdout
    assert row_cells(shown, f"│ {size[2:-2].replace('dai', 'day').capitalize()}")[-4:-3] == ["Total"]
    assert row_cells(shown, "│ Total  ")[-3] == f"{document['total']['requests']:,}"


def test_part_of_a_month(cloud: Cloud, report: Report) -> None:
    """What is covered only in part says so."""
    shown = report(*BY_MODEL, "--this-month").stdout
    hours = (NOON - int(dt.datetime(2026, 11, 1, tzinfo=dt.timezone.utc).timestamp() * 1000)) // HOUR
    assert f"│ Total (239 of {hours} h) " in shown
    document = report.document(*BY_MODEL, "--this-month")
    assert document["covered_ratio"] == document["rows"][0]["covered_ratio"] == pytest.approx(239 / hours)


def test_ledger_keeps_the_hours(cloud: Cloud, clock: FixedClock, report: Report) -> None:
    """The next report queries nothing. No counter begins with a report, but with the first cycle after it."""
    assert report(*BY_MODEL, "--last", "5d").returncode == 0
    cloud.requests.clear()
    assert report(*BY_MODEL, "--last", "5d", "--daily").returncode == 0
    assert cloud.requests == []
    report.yaml += HOURLY
    clock.at += 5 * 3600
    done = report.program("collect", "--config", report.config(), "--format", "prometheus")
    counters = re.findall(r"^huawei_maas_model_consumed_tokens_total\{.*\} (\d+)", done.stdout, re.MULTILINE)
    assert counters == ["0"] * 3


def test_list_is_not_needed(cloud: Cloud, clock: FixedClock, collected: Report) -> None:
    """A list that was read after the window names all of its models, however old it is."""
    clock.at += 2 * 3600
    assert collected(*BY_MODEL, "--from", "2026-11-21", "--to", "2026-11-22").returncode == 0
    assert cloud.requests == []
    assert collected(*BY_MODEL, "--last", "1d").returncode == 0
    assert requests_to(cloud, "/metrics")


def test_unwritable_state(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    (tmp_path / "maas-usage-check.sqlite3").write_text("no database " * 500)
    done = report(*BY_MODEL, "--last", "2d", "--format", "csv")
    assert done.returncode == 0
    assert "This report stores its hours for itself alone" in done.stderr
    for row in parse_csv(done.stdout):
        assert counts(row) == truth(cloud, row["maas_api_id"], known_hours(row))


def test_report_during_a_backfill(report: Report, cloud: Cloud, tmp_path: Path) -> None:
    """The backfill has used up the background half of the rate limit: the report waits a minute, and says so."""
    report.yaml = f"state_dir: {tmp_path}\nmax_requests_per_minute: 20\nhourly: true\nproject_id: {PROJECT_ID}\n"
    report.program("collect", "--config", report.config())
    done = report("--last", "1d", *BY_MODEL, "--format", "csv")
    wait = "W! rate limit: waiting 61 s, max_requests_per_minute (20) is used up\n"
    assert (done.returncode, done.stderr) == (0, wait)
    rows = parse_csv(done.stdout)
    assert rows
    assert all(row["covered_ratio"] == "1.0" for row in rows)
