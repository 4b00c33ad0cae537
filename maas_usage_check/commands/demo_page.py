"""The page of `demo --serve`: an instance with a history, and with budgets that tell a story on every day."""

from __future__ import annotations

import contextlib
import math
import os
from decimal import Decimal
from typing import Any, Dict, Tuple

from ..clock import Clock
from ..config import Instance, load_instance
from ..config.ranges import month_window
from ..emulator.demo import TEAMS, SimulatedAccount, write_config
from ..emulator.emulator import PROJECT_ID
from ..ledger.month_budgets import read_budgets
from ..state import Store
from .demo_history import write_history
from .runner import open_store

CONFIG, FOLDER = "page.yaml", "page"
UNLIMITED = 10**15
ROOM, TIGHT, RUNS_OUT, NEARLY_USED_UP = "room", "tight", "runs out this month", "nearly used up"
STORIES = {"tokens": ROOM, "cost": TIGHT, "search": ROOM, "support": NEARLY_USED_UP, "batch": RUNS_OUT}
"""By budget: that of the instance in tokens and in cost, and those of the teams in tokens."""


def prepare_page(account: SimulatedAccount, clock: Clock) -> str:
    """Write a configuration with a state of its own, which has a history; return its path."""
    folder, now = os.path.join(account.folder, FOLDER), clock.now()
    os.mkdir(folder, 0o700)
    entry = {**account.instance, "project_id": PROJECT_ID, "state_dir": os.path.join(folder, "state")}
    unlimited = _budgets(dict.fromkeys(STORIES, UNLIMITED))
    instance = load_instance({**entry, **unlimited}, {}, CONFIG, now)
    with contextlib.closing(open_store([instance], lambda text: None, clock)) as store:
        write_history(store, instance, account, PROJECT_ID, int(now * 1000))
        limits = choose_limits(store, instance, int(now * 1000))
    return write_config(folder, CONFIG, {**entry, **_budgets(limits)}, 0o600)


def choose_limits(store: Store, instance: Instance, now_ms: int) -> Dict[str, int]:
    """Return a limit for each budget, with which its story is true now; without use none can be nearly used up."""
    zone = instance.zone()
    month = month_window(now_ms, zone)
    last_month = month_window(month.start - 1, zone)
    before = [status.used for _, status in read_budgets(store, instance, PROJECT_ID, last_month, month.start)]
    limits: Dict[str, int] = {}
    for (budget, status), used_before in zip(read_budgets(store, instance, PROJECT_ID, month, now_ms), before):
        name = budget.tags.get("team", budget.kind)
        story = STORIES[name] if status.used or STORIES[name] != NEARLY_USED_UP else RUNS_OUT
        forecast = status.forecast or used_before or Decimal(0)
        limits[name] = round_number(*_range(story, status.used or Decimal(0), forecast))
    return limits


def _range(story: str, used: Decimal, forecast: Decimal) -> Tuple[Decimal, Decimal]:
    """Return the least and the largest limit with which a story is true."""
    if story == ROOM:
        return forecast * 3 / 2, forecast * 2
    if story == TIGHT:
        return forecast * 102 / 100, forecast * 110 / 100
    if story == NEARLY_USED_UP:
        return used / 95 * 100, used / 88 * 100
    return used + (forecast - used) * 4 / 10, used + (forecast - used) * 7 / 10


def round_number(low: Decimal, high: Decimal) -> int:
    """Return the number in a range that has the most zeros at its end; at least 1."""
    for exponent in range(15, -1, -1):
        number: int = math.ceil(low / 10**exponent) * 10**exponent
        if 0 < number <= high:
            return number
    return max(1, math.ceil(low))


def _budgets(limits: Dict[str, int]) -> Dict[str, Any]:
    """Return the budgets of the instance, and its teams with theirs."""
    teams = {**TEAMS, "batch": {"api_keys": ["batch-jobs"], "cost_center": "CC-4713"}}
    return {
        "budget": {kind: limits[kind] for kind in ("tokens", "cost")},
        "teams": {name: {**team, "budget": {"tokens": limits[name]}} for name, team in teams.items()},
    }
