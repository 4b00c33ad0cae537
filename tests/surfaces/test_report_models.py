"""What `report --models` shows, held against the emulator's own books of its models."""

from __future__ import annotations

import calendar
import csv
import datetime as dt
import io
import json
import re
import sqlite3
import sys
import time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import pytest
from werkzeug import Request, Response

from maas_usage_check.cloud.cloud_eye import HOURLY_METRICS, Dimensions
from maas_usage_check.cloud.usage import Usage
from maas_usage_check.config.prices import Price
from maas_usage_check.history.ledger import Ledger
from maas_usage_check.history.models import ModelList
from maas_usage_check.history.models.remembered import Listed
from maas_usage_check.history.models.series import SETTLES, ledger_name
from maas_usage_check.history.tables import open_book
from maas_usage_check.standin.emulator import PROJECT_ID
from maas_usage_check.standin.models import Models
from maas_usage_check.store import Store, find_file
from maas_usage_check.surfaces.report.files import encode
from maas_usage_check.surfaces.report.models import ModelRow, cost_of

from ..conftest import Cloud, Program
from .test_report import cells, on_a_terminal
from .test_report_ledger import history, state


HOUR = 3_600_000
DAY = 24 * HOUR
COUNTS = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
PRICES = {0: ("2.0", "8.0"), 1: ("0.35", "1.25")}
"""Of the first two models of three."""


def written(cloud: Cloud, program: Program, tmp_path: Path, more: str = "") -> str:
    cloud.emulator.requests_per_minute = 10**6
    keys = f"timezone: UTC\nstate_dir: {tmp_path}\nmax_requests_per_minute: 80000\nmodels: true\n"
    return program.for_cloud(cloud, keys + more)


def priced(cloud: Cloud) -> str:
    """Write the prices of two models, one by its name and one by its id."""
    first, second, _ = cloud.emulator.models.ids()
    named = {first: "deepseek", second: second}
    prices = {named[model]: PRICES[i] for i, model in enumerate((first, second))}
    lines = [f"{name}: {{prompt: {prompt}, completion: {completion}}}" for name, (prompt, completion) in prices.items()]
    return (
        f"hourly: true\nmodel_names: {{{first}: deepseek}}\nprices: {{currency: CNY, models: {{{', '.join(lines)}}}}}\n"
    )


def collected(cloud: Cloud, program: Program, config: str) -> None:
    done = program("collect", "--config", config, "--format", "prometheus", "--output", str(program.folder / "out"))
    assert done.returncode == 0, done.stderr
    cloud.seen.clear()


