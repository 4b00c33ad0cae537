"""`report --format focus`: its rows add up to the report by model, and to the emulator's own hours at each price."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any, DefaultDict, Dict, Iterator, List, Tuple

import pytest
import yaml

from maas_usage_check.commands.report.focus import COLUMNS, format_number
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_models import SimulatedModels

from ..conftest import Cloud, FixedClock, Program
from ..fixed_clock import MONDAY
from .conftest import Report, execute_sql, parse_csv
from .months import NOVEMBER, OCTOBER, SHANGHAI, Months

HOUR = 3_600_000
DAY = 24 * HOUR
DATED = {"prompt": 2.0, "completion": 8.0, "cached_prompt": 0.5}
OFF_PEAK = {"hours": "00:30-08:30", "prompt": 1.1, "completion": 4.0, "cached_prompt": 0.25}
CHANGED = {"from": "2026-10-20", "prompt": 1.7, "completion": 7.123456, "cached_prompt": 0.3, "off_peak": OFF_PEAK}
SHARE = Decimal("0.37")
NOT_SEPARATE = "cannot be combined with --format focus: Cloud Eye does not separate such calls; leave it out"


@pytest.fixture
def months(cloud: Cloud, report: Report, tmp_path: Path) -> Months:
    """Return months of two models: the first has prices that change, the second a flat one."""
    months = Months.collected(cloud, report, tmp_path)
    configure(months)
    return months


def configure(months: Months, *, second: Any = None, **more: Any) -> None:
    first, other = months.cloud.emulator.models.ids()
    prices = {first: [DATED, CHANGED], **({other: {"prompt": 0.35, "completion": 1.25}} if second is None else second)}
    months.configure()
    lines = [line for line in months.report.yaml.splitlines() if not line.startswith("prices:")]
    lines.append(f"prices: {json.dumps({'currency': 'CNY', 'cached_share': float(SHARE), 'models': prices})}")
    months.report.yaml = "\n".join([*lines, *(f"{name}: {json.dumps(value)}" for name, value in more.items())])


def focus(report: Report, *options: str, stderr: str = "") -> List[Dict[str, str]]:
    """Run a report that succeeds, and return its rows."""
    done = report("--format", "focus", *options)
    assert (done.returncode, stderr in done.stderr) == (0, True), done.stderr
    assert done.stdout.splitlines()[0] == ",".join(COLUMNS)
    rows = parse_csv(done.stdout)
    for row in rows:
        assert list(row) == list(COLUMNS)
        check_amounts(row)
    return rows


def check_amounts(row: Dict[str, str]) -> None:
    """Check the product, that all costs are the same, and that all numbers have a decimal point."""
    amounts = [row[name] for name in ("ListCost", "ContractedCost", "EffectiveCost", "BilledCost")]
    assert len(set(amounts)) == 1
    assert row["PricingQuantity"] == row["ConsumedQuantity"]
    assert row["ListUnitPrice"] == row["ContractedUnitPrice"]
    assert Decimal(row["PricingQuantity"]) > 0
    if amounts[0]:
        assert Decimal(row["PricingQuantity"]) * Decimal(row["ListUnitPrice"]) == Decimal(amounts[0])
        assert all("." in each and "E" not in each for each in (amounts[0], row["ListUnitPrice"]))


def add_up(rows: List[Dict[str, str]]) -> Dict[str, Tuple[Decimal, Decimal, Decimal]]:
    """Return prompt tokens, completion tokens and cost by model."""
    sums: DefaultDict[str, List[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for row in rows:
        is_completion = row["SkuMeter"] == "Completion Tokens"
        own = sums[row["ResourceId"]]
        own[is_completion] += Decimal(row["PricingQuantity"])
        own[2] += Decimal(row["ListCost"] or 0)
    return {model: (each[0], each[1], each[2]) for model, each in sums.items()}


def of_report(report: Report, *options: str) -> Dict[str, Tuple[Decimal, Decimal, Decimal]]:
    """Return the same of a report by model."""
    rows = report.csv("--by", "model", *options)
    names = ("prompt_tokens", "completion_tokens", "cost")
    numbers = {row["maas_api_id"]: [Decimal(row[name] or 0) for name in names] for row in rows}
    return {model: (each[0], each[1], each[2]) for model, each in numbers.items() if any(each)}


@pytest.mark.parametrize(
    "period",
    [
        ["--month", "2026-10"],
        ["--month", "2026-08"],  # kept as days
        ["--last", "7d"],
        ["--last", "2d", "--hourly"],
        ["--from", "2026-09-20", "--to", "2026-10-22"],
        ["--this-month"],
    ],
    ids=" ".join,
)
def test_adds_up_to_the_report(months: Months, period: List[str]) -> None:
    """Tokens and cost of each model are those of the report, to the last decimal."""
    rows = focus(months.report, *period)
    assert len({row["SkuPriceId"] for row in rows}) > 2
    found = add_up(rows)
    assert len(found) == 2
    assert found == of_report(months.report, *(each for each in period if each != "--hourly"))


def priced_hour(at: int) -> Iterator[Tuple[int, int, str]]:
    """Yield the minutes of an hour of the first model, and the end of its SkuPriceId: the oracle."""
    local = dt.datetime.fromtimestamp(at / 1000, SHANGHAI)
    if local.date() < dt.date(2026, 10, 20):
        yield 0, 60, "always"
    elif local.hour in (0, 8):
        first, second = ("", "/off-peak") if local.hour == 0 else ("/off-peak", "")
        yield 0, 30, f"2026-10-20{first}"
        yield 30, 60, f"2026-10-20{second}"
    else:
        yield 0, 60, f"2026-10-20{'/off-peak' if 0 < local.hour < 8 else ''}"


def test_quantities_of_each_price(months: Months) -> None:
    """The tokens of each day, kind and price are those of the emulator, split in whole tokens."""
    models = months.cloud.emulator.models
    model = models.ids()[0]
    expected: DefaultDict[Tuple[str, str], int] = defaultdict(int)
    for at in range(OCTOBER, NOVEMBER, HOUR):
        use = models.hour(model, None, at, at + 6 * HOUR)
        day = dt.datetime.fromtimestamp(at / 1000, SHANGHAI).date()
        start = dt.datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).astimezone(dt.timezone.utc)
        for first, last, price in priced_hour(at):
            prompt, completion = (
                count * last // 60 - count * first // 60 for count in (use.prompt_tokens, use.completion_tokens)
            )
            cached = int(prompt * SHARE)
            for kind, count in (("prompt", prompt - cached), ("cached_prompt", cached), ("completion", completion)):
                expected[f"{start:%Y-%m-%dT%H:%M:%SZ}", f"{model}/{kind}/{price}"] += count
    found: DefaultDict[Tuple[str, str], int] = defaultdict(int)
    for row in focus(months.report, "--month", "2026-10"):
        if row["ResourceId"] == model:
            found[row["ChargePeriodStart"], row["SkuPriceId"]] += int(Decimal(row["PricingQuantity"]))
    assert found == {name: count for name, count in expected.items() if count}


def test_columns(months: Months) -> None:
    """The other columns of a row with a key, and of one without."""
    models = months.cloud.emulator.models
    model = models.ids()[0]
    configure(months, model_names={model: "deepseek-v3"}, tags=["env:prod"])
    rows = focus(months.report, "--from", "2026-10-31", "--to", "2026-11-01")
    labels = {"team-search": ("search", "CC-1"), "batch-jobs": ("support", "unassigned")}
    for label, (team, cost_center) in labels.items():
        row = next(each for each in rows if json.loads(each["Tags"]).get("api_key") == label)
        assert json.loads(row["Tags"]) == {"api_key": label, "team": team, "cost_center": cost_center, "env": "prod"}
    row = next(each for each in rows if "api_key" not in json.loads(each["Tags"]) and each["ResourceId"] == model)
    name = row["SkuId"]
    assert name in ("deepseek-v3/prompt", "deepseek-v3/cached_prompt")
    assert {column: row[column] for column in COLUMNS if not column.endswith(("Quantity", "Cost", "UnitPrice"))} == {
        **dict.fromkeys(("BillingAccountId", "BillingAccountName", "SubAccountId", "SubAccountName"), PROJECT_ID),
        **dict.fromkeys(("ProviderName", "PublisherName", "InvoiceIssuerName"), "Huawei Cloud"),
        **dict.fromkeys(("ChargeClass", "InvoiceId", "SkuPriceDetails"), ""),
        **dict.fromkeys(("ConsumedUnit", "PricingUnit"), "Tokens"),
        **dict.fromkeys(("RegionId", "RegionName"), "cn-southwest-2"),
        "BillingCurrency": "CNY",
        "BillingPeriodStart": "2026-09-30T16:00:00Z",
        "BillingPeriodEnd": "2026-10-31T16:00:00Z",
        "ChargePeriodStart": "2026-10-30T16:00:00Z",
        "ChargePeriodEnd": "2026-10-31T16:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeDescription": "Estimate: tokens times the price in the file.",
        "ChargeFrequency": "Usage-Based",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "ServiceName": "MaaS",
        "PricingCategory": "Standard",
        "SkuId": name,
        "SkuPriceId": f"{name}/2026-10-20",
        "SkuMeter": "Prompt Tokens" if name.endswith("/prompt") else "Cached Prompt Tokens",
        "ResourceId": model,
        "ResourceName": "deepseek-v3",
        "ResourceType": "Model service",
        "Tags": '{"env": "prod"}',
        "x_CostKind": "estimate",
    }


def test_model_without_price(months: Months) -> None:
    """It has quantities, and no amounts."""
    other = months.cloud.emulator.models.ids()[1]
    configure(months, second={})
    rows = [row for row in focus(months.report, "--month", "2026-10") if row["ResourceId"] == other]
    assert {(row["ListCost"], row["ListUnitPrice"], row["SkuPriceId"]) for row in rows} == {("", "", "")}
    assert {row["ChargeDescription"] for row in rows} == {"Tokens without a price in the file."}
    prompt, completion, _ = add_up(rows)[other]
    assert (prompt, completion, 0) == of_report(months.report, "--month", "2026-10")[other]


def test_without_cached_share(months: Months) -> None:
    """A row says that cached input is priced as ordinary input."""
    configure(months)
    months.report.yaml = months.report.yaml.replace(f'"cached_share": {float(SHARE)}, ', "")
    texts = {row["SkuMeter"]: row["ChargeDescription"] for row in focus(months.report, "--last", "2d")}
    assert texts["Prompt Tokens"].endswith(" Cached input is priced as ordinary input, so the true cost is lower.")
    assert texts["Completion Tokens"] == "Estimate: tokens times the price in the file."
    assert len(texts) == 2


def test_keys_that_exceed_their_model(months: Months, tmp_path: Path) -> None:
    """Only there the model has one row without a key; the sum stays that of the report."""
    model, keys = months.cloud.emulator.models.ids()[1], list(months.cloud.emulator.models.key_labels)
    series, at = months.ledger.id_of(model, keys[0]), OCTOBER + 40 * HOUR
    execute_sql(
        tmp_path, "UPDATE hours SET prompt_tokens = prompt_tokens * 90 WHERE series = ? AND start = ?", series, at
    )
    rows = [row for row in focus(months.report, "--month", "2026-10") if row["ResourceId"] == model]
    without = [row for row in rows if row["SkuMeter"] == "Prompt Tokens" and row["ChargePeriodStart"] == start_of(at)]
    assert [row["Tags"] for row in without] == ["{}"]
    assert len([row for row in rows if row["ChargePeriodStart"] == start_of(at)]) > 3  # completion by key
    assert len([row for row in rows if row["ChargePeriodStart"] == start_of(at + DAY)]) > 6
    assert add_up(rows)[model] == of_report(months.report, "--month", "2026-10")[model]


def start_of(at: int) -> str:
    day = dt.datetime.fromtimestamp(at / 1000, SHANGHAI).replace(hour=0)
    return f"{day.astimezone(dt.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(("hour", "named"), [(50, "2026-10-03 02:00 to 03:00"), (0, "2026-10-01 00:00 to 01:00")])
def test_unknown_hours(months: Months, tmp_path: Path, hour: int, named: str) -> None:
    """An hour that one model lacks is in neither report, also not of another model's key; a line names it."""
    models, at = months.cloud.emulator.models, OCTOBER + hour * HOUR
    first, other = models.ids()
    execute_sql(tmp_path, "DELETE FROM hours WHERE series = ? AND start = ?", months.ledger.id_of(first, ""), at)
    rows = focus(months.report, "--month", "2026-10", stderr=f"covered 99.8 %: {named} not known")
    assert add_up(rows) == of_report(months.report, "--month", "2026-10")
    key, label = next(iter(models.key_labels.items()))
    midnight = OCTOBER + hour // 24 * DAY
    day = [each for each in range(midnight, midnight + DAY, HOUR) if each != at]
    found = [
        Decimal(row["PricingQuantity"])
        for row in rows
        if (row["SkuId"], row["ChargePeriodStart"]) == (f"{other}/completion", start_of(at)) and label in row["Tags"]
    ]
    assert found == [sum(models.hour(other, key, each, each + 6 * HOUR).completion_tokens for each in day)]


