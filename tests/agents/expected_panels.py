"""The values that the Grafana dashboards must show of a simulated account."""

from __future__ import annotations

from typing import Callable, Dict, Iterable, Tuple

import pytest

from maas_usage_check.errors import Result

from .demo_account import REGION
from .expected_budgets import ExpectedBudgets
from .expected_hours import DAY, FIELDS, HOUR, Usage, sum_usage
from .expected_models import CURRENCY, expected_cost, model_names, newest_minute
from .grafana_dashboards import midnight, month_before, month_start
from .simulated_account import END, LABELS, LIMITS, SERVICES, Values


class ExpectedPanels(ExpectedBudgets):
    """Expected values of the panels, by legend, in time series also by time; in tables by column and tags."""

    def is_known(self, start: int, end: int) -> bool:
        """Return whether the store has any value for a window, 0 included."""
        return True

    def minutes_of(self, api_id: str) -> Iterable[Tuple[int, Dict[str, float]]]:
        raise NotImplementedError

    def cycles_shown(self) -> Iterable[Tuple[int, int]]:
        """Yield the times of a panel and the cycle that it shows at each."""
        raise NotImplementedError

    def total(self, span: str, shift: int = 0) -> int:
        """Return the tokens of a range that ends when each service type was last read, `shift` earlier."""
        began, found = {"today": midnight, "this_month": month_start}[span], 0
        for name in self.services:
            at = max(when for when in self.account.read_at[name] if when <= self.picked.end - shift)
            found += sum_usage(*(self.account.hour(hour, at, name) for hour in range(began(at), at, HOUR)))[0]
        return found

    def bars(self, step: int, value: Callable[[Usage], float]) -> Values:
        first, last = ((at + 8 * HOUR) // step * step - 8 * HOUR for at in self.picked)
        return {
            (name, at): value(used)
            for name in self.services
            for at in range(first, last + 1, step)
            if self.is_known(at, at + step)
            for used in [self.between(at, at + step, (name, ""))]
            if used[3] or value is not ratio
        }

    def cost_bars(self) -> Values:
        models, (first, last) = self.account.models, map(midnight, self.picked)
        return {
            (f"{kind} {CURRENCY}", at): sum(
                float(expected_cost(models, each, self.between(at, at + DAY, (each, "")), (kind,)))
                for each in self.models
                if each in model_names(models)
            )
            for kind in ("prompt", "completion")
            for at in range(first, last + 1, DAY)
            if self.is_known(at, at + DAY)
        }

    def hours_of_days(self) -> Values:
        whole = [(name, "") for name in self.services]
        return {
            (f"{(at - midnight(at)) // HOUR:02}:00", midnight(at)): self.between(at, at + HOUR, *whole)[0]
            for at in range(midnight(self.picked.end - 29 * DAY), midnight(self.picked.end) + DAY, HOUR)
            if self.is_known(at, at + HOUR)
        }

    def minutes(self, *fields: str) -> Values:
        return {
            (f"{name} {REGION} {field[-3:]}" if len(fields) > 1 else f"{name} {REGION}", at): shown[field]
            for api_id, name in self.models.items()
            for at, shown in self.minutes_of(api_id)
            for field in fields
            if field in shown
        }

    def cycles(self, field: str) -> Values:
        return {(REGION, at): self.api_fields[cycle][field] for at, cycle in self.cycles_shown()}

    def cost(self, start: int, end: int) -> Values:
        return {CURRENCY: sum(self.costs(start, until=end).values())}

    def of_models(self, field: int) -> Values:
        return {name: self.used((each, ""))[field] for each, name in self.models.items()}

    def of_keys(self) -> Values:
        return {name: self.used(*((each, key) for each in self.models))[0] for key, name in self.keys.items()}

    def of_labels(self) -> Values:
        return {label: self.used(*((name, label) for name in self.services))[0] for label in LABELS if label}

    def limits(self, field: str, number: int) -> Values:
        wanted = {f"{name} {REGION}": limits[number] for name, limits in LIMITS.items()}
        return {(name, at): value / wanted[name] for (name, at), value in self.minutes(field).items() if name in wanted}

    def failing(self) -> Values:
        newest_minutes = {
            name: newest_minute(self.account.models, (each, ""), self.now) for each, name in self.models.items()
        }
        return {f"{name} {REGION}": shown["error_ratio"] for name, shown in newest_minutes.items()}

    def newest_use(self) -> int:
        hours = range(END - DAY, self.picked.end, HOUR)
        return max(at + HOUR for at in hours for name in SERVICES if self.account.hour(at, self.now, name)[0])

    def of(self, title: str) -> Values:
        end, fails = self.picked.end, self.now == self.account.partial
        panels: Dict[str, Callable[[], Values]] = {
            "Requests per minute": lambda: self.minutes("requests_per_minute"),
            "Tokens per minute": lambda: self.minutes("tokens_per_minute"),
            "Errors per minute": lambda: self.minutes("errors_4xx", "errors_5xx"),
            "Latency": lambda: self.minutes("latency_seconds"),
            "Time to first token": lambda: self.minutes("time_to_first_token_seconds"),
            "Failing now": self.failing,
            "Tokens today": lambda: {"today": self.total("today")},
            "Tokens of the same day last week, by this time": lambda: {"a week ago": self.total("today", 7 * DAY)},
            "Tokens this month": lambda: {"this month": self.total("this_month")},
            "Tokens last month, by this time": lambda: {
                "a month ago": self.total("this_month", end - month_before(end))
            },
            "Cost today": lambda: self.cost(midnight(end), end),
            "Cost this month": lambda: self.cost(month_start(end), end),
            "Cost last month, by this time": lambda: self.cost(month_before(month_start(end)), month_before(end)),
            "Requests against the limit": lambda: self.limits("requests_per_minute", 0),
            "Tokens against the limit": lambda: self.limits("tokens_per_minute", 1),
            "Budget used": lambda: self.budget_ratios("used_ratio"),
            "Forecast against the budget": lambda: self.budget_ratios("forecast_ratio"),
            "Budgets": self.budget_table,
            "Teams": self.teams,
            "Tokens by team": self.tokens_by_team,
            "Cost by team": self.cost_by_team,
            "Keys and models": self.keys_and_models,
            "Tokens per hour": lambda: self.bars(HOUR, lambda used: used[0]),
            "Tokens per day": lambda: self.bars(DAY, lambda used: used[0]),
            "Requests per hour": lambda: self.bars(HOUR, lambda used: used[3]),
            "Failed calls per hour": lambda: self.bars(HOUR, ratio),
            "Cost per day": self.cost_bars,
            "Tokens by hour of the day, last 30 days": self.hours_of_days,
            "Tokens by model": lambda: self.of_models(0),
            "Requests by model": lambda: self.of_models(3),
            "Cost by model": self.costs,
            "Tokens by service type": lambda: {name: self.used((name, ""))[0] for name in self.services},
            "Tokens by API key": self.of_keys,
            "Tokens by label": self.of_labels,
            # The worse one of the two instances shows: all queries of one of them were refused.
            "Collection": lambda: {REGION: 0 if fails else 1},
            "Result of the last cycle": lambda: {REGION: Result.REQUEST_REJECTED if fails else 0},
            "Last answer": lambda: {REGION: min(self.now, END)},
            "Newest usage": lambda: {REGION: self.newest_use()},
            "Missing hours": lambda: {REGION: self.api_fields[self.now]["missing_hours"]},
            "Coverage of the ranges": lambda: {"today": 1, "this_month": 1, "last_7d": 1},
            "Requests per cycle": lambda: self.cycles("http_requests"),
            "Failed queries": lambda: self.cycles("failed_queries"),
            "Duration of a cycle": lambda: self.cycles("duration_seconds"),
        }
        shown = panels[title]()
        return {key: pytest.approx(value) if isinstance(value, float) else value for key, value in shown.items()}


def ratio(used: Usage) -> float:
    return used[FIELDS.index("errors")] / used[FIELDS.index("requests")]
