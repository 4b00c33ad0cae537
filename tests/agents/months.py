"""A simulated month of an account whose every number is known, for the dashboards' stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Tuple

import pytest

from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.errors import Result

from ..conftest import NOW
from .account import REGION
from .collecting import Collecting
from .dashboards import Chosen, Range, midnight, month_began
from .hours import DAY, EVERY_KEY, FIELDS, HOUR, Books, Consumed, Counts, SentCloud, Use, added, use
from .models import CURRENCY, Counted, cost, entry_of, named, newest, series_of

END = int(NOW * 1000)
"""2026-11-23 20:00 in Shanghai, milliseconds."""
SERVICES = {"preset": 2, "my_service": 1}
LABELS = {"": EVERY_KEY, "team-search": ("team-search",), "online_experience": ("",)}
"""By its tag; the label of the whole is empty."""
BUDGET, COST_BUDGET = 50_000_000, 300
"""Less than was used."""
ENTRY = {
    "timezone": "Asia/Shanghai",
    "hourly": True,
    "ranges": ["today", "this_month", "last_7d"],
    "api_keys": ["team-search", ""],
    "per_api_key": True,
    "max_requests_per_minute": 5000,
    "deadline": 60,
    "service_types": list(SERVICES),
}
AGAIN = {"service_types": ["preset"], "tags": ["view:again"]}
"""Another instance that asks a part of the same: a tag of the user's tells them apart, and nothing may count twice."""
Values = Dict[Any, Any]
Series = Tuple[str, str]
"""A service type and a label, or a model and a key; the label or key of the whole is empty."""


def counts_since(books: SimulatedUsage, models: SimulatedModels, began: int) -> Dict[Series, Counts]:
    """Begin the counts of all services, labels, models and keys."""
    return {
        **{
            (name, label): Consumed(books, began, service_type=number, labels=labels)
            for name, number in SERVICES.items()
            for label, labels in LABELS.items()
        },
        **{each: Counted(models, each, began) for each in series_of(models)},
    }


class Account(Collecting):
    """Run the plugin's cycles; at `partial` preset services cannot be read."""

    partial: int
    store: str
    """The URL of what keeps its numbers."""

    def __init__(self, folder: Path, form: str, backfill: int, third_appears: int = 0) -> None:
        self.file = folder / "out.prom"
        self.books = Books(late=True)
        self.models = SimulatedModels(3, 2, late=True, appears={SimulatedModels(3).ids()[2]: third_appears})
        self.cloud = SentCloud(self.books, self.models)
        self.cloud.requests_per_minute = 5000  # a backfill in one cycle
        self.state: Dict[int, Dict[str, float]] = {}
        """How each cycle went, by when it ran."""
        self.read: Dict[str, List[int]] = {name: [] for name in SERVICES}
        """When each service type was read."""
        entry = {**ENTRY, "backfill_days": backfill}
        super().__init__(folder, self.cloud, form, {**entry, **AGAIN}, {**entry, **entry_of(self.models)})

    def cycle(self, at: int) -> str:
        """Run a cycle at a moment, milliseconds; return what it wrote."""
        self.books.unreadable = SERVICES["preset"] if at == self.partial else 0
        done = self.collect(at, "--output", str(self.file))
        assert done.returncode == (1 if self.cloud.is_down else 0), done.stderr
        for name, number in SERVICES.items():
            if not self.cloud.is_down and number != self.books.unreadable:
                self.read[name].append(at)
        return "".join(file.read_text() for file in sorted(self.folder.glob("out*.prom")))

    def note(self, at: int, field: str, value: float) -> None:
        """Keep the worse of what two instances say."""
        said = self.state.setdefault(at, {})
        said[field] = max(value, said.get(field, 0))

    def hour(self, at: int, now: int, service: str, label: str = "") -> Use:
        """Say what the cloud says at a moment of the hour that begins at `at`."""
        return use(self.books, at, now, SERVICES[service], LABELS[label])


