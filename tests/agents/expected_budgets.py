"""Expected budgets of the calendar month and use of teams, computed from what the cloud reports for each hour."""

from __future__ import annotations

from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_models import SimulatedModels

from .demo_account import REGION
from .expected_hours import DAY, HOUR, Usage
from .expected_models import CURRENCY, expected_cost, expected_model_hour, model_names
from .expected_usage import ExpectedUsage
from .grafana_dashboards import month_start, next_month
from .simulated_account import BUDGET, COST_BUDGET, LABELS, TEAM, TEAM_BUDGET, Values, key_names, owner

Budgets = Dict[Tuple[str, str, str], Dict[str, float]]
"""The fields of budgets by scope, team and unit."""


class Member(NamedTuple):
    """A series of a budget: what an hour used, and which hours are known, and settled. Times are milliseconds."""

    hour: Callable[..., float]
    first: int
    until: int
    settled_until: int


def expected_budget(limit: float, now: int, members: Sequence[Member]) -> Dict[str, float]:
    """Return the fields of a budget at `now`."""
    start, end = month_start(now), next_month(now)
    used = dict.fromkeys(range(start, now, HOUR), 0.0)
    for member in members:
        for at in range(max(start, member.first), member.until, HOUR):
            used[at] += member.hour(at)
    due = range(start, now // HOUR * HOUR - 3 * HOUR, HOUR)
    known = sum(len(range(max(due.start, each.first), min(due.stop, each.until), HOUR)) for each in members)
    total, rate = sum(used.values()), sum(_hourly_rate(member, now) for member in members)
    forecast = total + rate * (end - now) / HOUR
    exhausted = _exhausted(limit, used) or (now + (limit - total) / rate * HOUR if forecast >= limit else None)
    return {
        "limit": limit,
        "used": total,
        "used_ratio": total / limit,
        "forecast": forecast,
        "forecast_ratio": forecast / limit,
        "covered_ratio": known / len(due) / len(members),
        **({"exhausted_timestamp_seconds": exhausted // 1000} if exhausted else {}),
    }


def expected_budgets(
    models: SimulatedModels,
    hour: Callable[[int, int, str, str], Usage],
    read_at: Dict[str, int],
    known_since: Tuple[int, int],
    now: int,
) -> Budgets:
    """Return the fields of each budget of the simulated account.

    Args:
        models: what the models used.
        hour: returns what the cloud reports for an hour, at a time, of a service type and a label.
        read_at: when each service type was last read.
        known_since: the first hours that the ledger knows, of services and of models.
        now: the time of the cycle.
    """
    since, models_since = known_since

    def tokens(service: str, label: str) -> Member:
        end = read_at[service] // HOUR * HOUR
        return Member(lambda at: hour(at, read_at[service], service, label)[0], since, end, end - 3 * HOUR)

    def cost(model: str, key: str) -> Member:
        end, settled_until = (now // HOUR * HOUR, (now - HOUR // 2) // HOUR * HOUR)
        return Member(
            lambda at: float(expected_cost(models, model, expected_model_hour(models, (model, key), at, now))),
            models_since,
            end,
            settled_until,
        )

    priced, keys = model_names(models), key_names(models)
    whole, part = (("all", ""), ("team", TEAM))
    return {
        (*whole, "tokens"): expected_budget(BUDGET, now, [tokens(name, "") for name in read_at]),
        (*part, "tokens"): expected_budget(TEAM_BUDGET, now, [tokens(name, "team-search") for name in read_at]),
        (*whole, CURRENCY): expected_budget(COST_BUDGET, now, [cost(model, "") for model in priced]),
        (*part, CURRENCY): expected_budget(COST_BUDGET, now, [cost(each, key) for each in priced for key in keys]),
    }


def _hourly_rate(member: Member, now: int) -> float:
    """Return the mean of the settled hours of the last 7 days."""
    hours = range(max((now - 7 * DAY) // HOUR * HOUR, member.first), member.settled_until, HOUR)
    return sum(map(member.hour, hours)) / len(hours)


def _exhausted(limit: float, used: Dict[int, float]) -> Optional[int]:
    """Return the end of the hour in which the use reached the limit."""
    total = 0.0
    for at, amount in used.items():
        total += amount
        if total >= limit:
            return at + HOUR
    return None


class ExpectedBudgets(ExpectedUsage):
    """Expected values of the panels of budgets, and of who owes what."""

    def budgets(self) -> Budgets:
        read_at = {name: max(at for at in times if at <= self.now) for name, times in self.account.read_at.items()}
        return expected_budgets(self.account.models, self.account.hour, read_at, self.account.known_since, self.now)

    def budget_ratios(self, field: str) -> Values:
        return {" ".join((*tags, REGION)): fields[field] for tags, fields in self.budgets().items() if field in fields}

    def budget_table(self) -> Values:
        columns = {
            "Budget": "limit",
            "Used": "used",
            "Used of the budget": "used_ratio",
            "Forecast": "forecast",
            "Forecast of the budget": "forecast_ratio",
            "Covered": "covered_ratio",
        }
        return {
            **{
                (title, REGION, PROJECT_ID, *filter(None, tags)): fields[field]
                for tags, fields in self.budgets().items()
                for title, field in columns.items()
            },
            **{("Exhausted on", REGION, PROJECT_ID, *filter(None, tags)): at for tags, at in self.exhausted().items()},
        }

    def exhausted(self) -> Dict[Tuple[str, str, str], float]:
        name = "exhausted_timestamp_seconds"
        return {tags: 1000 * fields[name] for tags, fields in self.budgets().items() if name in fields}

    def keys_and_models(self) -> Values:
        start = month_start(self.picked.end)
        tokens = {
            (*owner(name), name, self.models[model]): self.used((model, key), since=start)[0]
            for key, name in self.keys.items()
            for model in self.models
        }
        costs = {
            (*owner(name), name, *cost.rsplit(" ", 1)): value
            for key, name in self.keys.items()
            for cost, value in self.costs(start, key).items()
        }
        return {**self.table("Tokens", tokens), **self.shares(tokens), **self.table("Cost", costs)}

    def tokens_of_teams(self) -> Values:
        start = month_start(self.picked.end)
        return {
            owner(label): self.used(*((name, label) for name in self.services), since=start)[0]
            for label in LABELS
            if label
        }

    def costs_of_teams(self) -> Values:
        start = month_start(self.picked.end)
        return {(*owner(name), CURRENCY): sum(self.costs(start, key).values()) for key, name in self.keys.items()}

    def teams(self) -> Values:
        tokens, exhausted = self.tokens_of_teams(), self.exhausted()
        return {
            **self.table("Tokens", tokens),
            **self.shares(tokens),
            **self.table("Cost", self.costs_of_teams()),
            ("Budget in tokens", TEAM): TEAM_BUDGET,
            ("Budget in cost", TEAM): COST_BUDGET,
            ("Exhausted on", TEAM): min(at for (scope, _, _), at in exhausted.items() if scope == "team"),
        }

    def tokens_by_team(self) -> Values:
        return {team: tokens for (team, _), tokens in self.tokens_of_teams().items()}

    def cost_by_team(self) -> Values:
        return {f"{team} {CURRENCY}": cost for (team, _, _), cost in self.costs_of_teams().items()}

    def table(self, title: str, values: Values) -> Values:
        return {(title, *tags): value for tags, value in values.items()}

    def shares(self, values: Values) -> Values:
        """Return the column of shares, where the query language has them."""
        return {}