def table(text: str) -> List[Dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def hours_of(row: Dict[str, str]) -> range:
    """List the hours of a row that are known: the newest, where not all are."""
    end = int(dt.datetime.fromisoformat(row["end"]).timestamp() * 1000)
    return range(end - int(row["known_hours"]) * HOUR, end, HOUR)


def truth(cloud: Cloud, model: str, hours: Sequence[int]) -> List[int]:
    """Ask the emulator's own books of models."""
    now = int(time.time() * 1000)
    said = [cloud.emulator.models.hour(model, None, at, now) for at in hours]
    return [sum(getattr(hour, name) for hour in said) for name in COUNTS]


def cost(i: int, counts: Sequence[int]) -> Decimal:
    prompt, completion = map(Decimal, PRICES[i])
    return (prompt * counts[1] + completion * counts[2]) / 1_000_000


def asked(cloud: Cloud, words: str) -> List[Request]:
    return [request for request in cloud.seen if words in request.path]


def test_each_model_has_a_row_with_what_cloud_eye_says_and_its_keys_are_not_added(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    config = written(cloud, program, tmp_path, "tags: [team:a]")
    done = program("report", "--config", config, "--models", "--last", "7d", "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    rows = table(done.stdout)
    assert list(rows[0])[-1] == "share"  # no cost without prices
    assert sorted(row["maas_api_id"] for row in rows) == sorted(cloud.emulator.models.ids())
    for row in rows:
        hours = hours_of(row)
        assert dt.datetime.fromisoformat(row["start"]).timestamp() * 1000 == hours.start
        assert row["hours"] == row["known_hours"] in ("166", "167", "168")
        assert [int(row[name]) for name in COUNTS] == truth(cloud, row["maas_api_id"], hours)
        assert (row["model"], row["region"], row["tags"]) == (row["maas_api_id"], "cn-southwest-2", "team:a")
        assert (row["project_id"], row["range"]) == (PROJECT_ID, "last_7d")
    totals = [int(row["total_tokens"]) for row in rows]
    assert totals == sorted(totals, reverse=True)
    assert [float(row["share"]) for row in rows] == pytest.approx([count / sum(totals) for count in totals])
    assert len(asked(cloud, "/metrics")) >= 1
    assert not any(b"maas_key_id" in request.get_data() for request in asked(cloud, "/batch-query"))


def test_cost_is_exact_in_decimals_and_a_model_without_a_price_has_none(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    config = written(cloud, program, tmp_path, priced(cloud))
    arguments = ("report", "--config", config, "--models", "--last", "2d", "--format")
    rows = {row["maas_api_id"]: row for row in table(program(*arguments, "csv").stdout)}
    for i, model in enumerate(cloud.emulator.models.ids()):
        row = rows[model]
        assert row["currency"] == "CNY"
        expected = f"{cost(i, truth(cloud, model, hours_of(row))).normalize():f}" if i < 2 else ""
        assert row["cost"] == expected
    assert rows[cloud.emulator.models.ids()[0]]["model"] == "deepseek"
    for record in json.loads(program(*arguments, "json").stdout):
        row = rows[record["maas_api_id"]]
        assert list(record) == list(row)
        assert record["cost"] == (float(row["cost"]) if row["cost"] else None)
        assert [type(record[name]) for name in (*COUNTS, "share")] == [int] * 5 + [float]


def test_of_costs_of_which_one_is_not_known_there_is_no_total() -> None:
    price = Price(Decimal(2), Decimal(8))
    known = ModelRow("a", "a", Usage(total_tokens=3, prompt_tokens=2, completion_tokens=1, requests=1, errors=0), price)
    assert cost_of([known, ModelRow("b", "b", None, None)]) == known.cost
    assert cost_of([known, ModelRow("b", "b", None, price)]) is None


@pytest.mark.parametrize(("amount", "written"), [("1E-7", "0.0000001"), ("2E+3", "2000"), ("0", "0")])
def test_a_cost_is_written_without_an_exponent(amount: str, written: str) -> None:
    assert encode("csv", [{"cost": Decimal(amount)}], ["cost"]) == f"cost\n{written}\n"


def test_the_total_says_what_it_leaves_out_and_the_month_is_estimated_at_the_rate_of_the_last_week(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    config = written(cloud, program, tmp_path, priced(cloud))
    before = dt.datetime.now(dt.timezone.utc)
    done = program("report", "--config", config, "--models", "--last", "2d")
    assert (done.returncode, done.stderr) == (0, "")
    models = cloud.emulator.models.ids()
    (since, until) = re.findall(r"^Period: (.+?) ~ (.+?) \(UTC\), in whole hours", done.stdout, re.MULTILINE)[0]
    start, end = (
        int(dt.datetime.fromisoformat(at).replace(tzinfo=dt.timezone.utc).timestamp() * 1000) for at in (since, until)
    )
    counts = [truth(cloud, model, range(start, end, HOUR)) for model in models]
    costs = [cost(i, counts[i]) for i in range(2)]
    assert cells(done.stdout, "│ deepseek")[-1] == f"{costs[0]:,.2f}"
    assert cells(done.stdout, f"│ {models[2]}")[-1] == "-"
    assert cells(done.stdout, "│ Total  ")[-1] == f"{sum(costs):,.2f}"
    assert cells(done.stdout, "│ Total  ")[3] == f"{sum(each[3] for each in counts):,}"
    share = counts[2][0] / sum(each[0] for each in counts)
    assert f"leaves out what has no price: 1 of 3 models, {share:.1%} of the tokens ({models[2]})." in done.stdout
    week = [cost(i, truth(cloud, models[i], range(end - 168 * HOUR, end, HOUR))) for i in range(2)]
    lengths = {
        f"{at:%B}": calendar.monthrange(at.year, at.month)[1] * 24 for at in (before, dt.datetime.now(dt.timezone.utc))
    }
    name, said = re.findall(
        r"^At the rate of the last 7 days, (\w+) costs about ([\d,.]+) CNY \(estimate, without the model that has no "
        r"price\)\.$",
        done.stdout,
        re.MULTILINE,
    )[0]
    assert said == f"{sum(week) * lengths[name] / 168:,.2f}"


def test_without_prices_there_is_no_cost_and_no_estimate(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    done = program("report", "--config", written(cloud, program, tmp_path), "--models", "--last", "1d")
    assert done.returncode == 0
    assert not re.search("cost|CNY|estimate", done.stdout, re.IGNORECASE)
    assert cells(done.stdout, "│ Model")[-1] == "Share"


def test_the_estimate_is_left_out_while_the_last_week_is_not_known(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    config = written(cloud, program, tmp_path, priced(cloud) + "backfill_days: 3")
    cloud.always = lambda request: Response(b"{}", 400) if long_window(request) else None
    collected(cloud, program, config)  # of the last 26 hours alone
    done = program("report", "--config", config, "--models", "--yesterday")
    assert re.search(r"^What \w+ will cost is not estimated: [12]\d of the last 168 hours are known", done.stdout, re.M)
    assert "costs about" not in done.stdout


def long_window(request: Request) -> bool:
    if not request.path.endswith("/batch-query-metric-data"):
        return False
    body = json.loads(request.get_data())
    return bool(body["period"] == "3600" and body["to"] - body["from"] > 30 * HOUR)


def test_cloud_eye_tells_ten_days_and_the_report_says_how_many_hours_that_is(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    config = written(cloud, program, tmp_path)
    arguments = ("report", "--config", config, "--models", "--last", "20d")
    rows = table(program(*arguments, "--format", "csv").stdout)
    for row in rows:
        assert row["hours"] in ("478", "479", "480")
        assert row["known_hours"] in ("238", "239")
        assert [int(row[name]) for name in COUNTS] == truth(cloud, row["maas_api_id"], hours_of(row))
    done = program(*arguments)
    assert re.search(
        r"^23[89] of 4(7[89]|80) hours are known, and counted: Cloud Eye tells those of the", done.stdout, re.M
    )
    for request in asked(cloud, "/batch-query"):
        body = json.loads(request.get_data())
        assert body["from"] > time.time() * 1000 - 240 * HOUR
        assert len(body["metrics"]) * (body["to"] + 1 - body["from"]) // HOUR < 3000


def in_the_ledger(cloud: Cloud, tmp_path: Path, days: int, seen: Optional[Dict[str, int]] = None) -> None:
    """Write a ledger that was collected for so many days; `seen` says how many hours ago a model was last listed."""
    now = int(time.time() * 1000)
    store, end = Store(partial(find_file, str(tmp_path))), now // HOUR * HOUR
    with store.entry(ModelList, f"{cloud.url} {PROJECT_ID}") as models:
        ago = {model: now - hours * HOUR for model, hours in (seen or {}).items()}
        models.read = max([ago.get(each, now) for each in cloud.emulator.models.ids()])
        models.models = [
            Listed(Dimensions(each), list(HOURLY_METRICS), end - days * DAY, ago.get(each, now))
            for each in cloud.emulator.models.ids()
        ]
    with open_book(store, now) as book:
        for model in cloud.emulator.models.ids():
            ledger = Ledger(book, ledger_name(cloud.url, PROJECT_ID, Dimensions(model)), SETTLES)
            # Of a model that is listed no more the hours end.
            hours = range(end - days * DAY, min(end, end - (seen or {}).get(model, 0) * HOUR + 5 * DAY), HOUR)
            ledger.put_each([(at, tuple(cloud.emulator.models.hour(model, None, at, now))) for at in hours])
        book.run(
            "INSERT INTO notes VALUES ('Began', ?, ?)",
            (f"{cloud.url} {PROJECT_ID}", f'{{"at": {end - days * DAY}}}'),
        )
    store.close()


def test_the_hours_before_those_ten_days_are_the_ledgers(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    config = written(cloud, program, tmp_path, f"project_id: {PROJECT_ID}")
    in_the_ledger(cloud, tmp_path, days=25)
    done = program("report", "--config", config, "--models", "--last", "20d", "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    for row in table(done.stdout):
        assert row["hours"] == row["known_hours"] in ("478", "479", "480")
        assert [int(row[name]) for name in COUNTS] == truth(cloud, row["maas_api_id"], hours_of(row))
    assert len(cloud.seen) <= 1  # the hour that is not final yet
    text = program("report", "--config", config, "--models", "--last", "20d").stdout
    assert "hours are known" not in text
    assert "is not there" not in text


def test_a_model_that_was_last_listed_weeks_ago_is_counted_and_no_more_asked(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    config = written(cloud, program, tmp_path, f"hourly: true\nbackfill_days: 1\nproject_id: {PROJECT_ID}")
    gone = cloud.emulator.models.ids()[2]
    in_the_ledger(cloud, tmp_path, days=25, seen={**dict.fromkeys(cloud.emulator.models.ids(), 2), gone: 20 * 24})
    before, cloud.emulator.models = cloud.emulator.models, Models(models=2)
    done = program("collect", "--config", config, "--format", "prometheus")
    assert done.returncode == 0, done.stderr
    assert asked(cloud, "/batch-query")
    assert not any(gone.encode() in request.get_data() for request in asked(cloud, "/batch-query"))
    first, last = (dt.datetime.now(dt.timezone.utc).date() - dt.timedelta(days=days) for days in (22, 2))
    span = ("--from", str(first), "--to", str(last), "--format", "csv")
    done = program("report", "--config", config, "--models", *span)
    (row,) = [row for row in table(done.stdout) if row["maas_api_id"] == gone]
    assert row["hours"] == row["known_hours"] == "480"
    cloud.emulator.models = before
    until = int(time.time() * 1000) // HOUR * HOUR - 15 * DAY
    assert [int(row[name]) for name in COUNTS] == truth(cloud, gone, [at for at in hours_of(row) if at < until])


def test_a_model_that_is_new_used_nothing_before_the_hours_that_are_asked_of_it(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    config = written(cloud, program, tmp_path, f"project_id: {PROJECT_ID}")
    new = cloud.emulator.models.ids()[2]
    cloud.emulator.models = Models(models=2)
    in_the_ledger(cloud, tmp_path, days=25, seen=dict.fromkeys(cloud.emulator.models.ids(), 2))
    cloud.emulator.models = Models()
    done = program("report", "--config", config, "--models", "--last", "20d", "--format", "csv")
    assert done.returncode == 0
    (row,) = [row for row in table(done.stdout) if row["maas_api_id"] == new]
    assert row["hours"] == row["known_hours"]
    told = [truth(cloud, new, hours_of(row)[-hours:]) for hours in (238, 239)]
    assert [int(row[name]) for name in COUNTS] in told


def test_hours_that_are_all_final_in_the_ledger_are_not_asked(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    config = written(cloud, program, tmp_path, "hourly: true\nbackfill_days: 4")
    collected(cloud, program, config)
    day = dt.datetime.now(dt.timezone.utc).date() - dt.timedelta(days=3)
    span = ("--from", str(day), "--to", str(day + dt.timedelta(days=2)))
    done = program("report", "--config", config, "--models", *span, "--format", "csv")
    assert (done.returncode, done.stderr, cloud.seen) == (0, "", [])
    for row in table(done.stdout):
        assert row["hours"] == row["known_hours"] == "48"
        assert [int(row[name]) for name in COUNTS] == truth(cloud, row["maas_api_id"], hours_of(row))


def test_a_model_that_is_listed_no_more_is_there_as_long_as_its_ledger_and_else_said_to_be_missing(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    gone = cloud.emulator.models.ids()[0]
    since = int(time.time() * 1000) - 5 * HOUR
    quiet = lambda model, at: model != gone or at < since  # noqa: E731 - as the emulator takes it
    config = written(cloud, program, tmp_path, "hourly: true\nbackfill_days: 3")
    arguments = ("report", "--config", config, "--models", "--last", "2d")
    collected(cloud, program, config)
    cloud.emulator.models = Models(busy=quiet)
    rows = {row["maas_api_id"]: row for row in table(program(*arguments, "--format", "csv").stdout)}
    assert int(rows[gone]["total_tokens"]) > 0
    for path in tmp_path.glob("*.sqlite3*"):
        path.unlink()
    done = program(*arguments)
    assert gone not in done.stdout
    assert re.search(r"^A model that was last called before [\d: -]+ is not there: Cloud Eye lists", done.stdout, re.M)


def test_a_model_that_is_not_answered_is_unknown_and_no_zero_and_gives_no_total(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    lost = sorted(cloud.emulator.models.ids())[-1]

    def refuse(request: Request) -> Optional[Response]:
        return Response(b"{}", 400) if lost.encode() in request.get_data() else None

    cloud.always = refuse
    arguments = ("report", "--config", written(cloud, program, tmp_path, priced(cloud)), "--models", "--last", "10d")
    done = program(*arguments)
    assert done.returncode == 0
    assert done.stderr.startswith("W! cn-southwest-2: Cloud Eye: the cloud rejected the request")
    name = "deepseek" if lost == cloud.emulator.models.ids()[0] else lost
    assert cells(done.stdout, f"│ {name}") == ["-"] * 7
    assert cells(done.stdout, "│ Total  ")[:6] == ["-"] * 6
    rows = {row["maas_api_id"]: row for row in table(program(*arguments, "--format", "csv").stdout)}
    assert [rows[lost][column] for column in (*COUNTS, "share", "cost")] == [""] * 7
    assert "the hours of its models are not all known" in done.stdout


@pytest.mark.parametrize("permission", ["ces:metrics:list", "ces:metricData:list"])
def test_a_permission_that_is_missing_is_named(cloud: Cloud, program: Program, tmp_path: Path, permission: str) -> None:
    cloud.emulator.refused.add(permission)
    config = written(cloud, program, tmp_path)
    done = program("report", "--config", config, "--models", "--last", "2d")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    start = "E! cn-southwest-2: Cloud Eye: the key's user lacks a permission: allow"
    assert done.stderr.startswith(f"{start} `{permission}` in an IAM policy")


def test_what_the_ledger_holds_is_shown_while_the_cloud_refuses_the_rest(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    config = written(cloud, program, tmp_path, "hourly: true\nbackfill_days: 3")
    collected(cloud, program, config)
    missing = int(time.time() * 1000) // HOUR * HOUR - 20 * HOUR
    with sqlite3.connect(state(tmp_path)) as connection:
        assert connection.execute("DELETE FROM hours WHERE start = ?", (missing,)).rowcount > 3
    cloud.emulator.refused |= {"ces:metrics:list", "ces:metricData:list"}
    done = program("report", "--config", config, "--models", "--last", "2d", "--format", "csv")
    assert (done.returncode, done.stderr[:3]) == (0, "W! ")
    for row in table(done.stdout):
        assert int(row["hours"]) - int(row["known_hours"]) in (1, 2)  # the newest may not be final yet
        hours = list(range(hours_of(row).stop - int(row["hours"]) * HOUR, hours_of(row).stop, HOUR))
        known = [at for at in hours if at != missing][: int(row["known_hours"])]
        assert [int(row[name]) for name in COUNTS] == truth(cloud, row["maas_api_id"], known)
    assert program("report", "--config", config, "--models", "--last", "1d", HW_ACCESS_KEY=None).returncode == 1


def named(metrics: bytes) -> bytes:
    return b'{"metrics": [%s], "meta_data": {"count": 1, "total": 1, "marker": ""}}' % metrics


@pytest.mark.parametrize("part", ["/metrics", "/batch-query-metric-data"])
@pytest.mark.parametrize(
    "body",
    [
        b"<html>\xff",
        b'{"metrics": 1}',
        named(b"1"),
        named(b'{"metric_name": "\xff", "dimensions": [], "datapoints": []}'),
        b'{"metrics":' + b"[" * 100_000,
    ],
)
def test_an_answer_that_is_none_is_one_line_and_never_a_zero(
    cloud: Cloud, program: Program, tmp_path: Path, part: str, body: bytes
) -> None:
    cloud.always = lambda request: Response(body) if request.path.endswith(part) else None
    done = program("report", "--config", written(cloud, program, tmp_path), "--models", "--last", "1d")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("E! cn-southwest-2: Cloud Eye: the cloud's answer was not believed")
    assert "Traceback" not in done.stderr
    assert "please report it" not in done.stderr


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"metric_name": 1}, "a metric is not as documented"),
        ({"dimensions": []}, "was not asked for, or comes twice"),
        ({"datapoints": [{"timestamp": 0, "sum": 1e300}]}, "has a value that is none"),
    ],
)
def test_a_metric_that_cannot_be_read_is_not_a_metric_without_values(
    cloud: Cloud, program: Program, tmp_path: Path, changed: Dict[str, Any], words: str
) -> None:
    def spoiled(request: Request) -> Optional[Response]:
        if not request.path.endswith("/batch-query-metric-data"):
            return None
        answer = cloud.emulator.answer(
            request.method, request.full_path.rstrip("?"), dict(request.headers), request.get_data()
        )
        metrics = json.loads(answer.body)["metrics"]
        metrics[0].update(changed)
        return Response(json.dumps({"metrics": metrics}))

    cloud.always = spoiled
    done = program(
        "report", "--config", written(cloud, program, tmp_path), "--models", "--last", "1d", "--format", "csv"
    )
    assert done.returncode == 0
    assert words in done.stderr
    assert sorted(row["total_tokens"] == "" for row in table(done.stdout)) == [False, False, True]


def test_no_model_at_all_is_an_empty_table(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    cloud.emulator.models = Models(models=0)
    arguments = ("report", "--config", written(cloud, program, tmp_path), "--models", "--last", "1d")
    done = program(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Cloud Eye lists no model" in done.stdout
    assert json.loads(program(*arguments, "--format", "json").stdout) == []


def statistics(cloud: Cloud, service_type: int, hours: range) -> int:
    asked = {"service_type": service_type, "start_time": hours.start, "end_time": hours.stop}
    return round(cloud.emulator.ledger.totals(asked, int(time.time() * 1000))["total_token"] * 1000)


@pytest.mark.parametrize(
    ("types", "kinds", "words"),
    [
        ("[my_service, preset]", (1, 2), "preset and my service."),
        ("[preset]", (2,), "preset alone; it counts my service too, of which the ledger of hours holds none"),
        ("[my_service]", (1,), "my service alone; it counts preset too, of which the ledger of hours holds none"),
    ],
)
def test_the_last_line_compares_with_the_statistics_of_the_same_hours(
    cloud: Cloud, program: Program, tmp_path: Path, types: str, kinds: Sequence[int], words: str
) -> None:
    config = written(cloud, program, tmp_path, f"hourly: true\nbackfill_days: 3\nservice_types: {types}")
    collected(cloud, program, config)
    day = dt.datetime.now(dt.timezone.utc).date() - dt.timedelta(days=1)
    span = ("--from", str(day - dt.timedelta(days=1)), "--to", str(day))
    last = program("report", "--config", config, "--models", *span).stdout.splitlines()[-1]
    start = calendar.timegm((day - dt.timedelta(days=1)).timetuple()) * 1000
    hours = range(start, start + 24 * HOUR, HOUR)
    counted = sum(truth(cloud, model, hours)[0] for model in cloud.emulator.models.ids())
    there = sum(statistics(cloud, kind, hours) for kind in kinds)
    said, number, rest = re.findall(r"^Cloud Eye counts ([\d.]+) % of the .* same (\d+) hours of (.*)$", last)[0]
    assert said == f"{Decimal(100 * counted) / there:.1f}"
    assert (number, rest[: len(words)]) == ("24", words)


def test_without_a_ledger_of_hours_the_last_line_says_what_it_needs(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    done = program("report", "--config", written(cloud, program, tmp_path), "--models", "--last", "1d")
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Cloud Eye's numbers cannot be compared with the statistics' (ShowStatistics): the ledger")
    assert "`hourly: true` and `service_types: [preset, my_service]`" in last


@pytest.mark.skipif(sys.platform == "win32", reason="has no such terminal")
@pytest.mark.parametrize("columns", [80, 70])
def test_a_narrow_terminal_shows_every_digit(cloud: Cloud, program: Program, tmp_path: Path, columns: int) -> None:
    arguments = ("report", "--config", written(cloud, program, tmp_path, priced(cloud)), "--models", "--yesterday")
    plain = program(*arguments).stdout
    shown = on_a_terminal([*program.command, *arguments], columns, program.environ)
    lines = [line for line in shown.splitlines() if line.startswith(("╭", "│", "├", "╰"))]
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= columns
    for model in ("deepseek", "Total  ", *cloud.emulator.models.ids()[1:]):
        for cell in cells(plain, f"│ {model}"):
            assert any(cell in line for line in lines)


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        (["--service-type", "1"], "--service-type"),
        (["--infer-type", "batch"], "--infer-type"),
        (["--api-keys", "a"], "--api-keys"),
        (["--raw"], "--raw"),
    ],
)
def test_an_option_that_cloud_eye_knows_nothing_of_is_refused_as_typed(
    cloud: Cloud, program: Program, tmp_path: Path, typed: List[str], option: str
) -> None:
    done = program("report", "--config", written(cloud, program, tmp_path), "--models", "--last", "1d", *typed)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith(f"E! {option}: does not go with --models")
    assert cloud.seen == []


def test_one_range_of_whole_hours_is_needed(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    config = written(cloud, program, tmp_path)
    several = program("report", "--config", config, "--models")
    assert (several.returncode, several.stdout) == (2, "")
    assert several.stderr.startswith("E! --models: shows one range")
    short = program("report", "--config", config, "--models", "--last", "1h")
    assert (short.returncode, short.stdout, cloud.seen) == (1, "", [])
    assert short.stderr.startswith("E! cn-southwest-2: last_1h has no whole hour (UTC) that is over")
    for more in ("--daily", "--hourly"):
        assert program("report", "--config", config, "--models", more).returncode == 2


def test_a_range_of_which_no_hour_is_known_is_no_table_of_zeros(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    day = dt.datetime.now(dt.timezone.utc).date() - dt.timedelta(days=20)
    span = ("--from", str(day), "--to", str(day + dt.timedelta(days=5)))
    done = program("report", "--config", written(cloud, program, tmp_path), "--models", *span)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert re.match(
        r"E! cn-southwest-2: Cloud Eye: no hour of [\d.-]+ is known: it tells those of the last 10", done.stderr
    )


def test_of_a_file_the_instances_with_models_are_shown_or_all_where_none_has(
    cloud: Cloud, program: Program, tmp_path: Path
) -> None:
    hosts = ", ".join(f"{name}: {cloud.url}" for name in ("endpoint", "iam_endpoint", "cloud_eye_endpoint"))
    arguments = ("--models", "--last", "1d", "--format", "json")
    for models, shown in (("models: true, ", ["n:1"]), ("", ["n:1", "n:2"])):
        config = program.config(f"instances:\n  - {{{hosts}, {models}tags: ['n:1']}}\n  - {{{hosts}, tags: ['n:2']}}\n")
        done = program("report", "--config", config, *arguments)
        assert sorted({record["tags"] for record in json.loads(done.stdout)}) == shown


def test_a_report_takes_nothing_from_a_consumer(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    config = written(cloud, program, tmp_path, "hourly: true\nbackfill_days: 3")
    collected(cloud, program, config)
    before = history(tmp_path)
    assert program("report", "--config", config, "--models", "--last", "20d").returncode == 0
    assert history(tmp_path) == before
