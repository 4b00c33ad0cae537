"""An account with simulated usage, and the values that the Grafana dashboards must show of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Tuple

import pytest

from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.errors import Result

from ..conftest import NOW
from .collect_runner import CollectRunner
from .demo_account import REGION
from .expected_hours import (
    DAY,
    EVERY_KEY,
    FIELDS,
    HOUR,
    ExpectedCounts,
    HourlyUsage,
    ServiceCounts,
    SignatureTimeEmulator,
    Usage,
    expected_hour,
    sum_usage,
)
from .expected_models import (
    CURRENCY,
    TRAFFIC,
    ModelCounts,
    all_series,
    expected_cost,
    model_entry,
    model_names,
    newest_minute,
)
from .grafana_dashboards import Chosen, Range, midnight, month_start

END = int(NOW * 1000)
"""2026-11-23 20:00 in Shanghai, milliseconds."""
SERVICES = {"preset": 2, "my_service": 1}
LABELS = {"": EVERY_KEY, "team-search": ("team-search",), "online_experience": ("",)}
"""Labels by their tag; the empty tag stands for all labels together."""
BUDGET, COST_BUDGET = 50_000_000, 300
"""Below the usage."""
ENTRY = {
    "timezone": "Asia/Shanghai",
    "hourly": True,
    "ranges": ["today", "this_month", "last_7d"],
    "api_keys": ["team-search", ""],
    "per_api_key": True,
    "max_requests_per_minute": 20_000,
    "deadline": 60,
    "service_types": list(SERVICES),
}
OVERLAPPING = {"service_types": ["preset"], "tags": ["view:again"]}
"""Another instance with a part of the same queries; only a user's tag differs, and nothing may count twice."""
Values = Dict[Any, Any]
Series = Tuple[str, str]
"""A service type and a label, or a model and a key; an empty label or key stands for all together."""


def expected_counts(usage: SimulatedUsage, models: SimulatedModels, began: int) -> Dict[Series, ExpectedCounts]:
    """Return the expected counts of all services, labels, models and keys since `began`."""
    return {
        **{
            (name, label): ServiceCounts(usage, began, service_type=number, labels=labels)
            for name, number in SERVICES.items()
            for label, labels in LABELS.items()
        },
        **{each: ModelCounts(models, each, began) for each in all_series(models)},
    }


class SimulatedAccount(CollectRunner):
    """Runs cycles over simulated usage; at the time `partial`, the cloud refuses queries of preset services."""

    partial: int
    store_url: str
    """URL of the Prometheus or InfluxDB that holds its points."""

    def __init__(self, folder: Path, output_format: str, backfill: int, third_appears: int = 0) -> None:
        self.file = folder / "out.prom"
        self.usage = HourlyUsage(late=True)
        third = SimulatedModels(3).ids()[2]
        self.models = SimulatedModels(3, 2, TRAFFIC, late=True, appears={third: third_appears})
        self.cloud = SignatureTimeEmulator(self.usage, self.models)
        self.cloud.requests_per_minute = 20_000  # a backfill in one cycle
        self.api_fields: Dict[int, Dict[str, float]] = {}
        """Fields of the api measurement, by the time of the cycle."""
        self.read_at: Dict[str, List[int]] = {name: [] for name in SERVICES}
        """Times at which each service type was read."""
        entry = {**ENTRY, "backfill_days": backfill}
        super().__init__(
            folder, self.cloud, output_format, {**entry, **OVERLAPPING}, {**entry, **model_entry(self.models)}
        )

    def cycle(self, at: int) -> str:
        """Run a cycle at `at`, milliseconds; return its output files."""
        self.usage.refused_service_type = SERVICES["preset"] if at == self.partial else 0
        done = self.collect(at, "--output", str(self.file))
        assert done.returncode == (1 if self.cloud.is_down else 0), done.stderr
        for name, number in SERVICES.items():
            if not self.cloud.is_down and number != self.usage.refused_service_type:
                self.read_at[name].append(at)
        return "".join(file.read_text() for file in sorted(self.folder.glob("out*.prom")))

    def record(self, at: int, field: str, value: float) -> None:
        """Record a field of the api measurement, the larger one of the two instances."""
        fields = self.api_fields.setdefault(at, {})
        fields[field] = max(value, fields.get(field, 0))

    def hour(self, at: int, now: int, service: str, label: str = "") -> Usage:
        """Return what the cloud reports at `now` for the hour that begins at `at`."""
        return expected_hour(self.usage, at, now, SERVICES[service], LABELS[label])


