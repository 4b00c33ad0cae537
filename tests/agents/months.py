"""A simulated month of an account whose every number is known, for the dashboards' stores."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Set, Tuple

import pytest

from maas_usage_check.errors import Result
from maas_usage_check.standin.emulator import PROJECT_ID, Refusal
from maas_usage_check.standin.ledger import Ledger
from maas_usage_check.standin.models import Models

from ..conftest import NOW
from .account import REGION
from .collecting import Collecting
from .dashboards import Chosen, Range, midnight, month_began
from .hours import DAY, EVERY_KEY, FIELDS, HOUR, NOTHING, SentCloud, Use, added, use
from .models import CURRENCY, config_of, cost, named, newest, series_of
from .models import use as use_of_model

END = int(NOW * 1000)
"""2026-11-23 20:00 in Shanghai, milliseconds."""
SERVICES = {"preset": 2, "my_service": 1}
LABELS = {"": EVERY_KEY, "team-search": ("team-search",), "online_experience": ("",)}
"""By its tag; the label of the whole is empty."""
BUDGET, COST_BUDGET = 50_000_000, 300
"""Less than was used."""
CONFIG = """\
init_config:
instances:
  - &all
    endpoint: {url}
    iam_endpoint: {url}
    cloud_eye_endpoint: {url}
    state_dir: {folder}/state
    timezone: Asia/Shanghai
    hourly: true
    backfill_days: {backfill}
    ranges: [today, this_month, last_7d]
    api_keys: [team-search, ""]
    per_api_key: true
    max_requests_per_minute: 5000
    deadline: 60
    service_types: [preset]
    tags: ["view:again"]
  - <<: *all
    service_types: [preset, my_service]
    tags: []
"""
"""Two instances that ask the same: only a tag of the user's tells their series apart, and nothing may count twice."""
Values = Dict[Any, Any]
Series = Tuple[str, str]
"""A service type and a label, or a model and a key; the label or key of the whole is empty."""