def test_hours_that_are_kept_as_days(months: Months) -> None:
    """By hour there are only those that are kept as hours."""
    rows = focus(months.report, "--from", "2026-09-20", "--to", "2026-09-24", "--hourly", stderr="not known")
    starts, ends = ({row[f"ChargePeriod{name}"] for row in rows} for name in ("Start", "End"))
    assert (min(starts), max(ends), len(starts)) == ("2026-09-21T16:00:00Z", "2026-09-23T16:00:00Z", 48)


def test_hour_that_is_not_final(cloud: Cloud, clock: FixedClock, report: Report, tmp_path: Path) -> None:
    """Its answers about keys are used although it may still change."""
    clock.at = MONDAY - 20 * 60  # 12:10 UTC
    configure(Months(cloud, report, tmp_path))
    rows = focus(report, "--last", "2h", "--hourly")
    last = [row for row in rows if row["ChargePeriodStart"] == "2026-11-23T11:00:00Z"]
    assert {json.loads(row["Tags"]).get("api_key") for row in last} > {"team-search", "team-support", "batch-jobs"}


def test_without_a_ledger(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    """The hours of models and keys are queried, as far as Cloud Eye has them."""
    months = Months(cloud, report, tmp_path)
    configure(months)
    rows = focus(report, "--last", "3d")
    assert {json.loads(row["Tags"]).get("api_key") for row in rows} == {
        None,
        "team-search",
        "team-support",
        "batch-jobs",
    }
    cloud.requests.clear()
    assert focus(report, "--last", "3d") == rows
    assert not cloud.requests  # the answers were stored


def test_formulas_are_neutralized(months: Months) -> None:
    """A name cannot become a formula of a spreadsheet; numbers stay numbers."""
    model = months.cloud.emulator.models.ids()[0]
    configure(months, model_names={model: "=HYPERLINK(1)"})
    rows = focus(months.report, "--last", "1d")
    names = {
        row[column] for row in rows for column in ("ResourceName", "SkuId", "SkuPriceId") if "HYPER" in row[column]
    }
    assert all(name.startswith("'=HYPERLINK(1)") for name in names)
    assert len(names) > 3


def test_two_instances_have_one_header(months: Months) -> None:
    """The rows of the second instance follow those of the first."""
    config = Path(months.report.config())
    document = yaml.safe_load(config.read_text())
    (entry,) = document["instances"]
    document["instances"] = [{**entry, "tags": [f"part:{part}"]} for part in (1, 2)]
    config.write_text(yaml.safe_dump(document))
    done = months.report.program("report", "--format", "focus", "--last", "1d", "--config", str(config))
    rows = parse_csv(done.stdout)
    assert [json.loads(row["Tags"])["part"] for row in rows] == ["1"] * (len(rows) // 2) + ["2"] * (len(rows) // 2)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--by", "team"], "--by: cannot be combined with --format focus: its rows are by model and key; leave it out"),
        (["--compare"], "--compare: cannot be combined with --format focus: it has one period; leave it out"),
        (["--service-type", "preset"], f"--service-type: {NOT_SEPARATE}"),
        (["--raw"], f"--raw: {NOT_SEPARATE}"),
        ([], "--format focus: needs `prices` in the --config file, with `models: true` and `hourly: true`"),
    ],
    ids=str,
)
def test_wrong_options(cloud: Cloud, program: Program, options: List[str], error: str) -> None:
    done = program("report", "--format", "focus", *options, "--config", program.cloud_config(cloud, ""))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"E! {error}\n")