class ExpectedPanels:
    """Expected values of the panels, by legend, or for a time series by legend and time."""

    def __init__(self, account: SimulatedAccount, chosen: Chosen, picked: Range) -> None:
        self.account, self.picked, self.api_fields = account, picked, account.api_fields
        self.services = chosen["service_type"] or tuple(SERVICES)
        names = {api_id: model_names(account.models).get(api_id, api_id) for api_id in account.models.ids()}
        self.models = {api_id: name for api_id, name in names.items() if name in (chosen["model"] or names.values())}
        self.keys = sorted({key for _, key in all_series(account.models) if key})
        self.now = max(at for at in account.api_fields if at <= picked.end)

    def between(self, start: int, end: int, *wanted: Series) -> Usage:
        """Return the usage that the store shows for a window."""
        raise NotImplementedError

    def is_known(self, start: int, end: int) -> bool:
        """Return whether the store has any value for a window, 0 included."""
        return True

    def minutes_of(self, api_id: str) -> Iterable[Tuple[int, Dict[str, float]]]:
        raise NotImplementedError

    def cycles_shown(self) -> Iterable[Tuple[int, int]]:
        """Yield the times of a panel and the cycle that it shows at each."""
        raise NotImplementedError

    def forecast(self) -> float:
        raise NotImplementedError

    def used(self, *wanted: Series, since: int = 0) -> Usage:
        return self.between(since or self.picked.start, self.picked.end, *wanted)

    def total(self, span: str, shift: int = 0) -> int:
        """Return the tokens of a range that ends when each service type was last read, `shift` earlier."""
        began, found = {"today": midnight, "this_month": month_start, "last_7d": lambda at: at - 7 * DAY}[span], 0
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

    def costs(self, since: int = 0) -> Dict[str, float]:
        models = self.account.models
        return {
            f"{name} {CURRENCY}": float(expected_cost(models, each, self.used((each, ""), since=since)))
            for each, name in self.models.items()
            if each in model_names(models)
        }

    def of_models(self, field: int) -> Values:
        return {name: self.used((each, ""))[field] for each, name in self.models.items()}

    def of_keys(self) -> Values:
        return {key: self.used(*((each, key) for each in self.models))[0] for key in self.keys}

    def of_labels(self) -> Values:
        return {label: self.used(*((name, label) for name in self.services))[0] for label in LABELS if label}

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
            "Budget used": lambda: {"budget used": self.total("this_month") / BUDGET},
            "Forecast for the month": lambda: {"forecast": self.forecast()},
            "Forecast against the budget": lambda: {"forecast": self.forecast() / BUDGET},
            "Cost today": lambda: {CURRENCY: sum(self.costs(midnight(end)).values())},
            "Cost this month": lambda: {CURRENCY: sum(self.costs(month_start(end)).values())},
            "Cost against the budget": lambda: {CURRENCY: sum(self.costs(month_start(end)).values()) / COST_BUDGET},
            "Tokens per hour": lambda: self.bars(HOUR, lambda used: used[0]),
            "Tokens per day": lambda: self.bars(DAY, lambda used: used[0]),
            "Requests per hour": lambda: self.bars(HOUR, lambda used: used[3]),
            "Failed calls per hour": lambda: self.bars(HOUR, ratio),
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


def choose(**chosen: Tuple[str, ...]) -> Chosen:
    """Choose values of the dashboard's variables; the others are All."""
    everything = dict.fromkeys(("region", "project_id", "service_type", "infer_type", "model"))
    text_boxes = {"budget": BUDGET, "cost_budget": COST_BUDGET, "timezone": "Asia/Shanghai", "utc_offset": 8}
    return {**everything, **{name: (str(value),) for name, value in text_boxes.items()}, **chosen}
