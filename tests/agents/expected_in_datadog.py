"""The values that the Datadog dashboard must show of a simulated month."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, List, Tuple

from .expected_budgets import expected_budgets
from .expected_hours import COUNTS, DAY, HOUR, sum_usage
from .expected_models import (
    CURRENCY,
    all_series,
    expected_cost,
    model_names,
    newest_minute,
)
from .grafana_dashboards import midnight, month_before, month_start
from .month_in_datadog import BEGAN, DOWN, HERE, WEEK, Month, Values
from .simulated_account import (
    END,
    LABELS,
    LIMITS,
    key_names,
    owner,
)


class ExpectedPanels:
    """Expected values of the widgets at `now` over the week before it; times in seconds."""

    def __init__(self, month: Month, now: int, chosen: Tuple[str, ...]) -> None:
        self.month, self.now, self.start, self.services = month, now, now - WEEK, chosen
        self.models = {each: model_names(month.models).get(each, each) for each in month.models.ids()}
        self.priced = list(model_names(month.models))
        names = key_names(month.models)
        self.keys = {key: names.get(key, key) for _, key in all_series(month.models) if key}

    def total(self, begins: Callable[[int], int]) -> int:
        """Return the tokens of a range, each service type as it was last read within the hour."""
        found = 0
        for name in self.services:
            at = END if name == "preset" else self.now
            hours = range(begins(at), at // HOUR * HOUR + 1, HOUR)
            found += sum_usage(*(self.month.hour(hour, at, name) for hour in hours))[0]
        return found

    def minutes(self, *fields: str) -> List[Values]:
        times = [at for at in self.month.grown if self.start <= at <= self.now and at not in DOWN]
        return [
            {
                ((*HERE, name), at // 1000): shown[field]
                for at in times
                for each, name in self.models.items()
                for shown in [newest_minute(self.month.models, (each, ""), at)]
                if field in shown
            }
            for field in fields
        ]

    def bars(self, begins: Callable[[int], int], field: str = "tokens", shift: int = 0, whole: bool = False) -> Values:
        found: Dict[Any, float] = {}
        for at in self.month.grown:
            if self.start - shift <= at <= self.now - shift:
                for name in self.services:
                    key = (() if whole else (name,), begins(at + shift) // 1000)
                    rise = self.month.grown[at][name, ""][COUNTS.index(field)]
                    found[key] = found.get(key, 0) + rise
        return found

    def costs(self, start: int, key: str = "", end: int = 0) -> Dict[Any, float]:
        models = self.month.models
        spent = {each: self.month.used(start, end or self.now, (each, key)) for each in model_names(models)}
        return {(self.models[each], CURRENCY): float(expected_cost(models, each, used)) for each, used in spent.items()}

    def cost_bars(self, kind: str) -> Values:
        """Return the costs of a kind of tokens by day."""
        found: Dict[Any, float] = {}
        for at, grown in self.month.grown.items():
            if self.start <= at <= self.now:
                costs = [expected_cost(self.month.models, each, grown[each, ""], (kind,)) for each in self.priced]
                key = ((CURRENCY,), midnight(at) // 1000)
                found[key] = found.get(key, 0) + float(sum(costs))
        return found

    def climb(self, used: Callable[[int, int], float], ago: bool) -> Dict[int, float]:
        """Return the sums since the month began, or since the last one did, by the day of this month, in seconds."""
        shift = self.now - month_before(self.now) if ago else 0
        start, found = month_start(self.now) - shift, {}
        for day in range(start, midnight(self.now) - shift + 1, DAY):
            if any(day <= at < day + DAY and at <= self.now for at in self.month.grown if at not in DOWN):
                found[(day + shift) // 1000] = used(start, day + DAY - 1)
        return found

    def budgets(self) -> Dict[str, List[Values]]:
        """Return the widgets of budgets, of all and of the team."""
        read_at = {"preset": min(self.now, END), "my_service": self.now}
        found: Dict[str, List[Values]] = {}
        budgets = expected_budgets(self.month.models, self.month.hour, read_at, (BEGAN, BEGAN), self.now)
        for (scope, team, unit), fields in budgets.items():
            of, group = (" by team", (team, unit)) if scope == "team" else ("", (unit,))
            shown = {
                f"Budget{of} used, %": 100 * fields["used_ratio"],
                f"Forecast{of}, % of the budget": 100 * fields["forecast_ratio"],
                f"Hours of the month{of} that are known, %": 100 * fields["covered_ratio"],
                "Budget by team": fields["limit"],
            }
            if "exhausted_timestamp_seconds" in fields:
                days = (fields["exhausted_timestamp_seconds"] - month_start(self.now) / 1000) / 86_400
                shown[f"Day of the month on which the budget{of} is used up"] = 1 + days
            for title, value in shown.items():
                if title != "Budget by team" or of:
                    found.setdefault(title, [{}])[0][group] = value
        return found

    def owners(self) -> Dict[str, List[Values]]:
        """Return the widgets of who owes what."""
        start, models = month_start(self.now), self.models
        tokens = {
            (*owner(name), name, models[each]): self.month.used(start, self.now, (each, key))[0]
            for key, name in self.keys.items()
            for each in models
        }
        costs = {
            (*owner(name), name, *cost): value
            for key, name in self.keys.items()
            for cost, value in self.costs(start, key).items()
        }
        by_label = {
            owner(label): self.month.used(start, self.now, *((name, label) for name in self.services))[0]
            for label in LABELS
            if label
        }
        by_key = {(*owner(name), CURRENCY): sum(self.costs(start, key).values()) for key, name in self.keys.items()}
        return {
            "Tokens by team and cost centre": [by_label],
            "Cost by team and cost centre": [by_key],
            "Tokens by team, key and model": [tokens],
            "Cost by team, key and model": [costs],
        }

    def limits(self, field: str, number: int) -> List[Values]:
        (shown,) = self.minutes(field)
        limits = {name: limits[number] for name, limits in LIMITS.items()}
        return [{key: value / limits[key[0][2]] for key, value in shown.items() if key[0][2] in limits}]

    def of(self) -> Dict[str, List[Values]]:
        month, models, used = self.month, self.models, partial(self.month.used, self.start, self.now)
        tokens, requests = ({(name,): used((each, ""))[i] for each, name in models.items()} for i in (0, 3))
        services = {(name,): used((name, ""))[0] for name in self.services}
        keys = {(name,): used(*((each, key) for each in models))[0] for key, name in self.keys.items()}
        labels = {(label,): used(*((name, label) for name in self.services))[0] for label in LABELS if label}
        all_tokens = sum(services.values())
        this_month = self.total(month_start)
        cost_this_month = sum(self.costs(month_start(self.now)).values())
        failing = {
            (*HERE, models[each]): newest_minute(month.models, (each, ""), self.now)["error_ratio"] for each in models
        }

        def whole(start: int, end: int) -> float:
            return month.used(start, min(end, self.now), *((name, "") for name in self.services))[0]

        def spent(start: int, end: int) -> float:
            return sum(self.costs(start, end=min(end, self.now)).values())

        errors, requests_per_hour = (self.bars(hour, field) for field in ("errors", "requests"))
        failed_share = {group: errors[group] / count for group, count in requests_per_hour.items() if count}
        return {
            "Requests per minute": self.minutes("requests_per_minute"),
            "Tokens per minute": self.minutes("tokens_per_minute"),
            "Errors per minute": self.minutes("errors_4xx", "errors_5xx"),
            "Latency, seconds": self.minutes("latency_seconds"),
            "Time to first token, seconds": self.minutes("time_to_first_token_seconds"),
            "Failing now, share of calls": [failing],
            "Tokens today": [{HERE: self.total(midnight)}],
            "Tokens this month": [{HERE: this_month}],
            **self.budgets(),
            **self.owners(),
            "Requests against the limit": self.limits("requests_per_minute", 0),
            "Tokens against the limit": self.limits("tokens_per_minute", 1),
            "Tokens since the month began, and a month earlier": [
                {((), at): value for at, value in self.climb(whole, ago).items()} for ago in (False, True)
            ],
            "Cost since the month began, and a month earlier": [
                {((CURRENCY,), at): value for at, value in self.climb(spent, ago).items()} for ago in (False, True)
            ],
            "Tokens per hour, and a week earlier": [self.bars(hour, shift=ago, whole=True) for ago in (0, WEEK)],
            "Cost this month": [{(CURRENCY,): cost_this_month}],
            "Tokens per hour": [self.bars(hour)],
            "Tokens per day": [self.bars(midnight)],
            "Requests per hour": [self.bars(hour, "requests")],
            "Failed calls per hour, share": [failed_share],
            "Cost per day, prompt and completion": [self.cost_bars("prompt"), self.cost_bars("completion")],
            "Tokens by model": [tokens],
            "Requests by model": [requests],
            "Cost by model": [self.costs(self.start)],
            "Tokens by API key": [keys],
            "Tokens by label": [labels],
            "Tokens by service type": [services],
            "Tokens without an API key": [{HERE: sum(tokens.values()) - sum(keys.values())}],
            "Tokens without a label": [{HERE: all_tokens - sum(labels.values())}],
        }


def hour(at: int) -> int:
    return at // HOUR * HOUR
