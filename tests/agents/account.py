"""The account that the dashboards show, and what their panels must say of it, worked out from the ledger's hours."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

from maas_usage_check.standin.demo import DEMO_KEY
from maas_usage_check.standin.emulator import Emulator, Refusal
from maas_usage_check.standin.ledger import API_KEYS, HOUR, LAG, Ledger
from maas_usage_check.standin.server import serving

(AK, SK), *_ = DEMO_KEY.items()
REGION = "cn-southwest-2"
RANGES = ("last_7d", "last_14d", "last_30d", "today")
SHANGHAI = dt.timezone(dt.timedelta(hours=8))
INFER_TYPES = ("real_time", "batch")
NAMES = {"my_service": 1, "preset": 2, "custom_endpoint": 4}
TAGGED = {"team-search": "team-search", "team-support": "team-support", "online_experience": ""}
"""The labels that the configuration names, by their tag; what has none of them are the other keys."""
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


def by_service_type(field: str, span: str, now: float, infer_types: Tuple[str, ...] = INFER_TYPES) -> Dict[str, int]:
    """Add up all calls of each service type."""
    keys = tuple(API_KEYS)
    return {name: sum(total(field, span, now, keys, name, kind) for kind in infer_types) for name in NAMES}