class Books(Ledger):
    """The account's hours: something new is said at full hours alone, and a service type may be unreadable."""

    unreadable = 0

    def totals(self, asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        if asked["service_type"] == self.unreadable:
            raise Refusal(400, "ModelArts.0104", "the statistics of this service type cannot be read now")
        return super().totals(asked, now // HOUR * HOUR)


class Counts:
    """Work out what must have been counted of one series: the most that its hours ever added up to.

    Args:
        hour: what the cloud says of the hour that begins at a moment, at another; nothing changes after two days.
        began: when the counting began, milliseconds; the hours that ended after it count.
    """

    def __init__(self, hour: Callable[[int, int], Use], began: int) -> None:
        self._hour = hour
        self._next = began // HOUR * HOUR
        self._old = NOTHING
        self.most = NOTHING

    def look(self, now: int) -> None:
        """Take note of what the cloud says at a moment."""
        while self._next + 2 * DAY < now:
            self._old = added(self._old, self._hour(self._next, now))
            self._next += HOUR
        known = added(self._old, *(self._hour(at, now) for at in range(self._next, now // HOUR * HOUR, HOUR)))
        self.most = tuple(map(max, self.most, known))


def counts_since(books: Ledger, models: Models, began: int) -> Dict[Series, Counts]:
    """Begin the counts of all services, labels, models and keys."""

    def of_service(number: int, labels: Tuple[str, ...], at: int, now: int) -> Use:
        return use(books, at, now // HOUR * HOUR, number, labels)

    return {
        **{
            (name, label): Counts(partial(of_service, number, labels), began)
            for name, number in SERVICES.items()
            for label, labels in LABELS.items()
        },
        **{each: Counts(partial(use_of_model, models, each), began) for each in series_of(models)},
    }


class Account(Collecting):
    """Run the plugin's cycles, and keep how each went, by when it ran."""

    def __init__(self, folder: Path, form: str, backfill: int, third_appears: int = 0) -> None:
        self.file = folder / "out.prom"
        self.books = Books(late=True)
        self.models = Models(3, 2, late=True, appears={Models(3).ids()[2]: third_appears})
        self.cloud = SentCloud(self.books, self.models)
        self.cloud.requests_per_minute = 5000  # a backfill in one cycle
        self.state: Dict[int, Dict[str, float]] = {}
        super().__init__(folder, self.cloud, CONFIG.replace("{backfill}", str(backfill)) + config_of(self.models), form)

    def cycle(self, at: int) -> str:
        """Run a cycle at a moment, milliseconds; return what it wrote."""
        done = self.collect(at, "--output", str(self.file))
        assert done.returncode == (1 if self.cloud.is_down else 0), done.stderr
        return "".join(file.read_text() for file in sorted(self.folder.glob("out*.prom")))

    def note(self, at: int, field: str, value: float) -> None:
        """Keep the worse of what two instances say."""
        said = self.state.setdefault(at, {})
        said[field] = max(value, said.get(field, 0))

    def hours(self, start: int, now: int, services: Tuple[str, ...] = tuple(SERVICES)) -> Use:
        """Add up what the cloud says at a moment of the hours from `start` on."""
        return added(*(self.hour(at, now, services) for at in range(start, now, HOUR)))

    def hour(self, at: int, now: int, services: Tuple[str, ...] = tuple(SERVICES), label: str = "") -> Use:
        """Say what the cloud says at a moment of the hour that begins at `at`."""
        said = now // HOUR * HOUR
        return added(*(use(self.books, at, said, SERVICES[name], LABELS[label]) for name in services))


class Truth:
    """Say what panels must show of an account, by legend; over time by legend and time."""

    PARTIAL: int
    """When preset services could not be read."""

    def __init__(self, account: Account, chosen: Chosen, picked: Range) -> None:
        self.account, self.picked, self.state = account, picked, account.state
        self.services = chosen["service_type"] or tuple(SERVICES)
        names = {api_id: named(account.models).get(api_id, api_id) for api_id in account.models.ids()}
        self.models = {api_id: name for api_id, name in names.items() if name in (chosen["model"] or names.values())}
        self.keys = sorted({key for _, key in series_of(account.models) if key})
        self.now = max(at for at in account.state if at <= picked.end)

    def used(self, service: str, label: str = "") -> Use:
        raise NotImplementedError

    def model(self, api_id: str, key: str = "", since: int = 0) -> Use:
        raise NotImplementedError

    def total(self, span: str, shift: int = 0) -> int:
        raise NotImplementedError

    def forecast(self) -> float:
        raise NotImplementedError

    def bars(self, step: int, value: Callable[[Use], float]) -> Values:
        raise NotImplementedError

    def hours_of_days(self) -> Values:
        raise NotImplementedError

    def minutes(self, *fields: str) -> Values:
        raise NotImplementedError

    def cycles(self, field: str) -> Values:
        raise NotImplementedError

    def costs(self, since: int = 0) -> Dict[str, float]:
        models = self.account.models
        return {
            f"{name} {CURRENCY}": float(cost(models, each, self.model(each, since=since)))
            for each, name in self.models.items()
            if each in named(models)
        }

    def of_models(self, field: int) -> Values:
        return {name: self.model(each)[field] for each, name in self.models.items()}

    def of_keys(self) -> Values:
        return {key: sum(self.model(each, key)[0] for each in self.models) for key in self.keys}

    def of_labels(self) -> Values:
        return {label: sum(self.used(name, label)[0] for name in self.services) for label in LABELS if label}

    def failing(self) -> Values:
        newest_minutes = {name: newest(self.account.models, (each, ""), self.now) for each, name in self.models.items()}
        return {f"{name} {REGION}": shown["error_ratio"] for name, shown in newest_minutes.items()}

    def newest_use(self) -> int:
        hours = range(END - DAY, self.picked.end, HOUR)
        return max(at + HOUR for at in hours if self.account.hour(at, self.now)[0])

    def of(self, title: str) -> Values:
        end, fails = self.picked.end, self.now == self.PARTIAL
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
            "Tokens by service type": lambda: {name: self.used(name)[0] for name in self.services},
            "Tokens by API key": self.of_keys,
            "Tokens by label": self.of_labels,
            # The worse of the two instances counts: to one of them nothing was readable.
            "Collection": lambda: {REGION: 0 if fails else 1},
            "Result of the last cycle": lambda: {REGION: Result.REQUEST_REJECTED if fails else 0},
            "Last answer": lambda: {REGION: min(self.now, END)},
            "The cloud knows until": lambda: {REGION: self.newest_use()},
            "Missing hours": lambda: {REGION: self.state[self.now]["missing_hours"]},
            "Covered by the cloud's memory": lambda: {"today": 1, "this_month": 1, "last_7d": 1},
            "Calls per cycle": lambda: self.cycles("http_requests"),
            "Failed queries": lambda: self.cycles("failed_queries"),
            "Duration of a cycle": lambda: self.cycles("duration_seconds"),
        }
        shown = panels[title]()
        return {key: pytest.approx(value) if isinstance(value, float) else value for key, value in shown.items()}


def ratio(used: Use) -> float:
    return used[FIELDS.index("errors")] / used[FIELDS.index("requests")]


def offered_by_variables(account: Account) -> Dict[str, Set[str]]:
    """Say what a dashboard's variables must offer."""
    models = {named(account.models).get(each, each) for each in account.models.ids()}
    here = {"region": {REGION}, "project_id": {PROJECT_ID}, "infer_type": {"real_time"}}
    return {**here, "service_type": set(SERVICES), "model": models}


def choice(**chosen: Tuple[str, ...]) -> Chosen:
    """Choose in the dashboard's variables; what is not named is All."""
    typed = {
        "budget": (str(BUDGET),),
        "cost_budget": (str(COST_BUDGET),),
        "timezone": ("Asia/Shanghai",),
        "utc_offset": ("8",),
    }
    return {**dict.fromkeys(("region", "project_id", "service_type", "infer_type", "model")), **typed, **chosen}
