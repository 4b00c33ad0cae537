"""`report --format focus` of the emulator's month, by the rules of focus-validator."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Context, Decimal
from functools import reduce
from pathlib import Path
from typing import Dict, List

import pytest

from maas_usage_check.emulator.simulated_models import SimulatedModels

from ..commands.conftest import Report, parse_csv
from ..commands.long_ledger import LongLedger
from ..commands.months import NOVEMBER, OCTOBER
from ..conftest import Cloud, Program
from .focus_validator import violated_rules

pytestmark = pytest.mark.timeout(300)  # it installs packages

CONTRADICTION = "InvoiceId-C-005-C"
"""It wants an invoice, InvoiceId-C-004-C wants none; both are applied to every row."""
NO_EMPTY_COST = {
    *(f"{cost}-C-003-M" for cost in ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")),
    *(f"{cost}-C-004-M" for cost in ("ContractedCost", "EffectiveCost", "ListCost")),
    *(f"{cost}-C-000-M" for cost in ("BilledCost", "ContractedCost")),
}
"""Rules that forbid an empty cost, and those that require these rules."""
CRITERIA = (
    "USAGE_MEASUREMENT_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "REGION_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "TAGGING_SUPPORTED",
)
COPIES = {
    "CommitmentDiscountStatus": "ChargeClass",
    "PricingCurrencyContractedUnitPrice": "ContractedUnitPrice",
    "PricingCurrencyEffectiveCost": "EffectiveCost",
    "PricingCurrencyListUnitPrice": "ListUnitPrice",
}
"""Columns that the validator wants with these criteria, although their own criteria are others, and their values."""
CONFIG = """\
hourly: true
models: true
timezone: Asia/Shanghai
state_dir: "{folder}"
tags: [env:prod, 'note:a "quoted", 中文 text']
model_names: {{{several}: deepseek-v3, {simple}: "@qwen", {unpriced}: ours}}
key_names: {key_names}
teams:
  search: {{api_keys: [team-search], cost_center: "4711"}}
  support: {{api_keys: [team-support, batch-jobs]}}
prices:
  currency: CNY
  models:
    deepseek-v3:
      - {{prompt: 4, completion: 16, cached_prompt: 0.4, cached_share: 0.3}}
      - from: 2026-10-15
        prompt: 2
        completion: 8
        cached_prompt: 0.2
        cached_share: 0.25
        off_peak: {{hours: "23:30-08:15", prompt: 1, completion: 4, cached_prompt: 0.1}}
    "@qwen": {{prompt: 0.35, completion: 1.234567}}
"""
PERIODS = ("BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodEnd")
OWNERS = {
    ("team-search", "search", "4711"),
    ("team-support", "support", "unassigned"),
    ("batch-jobs", "support", "unassigned"),
    (None, None, None),
}
"""API key, team and cost centre; the last of the calls that no key covers."""
EXACT = Context(prec=100)
Rows = List[Dict[str, str]]


@pytest.fixture
def report(cloud: Cloud, program: Program, tmp_path: Path) -> Report:
    """A ledger of October: a model with every kind of price, one with a simple price, one without."""
    cloud.emulator.models = models = SimulatedModels(3, 3)
    several, simple, unpriced = models.ids()
    report = Report(cloud, program)
    report.yaml = CONFIG.format(
        folder=tmp_path, several=several, simple=simple, unpriced=unpriced, key_names=json.dumps(models.key_labels)
    )
    LongLedger(report, tmp_path).fill(OCTOBER, NOVEMBER)
    return report


def focus(report: Report, *options: str) -> Rows:
    done = report(*options, "--format", "focus")
    assert done.returncode == 0, done.stderr
    return parse_csv(done.stdout)


def to_csv(rows: Rows) -> str:
    output = io.StringIO()
    writer = csv.DictWriter(output, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return output.getvalue()


def priced(rows: Rows) -> Rows:
    return [row for row in rows if row["ListUnitPrice"]]


def with_copies(rows: Rows) -> Rows:
    return [{**row, **{name: row[source] for name, source in COPIES.items()}} for row in rows]


@pytest.fixture
def month(report: Report) -> Rows:
    """The rows of the month by day, and of one of its days by hour."""
    hourly = focus(report, "--from", "2026-10-15", "--to", "2026-10-16", "--hourly")
    return focus(report, "--month", "2026-10") + hourly


def test_rows_with_a_price(month: Rows, tmp_path: Path) -> None:
    """They violate only a rule that another contradicts, whether the rules of the criteria apply or not."""
    rows = priced(month)
    assert {row["SkuPriceId"].partition("/")[0] for row in rows} == {"deepseek-v3", "'@qwen"}
    assert violated_rules(to_csv(rows), tmp_path) == {CONTRADICTION}
    assert violated_rules(to_csv(with_copies(rows)), tmp_path, CRITERIA) == {CONTRADICTION}


def test_rows_without_a_price(month: Rows, tmp_path: Path) -> None:
    rows = [row for row in month if not row["ListUnitPrice"]]
    assert {row["SkuId"] for row in rows} == {"ours/prompt", "ours/completion"}
    assert violated_rules(to_csv(rows), tmp_path) == {CONTRADICTION, *NO_EMPTY_COST}


def test_products_and_sum(report: Report, month: Rows) -> None:
    """Costs are products, and add up to the cost of `report`, to the last decimal; the validator checks neither."""
    for row in priced(month):
        quantity, price, cost = (Decimal(row[name]) for name in ("PricingQuantity", "ListUnitPrice", "ListCost"))
        assert EXACT.multiply(quantity, price) == cost
        assert {row[name] for name in ("ContractedCost", "EffectiveCost", "BilledCost")} == {row["ListCost"]}
        assert row["ContractedUnitPrice"] == row["ListUnitPrice"]
    done = report("--month", "2026-10", "--by", "model", "--format", "json")
    costs = [Decimal(row["BilledCost"]) for row in priced(focus(report, "--month", "2026-10"))]
    assert reduce(EXACT.add, costs) == json.loads(done.stdout, parse_float=Decimal)["total"]["cost"]


def test_periods_and_tags(month: Rows) -> None:
    """Periods are UTC instants, and tags a mapping of texts; the validator also accepts others."""
    seen = set()
    instant = re.compile(r"2026-(09|10)-\d\dT\d\d:00:00Z")
    for row in month:
        billed, start, end, until = (row[name] for name in PERIODS)
        assert all(map(instant.fullmatch, (billed, start, end, until)))
        assert billed <= start < end <= until
        assert (billed, until) == ("2026-09-30T16:00:00Z", "2026-10-31T16:00:00Z")
        tags = json.loads(row["Tags"])
        assert (tags["env"], tags["note"]) == ("prod", 'a "quoted", 中文 text')
        seen.add(tuple(tags.get(name) for name in ("api_key", "team", "cost_center")))
    assert seen == OWNERS


def test_validator_finds_faults(month: Rows, tmp_path: Path) -> None:
    """The validator runs its rules: without that, a file without violations would prove nothing."""
    changes = {"ServiceCategory": "AI", "BillingCurrency": "RMB", "SkuPriceId": "one", "PricingQuantity": "1000"}
    rows = [{**row, **changes, "Tags": "team:search"} for row in with_copies(priced(month))[:20]]
    assert violated_rules(to_csv(rows), tmp_path, CRITERIA) >= {
        "BillingCurrency-C-006-M",
        "PricingQuantity-C-001-M",
        "ServiceCategory-C-003-M",
        "SkuPriceId-C-008-M",
        "Tags-C-001-M",
    }
