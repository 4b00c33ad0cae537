"""The hours' share of a cycle."""

from __future__ import annotations

from functools import partial
from typing import Dict, List, Optional, Sequence

from ..clock import Clock
from ..cloud import Api
from ..config import Instance
from ..errors import QueryError
from ..ledger import Account, Consumer, Emitted, HourPlanner, emit
from ..metrics import Number
from ..scheduling import QueryTask
from ..state import Store
from .background import Cycle, Share
from .problems import Problem
from .run_with_deadline import give_in_time, lost, told

NOT_BELIEVED = "hours and counts are paused and checked again in an hour; report it if it lasts"


class Hourly:
    """Keep the hours of one instance, and give them out to one consumer; see Keeper."""

    def __init__(self, instance: Instance, source: Api, store: Store, consumer: Consumer, clock: Clock) -> None:
        self.source = source
        self._instance = instance
        self._consumer = consumer
        self._clock = clock
        self._planner = HourPlanner(instance, store)

    def asks(self, account: Account, now: int, answered: bool) -> Sequence[QueryTask]:
        """List the questions about the hours, of a cloud that answered those about the ranges."""
        return self._planner.plan(account, now) if answered else ()

    def asked(self, now: int) -> Sequence[QueryError]:
        """Take note of what was asked."""
        self._planner.record_queried(now)
        return ()

    def give(self, cycle: Cycle, ends: Sequence[Optional[QueryError]]) -> Share:
        """Make the hours' share of a batch."""
        failures, answered = [end for end in ends if end is not None], cycle.answered or None in ends
        make = partial(emit, self._planner, self._consumer, cycle.account, cycle.now, cycle.tags, answered)
        made = give_in_time(self._clock, self._planner.store, cycle.give_up, make)
        where = self._instance.display_name
        problems: List[Problem] = []
        keys = {f"{where} hours"} if None in ends else set()
        if failures:
            text = told(failures, "some hours were not asked")
            problems.append(Problem("W", f"{where}: {text}", f"{where} hours"))
        if not isinstance(made, Emitted):
            paused = lost(where, "hours' state", "Hours and counters are paused", made)
            return Share([], {}, [*problems, paused], is_partial=True, answered=keys)
        if cycle.trouble:
            problems.append(lost(where, "hours' state", "Some hours were not asked", cycle.trouble))
        if made.failed:
            problems.append(Problem("W", f"{where}: {made.failed}; {NOT_BELIEVED}", f"{where} hours' sum"))
        problems += [Problem("I", f"{where}: {text}", text) for text in made.notices]
        health: Dict[str, Number] = {}
        if made.missing_hours is not None:
            health["missing_hours"] = made.missing_hours
        if made.newest_use_ms:
            health["newest_usage_timestamp_seconds"] = made.newest_use_ms // 1000
        is_partial = bool(made.failed) or cycle.trouble is not None
        keys |= {f"{where} hours' state", f"{where} hours' sum"}
        return Share(made.points, health, problems, is_partial, keys)
