"""The account that the dashboards show, and what their panels must say of it, worked out from the ledger's hours."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple

import pytest

from maas_usage_check.standin.demo import DEMO_KEY
from maas_usage_check.standin.emulator import PROJECT_ID, Emulator, Refusal
from maas_usage_check.standin.ledger import API_KEYS, HOUR, LAG, SERVICE_TYPES, Ledger
from maas_usage_check.standin.server import serving

(AK, SK), *_ = DEMO_KEY.items()
REGION = "cn-southwest-2"
RANGES = ("last_7d", "last_14d", "last_30d", "today")
SHANGHAI = dt.timezone(dt.timedelta(hours=8))
NAMES = {"my_service": 1, "preset": 2, "custom_endpoint": 4}
TAGGED = {"team-search": "team-search", "team-support": "team-support", "online_experience": ""}
"""The labels that the configuration names, by their tag; what has none of them are the other keys."""
BUDGET = 1_000_000_000
USE = (
    "Tokens per range",
    "Budget used",
    "Today against the daily mean",
    "Tokens over time",
    "Prompt against completion",
    "Requests",
    "Errors",
    "Error ratio",
    "Tokens by service type",
    "Tokens by API key",
)
"""The panels that add up what was used."""
OFFERED = {
    "range": set(RANGES),
    "region": {REGION},
    "project_id": {PROJECT_ID},
    "service_type": set(NAMES),
    "infer_type": {"real_time", "batch"},
    "api_key": set(TAGGED),
}
"""What the dashboards' variables must offer."""

# Three instances of one project that overlap: all of it; a part of that again, with its keys; and one key alone. Only a
# tag of the user's tells their series apart, and yet nothing may count twice.
CONFIG = """\
init_config:
instances:
  - &all
    endpoint: {url}
    iam_endpoint: {url}
    state_dir: {state}
    timezone: Asia/Shanghai
    ranges: [last_7d, last_14d, last_30d, today]
    service_types: [my_service, preset, custom_endpoint]
    infer_types: [real_time, batch]
    deadline: 60
    max_requests_per_minute: 200
  - <<: *all
    ranges: [last_7d, last_14d]
    infer_types: [real_time]
    per_api_key: true
    api_keys: [team-search, team-support, ""]
    tags: ["view:by_key"]
  - <<: *all
    ranges: [last_30d]
    infer_types: [real_time]
    api_keys: [team-search]
    tags: ["team:search"]
"""


class Choice(NamedTuple):
    """Hold what a person chose in the dashboard's variables; None is All."""

    span: str = "last_7d"
    service_types: Optional[Tuple[str, ...]] = None
    infer_types: Optional[Tuple[str, ...]] = None
    api_keys: Optional[Tuple[str, ...]] = None

    def variables(self) -> Dict[str, Optional[Tuple[str, ...]]]:
        return {
            "range": (self.span,),
            "budget": (str(BUDGET),),
            "region": None,
            "project_id": (PROJECT_ID,),
            "service_type": self.service_types,
            "infer_type": self.infer_types,
            "api_key": self.api_keys,
        }


EVERYTHING = Choice()
A_PART = Choice("last_14d", ("preset", "my_service"), ("real_time",), ("team-search", "online_experience"))


class Books(Ledger):
    """The account's hours, of which one service type cannot be read for a while."""

    unreadable = ""

    def totals(self, asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        if asked["service_type"] == NAMES.get(self.unreadable):
            raise Refusal(400, "ModelArts.0104", "the statistics of this service type cannot be read now")
        return super().totals(asked, now)


@contextlib.contextmanager
def account(folder: Path) -> Iterator[Books]:
    """Serve the account; write a configuration that asks for all of it, conf.yaml in the folder."""
    books = Books()
    with serving(Emulator(DEMO_KEY, books)) as url:
        config = folder / "conf.yaml"
        config.write_text(CONFIG.format(url=url, state=folder / "state"), encoding="utf-8")
        yield books


def within_an_hour(feed: Callable[[], None]) -> float:
    """Feed the agents, and return when; again where a new hour began meanwhile, for then the totals moved."""
    for _ in range(2):
        began = time.time()
        feed()
        if time.time() // 3600 == began // 3600:
            return began
    raise AssertionError("two feedings took two hours")


def total(field: str, span: str, now: float, labels: Tuple[str, ...], service: str, infer_type: str) -> int:
    """Add up the hours of one series."""
    end = int(now * 1000)
    if span == "today":
        midnight = dt.datetime.fromtimestamp(now, SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
        start = int(midnight.timestamp() * 1000)
    else:
        start = end - int(span[5:-1]) * 24 * HOUR
    hours = list(Ledger().hours(NAMES[service], infer_type, labels, start, end - LAG))
    parts = ("prompt_tokens", "completion_tokens", "other_tokens") if field == "total_tokens" else (field,)
    return sum(getattr(hour, part) for hour in hours for part in parts)


def expected(choice: Choice, now: float) -> Dict[str, Dict[str, Any]]:
    """Say what each panel must show: values by legend, by title."""
    services = choice.service_types or tuple(NAMES)
    infer_types = choice.infer_types or ("real_time", "batch")

    def of(field: str, span: str, services: Tuple[str, ...] = services) -> int:
        labels = tuple(API_KEYS)
        return sum(total(field, span, now, labels, service, kind) for service in services for kind in infer_types)

    def key(label: str) -> int:
        return sum(total("total_tokens", span, now, (label,), service, "real_time") for service in services)

    span, health = choice.span, REGION
    assert set(NAMES.values()) == set(SERVICE_TYPES)
    return {
        "Tokens per range": {name: of("total_tokens", name) for name in RANGES},
        "Budget used": {"budget used": of("total_tokens", "last_30d") / BUDGET},
        "Today against the daily mean": {
            "today so far": of("total_tokens", "today"),
            "mean day of the last 7": of("total_tokens", "last_7d") / 7,
            "mean day of the last 30": of("total_tokens", "last_30d") / 30,
        },
        "Tokens over time": {name: of("total_tokens", name) for name in RANGES},
        "Prompt against completion": {
            "prompt": of("prompt_tokens", span),
            "completion": of("completion_tokens", span),
        },
        "Requests": {"requests": of("requests", span)},
        "Errors": {"errors": of("errors", span)},
        "Error ratio": {"error ratio": of("errors", span) / of("requests", span)},
        "Tokens by service type": {name: of("total_tokens", span, (name,)) for name in services},
        "Tokens by API key": {
            **{tag: key(label) for tag, label in TAGGED.items() if tag in (choice.api_keys or TAGGED)},
            "all keys": of("total_tokens", span),
            "other keys": of("total_tokens", span) - sum(map(key, TAGGED.values())),
        },
        "Collection up": {health: 1},
        "Result of the last cycle": {health: 0},
        "Last success": {health: pytest.approx(now * 1000, abs=60_000)},
        "Covered by the cloud's memory": dict.fromkeys(RANGES, 1),
        "Failed queries": {health: 0},
        "Duration of a cycle": {health: pytest.approx(30, abs=30)},
    }