@pytest.mark.parametrize(
    ("number", "text"), [("2E+6", "2000000.0"), ("1E-7", "0.0000001"), ("0.50", "0.5"), ("0", "0.0")]
)
def test_numbers_have_a_decimal_point(number: str, text: str) -> None:
    assert format_number(Decimal(number)) == text


def test_counters_grow_by_the_charges(cloud: Cloud, clock: FixedClock, report: Report, tmp_path: Path) -> None:
    """Over hours that were counted and not taken back, the counters of cost grow by the charges, of each kind."""
    configure(Months(cloud, report, tmp_path))
    cloud.emulator.models = SimulatedModels(2, 3, late=True)
    output = tmp_path / "out.prom"
    at = MONDAY - 40 * 60  # 11:50 UTC, in Shanghai 19:50; both ends of the off-peak hours follow
    for clock.at in [at + hour * 3600 for hour in range(15)]:
        report.collect("--format", "prometheus", "--output", str(output))
    since, until = (f"{dt.datetime.fromtimestamp(each, SHANGHAI):%Y-%m-%dT%H:00:00}" for each in (at, clock.at))
    rows = focus(report, "--from", since, "--to", until, "--hourly")
    assert len({row["SkuPriceId"] for row in rows}) > 6
    for model in cloud.emulator.models.ids():
        kinds: DefaultDict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            if row["ResourceId"] == model:
                kinds["completion" if row["SkuMeter"] == "Completion Tokens" else "prompt"] += Decimal(row["ListCost"])
        kinds["cost"] = kinds["prompt"] + kinds["completion"]
        for name, kind in (("cost", "cost"), ("prompt_cost", "prompt"), ("completion_cost", "completion")):
            (line,) = [
                line
                for line in output.read_text().splitlines()
                if line.startswith(f"huawei_maas_model_cost_consumed_{name}_total{{") and model in line
            ]
            assert float(line.split()[-1]) == pytest.approx(float(kinds[kind]), rel=1e-12)
