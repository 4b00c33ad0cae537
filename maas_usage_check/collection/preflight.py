"""What can be known to go wrong before anything is asked."""

from __future__ import annotations

from functools import partial
from typing import Callable, Dict, List, Optional, Sequence

from ..clock import Clock
from ..cloud import readable_by_others
from ..config import CredentialsSource, Instance
from ..scheduling import tenth
from ..scheduling.worker_pool import Crew
from ..state import Warn, writable_by_others
from .collector import Collector


def forewarn(collectors: Sequence[Collector], warn: Warn, deadline: Optional[float] = None) -> None:
    """Say before anything is asked what can be known to go wrong; `deadline` is seconds, instead of the instances'."""
    sources: Dict[CredentialsSource, List[Collector]] = {}
    for collector in collectors:
        sources.setdefault(collector.instance.credentials, []).append(collector)
    for source, sharing in sources.items():
        instances = [collector.instance for collector in sharing]
        queries = sum(len(collector.plan().queries) for collector in sharing)
        asking = any(collector.asks_hours for collector in sharing)
        slow = slow_hours(instances, queries, deadline) if asking else None
        for too_many in (over_rate(instances, queries, deadline), slow):
            if too_many:
                warn(f"{', '.join(dict.fromkeys(instance.region for instance in instances))}: {too_many}")
        if source.path:
            others = _looked(partial(readable_by_others, source.path))
            if others:
                warn(f"credentials file {source.path}: {others}")
    for folder in dict.fromkeys(collector.instance.state_dir for collector in collectors):
        others = _looked(partial(writable_by_others, folder)) if folder else None
        if others:
            warn(f"state_dir {folder}: {others}")


def _looked(look: Callable[[], Optional[str]]) -> Optional[str]:
    """Look at the file system, which hangs where a drive does."""
    seen = Crew(Clock()).do({"": look}, give_up=Clock().monotonic() + 1.0).get("")
    return seen if isinstance(seen, str) else None


def over_rate(instances: Sequence[Instance], queries: int, deadline: Optional[float] = None) -> Optional[str]:
    """Say with the numbers that the cycles of one key cannot fit its rate and their deadline; None when they can."""
    limit = _limit(instances)
    kept = tenth(limit) if limit > 1 and any(instance.hourly for instance in instances) else 0
    seconds = _seconds(instances, deadline)
    room = (limit - kept) * _minutes(seconds)
    # A project that is remembered is not looked up, but that is known only once the key is.
    lookups = sum(1 for instance in instances if instance.project_id is None)
    calls, at_most = queries + lookups, "at most " if lookups else ""
    if calls <= room:
        return None
    less = ", less a tenth for the hours" if kept else ""
    return (
        f"{at_most}{calls} calls are planned per cycle, but {limit} a minute (max_requests_per_minute{less}) let "
        f"{room} through within the deadline of {seconds:g} s: {at_most}{calls - room} will be left out and go first "
        "in the next cycle; ask fewer ranges, service types or labels"
    )


def slow_hours(instances: Sequence[Instance], queries: int, deadline: Optional[float] = None) -> Optional[str]:
    """Say with the numbers that hours cannot be asked as often as they may change; None when they can.

    Every hour each of the last three hours of a series is asked, and once its past.
    """
    hourly = [instance for instance in instances if instance.hourly]
    if not hourly:
        return None
    from ..ledger import list_series

    series = [len(list_series(instance)) for instance in hourly]
    past = sum(count * instance.backfill_days * 24 for count, instance in zip(series, hourly))
    limit, interval = _limit(instances), max(instance.min_collection_interval for instance in hourly)
    room = max(tenth(limit), limit - queries) * _minutes(_seconds(instances, deadline))
    left = int(min(room * 3600 / interval, limit * 60))
    calls = 4 * sum(series)
    if calls <= left:
        return None
    return (
        f"the hours of {sum(series)} series take {calls} calls an hour, but max_requests_per_minute of {limit} leaves "
        f"{left} beside the ranges in cycles {interval:g} s apart (min_collection_interval): an hour may be wrong for "
        f"more than 70 minutes after it is over, and its {past:,} hours of the past may take "
        f"{-(-past * 6 // 5 // max(1, left) // 24):,} days; ask fewer service types or labels"
    )


def _limit(instances: Sequence[Instance]) -> int:
    return min(instance.max_requests_per_minute for instance in instances)


def _seconds(instances: Sequence[Instance], deadline: Optional[float]) -> float:
    return max(instance.deadline for instance in instances) if deadline is None else deadline


def _minutes(seconds: float) -> int:
    """Count the minutes of the rate that a cycle can use."""
    return 1 + int(seconds // 61)