class Truth:
    """Say what panels must show of an account, by legend; over time by legend and time."""

    def __init__(self, account: Account, chosen: Chosen, picked: Range) -> None:
        self.account, self.picked, self.state = account, picked, account.state
        self.services = chosen["service_type"] or tuple(SERVICES)
        names = {api_id: named(account.models).get(api_id, api_id) for api_id in account.models.ids()}
        self.models = {api_id: name for api_id, name in names.items() if name in (chosen["model"] or names.values())}
        self.keys = sorted({key for _, key in series_of(account.models) if key})
        self.now = max(at for at in account.state if at <= picked.end)

    def between(self, start: int, end: int, *wanted: Series) -> Use:
        """Add up what is shown of a window."""
        raise NotImplementedError

    def is_known(self, start: int, end: int) -> bool:
        """Say whether anything is shown of a window, and be it 0."""
        return True

    def minutes_of(self, api_id: str) -> Iterable[Tuple[int, Dict[str, float]]]:
        raise NotImplementedError

    def cycles_shown(self) -> Iterable[Tuple[int, int]]:
        """Go through the times of a panel, and the cycle that is shown at each."""
        raise NotImplementedError

    def forecast(self) -> float:
        raise NotImplementedError

    def used(self, *wanted: Series, since: int = 0) -> Use:
        return self.between(since or self.picked.start, self.picked.end, *wanted)

    def total(self, span: str, shift: int = 0) -> int:
        """Add up a range of which the end is when each service type was last read, or was so long before."""
        began, found = {"today": midnight, "this_month": month_began, "last_7d": lambda at: at - 7 * DAY}[span], 0
        for name in self.services:
            at = max(when for when in self.account.read[name] if when <= self.picked.end - shift)
            found += added(*(self.account.hour(hour, at, name) for hour in range(began(at), at, HOUR)))[0]
        return found

    def bars(self, step: int, value: Callable[[Use], float]) -> Values:
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
        return {(REGION, at): self.state[cycle][field] for at, cycle in self.cycles_shown()}

    def costs(self, since: int = 0) -> Dict[str, float]:
        models = self.account.models
        return {
            f"{name} {CURRENCY}": float(cost(models, each, self.used((each, ""), since=since)))
            for each, name in self.models.items()
            if each in named(models)
        }

    def of_models(self, field: int) -> Values:
        return {name: self.used((each, ""))[field] for each, name in self.models.items()}

    def of_keys(self) -> Values:
        return {key: self.used(*((each, key) for each in self.models))[0] for key in self.keys}

    def of_labels(self) -> Values:
        return {label: self.used(*((name, label) for name in self.services))[0] for label in LABELS if label}

    def failing(self) -> Values:
        newest_minutes = {name: newest(self.account.models, (each, ""), self.now) for each, name in self.models.items()}
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
            "Cost this month": lambda: {CURRENCY: sum(self.costs(month_began(end)).values())},
            "Cost against the budget": lambda: {CURRENCY: sum(self.costs(month_began(end)).values()) / COST_BUDGET},
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
            # The worse of the two instances counts: to one of them nothing was readable.
            "Collection": lambda: {REGION: 0 if fails else 1},
            "Result of the last cycle": lambda: {REGION: Result.REQUEST_REJECTED if fails else 0},
            "Last answer": lambda: {REGION: min(self.now, END)},
            "Newest usage": lambda: {REGION: self.newest_use()},
            "Missing hours": lambda: {REGION: self.state[self.now]["missing_hours"]},
            "Coverage of the ranges": lambda: {"today": 1, "this_month": 1, "last_7d": 1},
            "Requests per cycle": lambda: self.cycles("http_requests"),
            "Failed queries": lambda: self.cycles("failed_queries"),
            "Duration of a cycle": lambda: self.cycles("duration_seconds"),
        }
        shown = panels[title]()
        return {key: pytest.approx(value) if isinstance(value, float) else value for key, value in shown.items()}


def ratio(used: Use) -> float:
    return used[FIELDS.index("errors")] / used[FIELDS.index("requests")]


def choice(**chosen: Tuple[str, ...]) -> Chosen:
    """Choose in the dashboard's variables; what is not named is All."""
    everything = dict.fromkeys(("region", "project_id", "service_type", "infer_type", "model"))
    typed = {"budget": BUDGET, "cost_budget": COST_BUDGET, "timezone": "Asia/Shanghai", "utc_offset": 8}
    return {**everything, **{name: (str(value),) for name, value in typed.items()}, **chosen}
