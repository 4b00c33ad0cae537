"""Warnings about limits and permissions, before anything is sent."""

from __future__ import annotations

from functools import partial
from typing import Callable, Dict, List, Optional, Sequence

from ..clock import Clock
from ..cloud import Statistics, readable_by_others
from ..config import CredentialsSource, Instance
from ..scheduling import background_share
from ..state import Warn, writable_by_others
from ..watchdog import run_with_deadline
from .collector import Collector

FILE_S = 1.0
"""Seconds to wait for the file system, which hangs where a drive does."""


def run_preflight(collectors: Sequence[Collector], warn: Warn, timeout: Optional[float] = None) -> None:
    """Warn of limits that the configuration exceeds, and of files that others can change or read.

    Args:
        collectors: of one file, or of one check.
        warn: takes one line.
        timeout: seconds of a cycle, instead of the instances' deadline.
    """
    sources: Dict[CredentialsSource, List[Collector]] = {}
    for collector in collectors:
        sources.setdefault(collector.instance.credentials, []).append(collector)
    for source, sharing in sources.items():
        instances = [collector.instance for collector in sharing]
        queries = sum(len(collector.plan().queries) for collector in sharing)
        seconds = _seconds(instances, timeout) + max(collector.rate_extension_s for collector in sharing)
        collects_hours = any(collector.consumer is not None for collector in sharing)
        slow = slow_hours(instances, queries, timeout) if collects_hours else None
        for text in (over_rate(instances, queries, seconds), slow):
            if text:
                warn(f"{', '.join(dict.fromkeys(instance.region for instance in instances))}: {text}")
        if source.path:
            others = _inspect(partial(readable_by_others, source.path))
            if others:
                warn(f"credentials file {source.path}: {others}")
    for folder in dict.fromkeys(collector.instance.state_dir for collector in collectors):
        others = _inspect(partial(writable_by_others, folder)) if folder else None
        if others:
            warn(f"state_dir {folder}: {others}")


def over_rate(instances: Sequence[Instance], queries: int, timeout: Optional[float] = None) -> Optional[str]:
    """Write, with the numbers, that the cycles of one key cannot fit its rate and their deadline; None if they can."""
    limit, seconds = _limit(instances), _seconds(instances, timeout)
    room = limit * _minutes(seconds)
    # A stored project is not looked up, but which are stored is known only once the access key is.
    lookups = sum(1 for instance in instances if instance.project_id is None)
    requests, at_most = queries + lookups, "at most " if lookups else ""
    if requests <= room:
        return None
    return (
        f"{at_most}{requests} requests are planned per cycle, but max_requests_per_minute ({limit}) allows {room} "
        f"within the deadline of {seconds:g} s: {at_most}{requests - room} will be deferred to the next cycle; query "
        "fewer ranges, service types or labels"
    )


def slow_hours(instances: Sequence[Instance], queries: int, timeout: Optional[float] = None) -> Optional[str]:
    """Write, with the numbers, that hours cannot be queried as often as they may change; None if they can.

    Every hour, each of the last three hours of a series is queried, and once its past.
    """
    hourly = [instance for instance in instances if instance.hourly]
    if not hourly:
        return None
    series = [len(Statistics().hour_series(instance, "")) for instance in hourly]
    past = sum(count * instance.backfill_days * 24 for count, instance in zip(series, hourly))
    limit, interval = _limit(instances), max(instance.min_collection_interval for instance in hourly)
    share = background_share(limit)
    room = max(0, min(share, limit - queries)) * _minutes(_seconds(instances, timeout))
    left = int(min(room * 3600 / interval, share * 60))
    requests = 4 * sum(series)
    if requests <= left:
        return None
    return (
        f"the hours of {sum(series)} series take {requests} requests an hour, but max_requests_per_minute ({limit}) "
        f"leaves {left} beside the ranges in cycles {interval:g} s apart (min_collection_interval): an hour may be "
        f"wrong for more than 70 minutes after it is over, and its {past:,} hours of the past may take "
        f"{-(-past * 6 // 5 // max(1, left) // 24):,} days; query fewer service types or labels"
    )


def _inspect(inspect: Callable[[], Optional[str]]) -> Optional[str]:
    found = run_with_deadline(inspect, Clock(), FILE_S)
    return found if isinstance(found, str) else None


def _limit(instances: Sequence[Instance]) -> int:
    return min(instance.max_requests_per_minute for instance in instances)


def _seconds(instances: Sequence[Instance], timeout: Optional[float]) -> float:
    return max(instance.deadline for instance in instances) if timeout is None else timeout


def _minutes(seconds: float) -> int:
    """Count the minutes of the rate that a cycle can use."""
    return 1 + int(seconds // 61)
