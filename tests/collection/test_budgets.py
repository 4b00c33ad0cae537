"""The budgets of a cycle, against sums of the emulator's own data."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest
from werkzeug import Request, Response

from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.traffic import API_KEYS
from maas_usage_check.ledger import COUNTERS, HOURS, INCREMENTS
from maas_usage_check.metrics import BUDGET

from ..conftest import Cloud, FixedClock
from .account import DAY, HOUR, Account, Make, points

MONTH = 1_793_462_400_000
"""2026-11-01 00:00 in Shanghai, in milliseconds."""
PRICE = {"prompt": 2.0, "completion": 8.0}
TEAMS = {"search": ["team-search"], "support": ["team-support", "batch-jobs"]}


class BudgetAccount(Account):
    """An account with two teams, and its use by the emulator's own data."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, folder: Path) -> None:
        super().__init__(cloud, clock, make, folder)
        clock.at = (MONTH + 30 * HOUR) / 1000 + 1234
        cloud.emulator.requests_per_minute = 10**6
        cloud.emulator.models = self.models = SimulatedModels(2, 3)
        budgets = {"search": {"tokens": 10**9, "cost": 500}, "support": {"tokens": 10**8}}
        self.keys.update(
            models=True,
            backfill_days=2,
            timezone="Asia/Shanghai",
            max_requests_per_minute=80_000,
            prices={"currency": "CNY", "models": dict.fromkeys(self.models.ids(), PRICE)},
            key_names=self.models.key_labels,
            teams={name: {"api_keys": labels, "budget": budgets[name]} for name, labels in TEAMS.items()},
            budget={"tokens": 2 * 10**9, "cost": 4000},
        )

    def budgets(self, kind: str = HOURS, **keys: Any) -> Dict[Tuple[str, str], Dict[str, float]]:
        """Run a cycle; return the fields by scope, or team, and unit."""
        return {
            (point.tags.get("team", point.tags["scope"]), point.tags["unit"]): dict(point.fields)
            for point in points(self.cycle(kind, **keys), BUDGET)
        }

    def tokens(self, labels: Optional[List[str]] = None) -> int:
        """Add up the statistics of the month."""
        hours = range(MONTH, self.now, HOUR)
        return sum(
            self.cloud.emulator.usage.hour(2, "real_time", labels or list(API_KEYS), at, self.now)[0] for at in hours
        )

    def cost(self, labels: Optional[List[str]] = None) -> Decimal:
        """Price Cloud Eye's hours of the month."""
        total = Decimal(0)
        for model, key_id in self.models.series:
            if (labels is None) == (key_id is None) and (
                not key_id or self.models.key_labels[key_id] in (labels or ())
            ):
                for at in range(MONTH, self.now // HOUR * HOUR, HOUR):
                    use = self.models.hour(model, key_id, at, self.now)
                    total += (2 * Decimal(use.prompt_tokens) + 8 * Decimal(use.completion_tokens)) / 10**6
        return total


@pytest.fixture
def account(cloud: Cloud, clock: FixedClock, make_collector: Make, tmp_path: Path) -> BudgetAccount:
    return BudgetAccount(cloud, clock, make_collector, tmp_path)


def test_used(account: BudgetAccount) -> None:
    """Every consumer gets what the month's hours add up to: tokens of the statistics, the cost of models."""
    found, *others = (account.budgets(kind, name=kind) for kind in (HOURS, COUNTERS, INCREMENTS))
    assert others == [found, found]
    used = {name: fields["used"] for name, fields in found.items()}
    assert used == {
        ("all", "tokens"): account.tokens(),
        ("search", "tokens"): account.tokens(TEAMS["search"]),
        ("support", "tokens"): account.tokens(TEAMS["support"]),
        ("all", "CNY"): float(account.cost()),
        ("search", "CNY"): float(account.cost(TEAMS["search"])),
    }
    assert used["all", "tokens"] > used["search", "tokens"] > used["support", "tokens"] > 0
    assert {fields["covered_ratio"] for fields in found.values()} == {1.0}
    assert {fields["period_start_timestamp_seconds"] for fields in found.values()} == {MONTH / 1000}
    assert found["support", "tokens"]["used_ratio"] == used["support", "tokens"] / 10**8
    assert used["search", "CNY"] < found["search", "CNY"]["forecast"]


def test_tags(account: BudgetAccount) -> None:
    """A budget has the tags of the account, its scope and its unit."""
    tags = [point.tags for point in points(account.cycle(tags=["env:prod"]), BUDGET)]
    shared = {"region": "cn-southwest-2", "project_id": "d3m0" * 8, "env": "prod"}
    assert {"scope": "all", "unit": "tokens", **shared} in tags
    assert {"scope": "team", "team": "search", "unit": "CNY", **shared} in tags


def test_failed_cycle(account: BudgetAccount) -> None:
    """A failure is never a fall: the ledger's sum stays, and the share that is known falls with time."""
    before = account.budgets()
    account.cloud.responder = lambda request: Response(b"{}", 503)
    account.sleep(6 * 3600)
    after = account.budgets()
    assert {name: fields["used"] for name, fields in after.items()} == {
        name: fields["used"] for name, fields in before.items()
    }
    assert {fields["covered_ratio"] for fields in after.values()} == {30 / 33}


def test_failed_key(account: BudgetAccount) -> None:
    """A team of which one key failed has its budget with a lower share of known hours, and never less use."""

    def refuse(request: Request) -> Optional[Response]:
        return Response(b"{}", 503) if b"batch-jobs" in request.get_data() else None

    account.cloud.responder = refuse
    found = account.budgets()
    assert found["support", "tokens"]["covered_ratio"] == 0.5
    assert found["support", "tokens"]["used"] == account.tokens(["team-support"])
    assert "forecast" not in found["support", "tokens"]
    assert found["all", "tokens"]["covered_ratio"] == found["search", "tokens"]["covered_ratio"] == 1.0


def test_paused(account: BudgetAccount) -> None:
    """While hours do not add up to their day, no budget in tokens comes from them."""
    account.cycle()
    with account.collector().schedulers.store.transaction() as transaction:
        statement = """UPDATE entries SET value = '{"due":9e99,"failed":"no"}' WHERE kind = 'AddUp'"""
        transaction.run(statement.replace("9e99", str(account.now + DAY)))
    assert {unit for _, unit in account.budgets()} == {"CNY"}


def test_first_minutes_of_a_month(account: BudgetAccount) -> None:
    """Without a known hour of the new month, nothing is said of its use."""
    account.cycle()
    account.clock.at = (MONTH + 30 * DAY) / 1000 + 60
    account.cloud.responder = lambda request: Response(b"{}", 503)
    found = account.budgets()
    assert {tuple(fields) for fields in found.values()} == {("limit", "period_start_timestamp_seconds")}
    assert found["all", "CNY"]["period_start_timestamp_seconds"] == MONTH / 1000 + 30 * 86_400


def test_gone_model(account: BudgetAccount) -> None:
    """A model that is no longer listed stays in the sum of its month, and its silent hours are known."""
    before = account.budgets()["all", "CNY"]["used"]
    gone = account.models.ids()[0]
    at = account.now
    account.cloud.emulator.models = account.models = SimulatedModels(
        2, 3, busy=lambda model, start: model != gone or start < at
    )
    for _ in range(3):
        account.sleep(8 * 86_400)
        found = account.budgets()["all", "CNY"]
    assert found["used"] > before
    assert found["used"] == float(account.cost())
    assert found["covered_ratio"] == 1.0
