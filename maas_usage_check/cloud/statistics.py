"""What one cycle asks: the series it is to make, and the distinct questions behind them."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple

from msgspec import Struct

from ..config.instance import ONLINE_EXPERIENCE, Instance, ServiceType
from ..config.ranges import Window, kept
from ..metrics.catalogue import KEY_USAGE, USAGE


class Query(Struct, frozen=True):
    """Hold one question to the API: the totals of one window under these filters. Labels are not printed."""

    window: Window
    service_type: ServiceType
    infer_type: str
    api_keys: Optional[Tuple[str, ...]]
    ips: Optional[Tuple[str, ...]]

    def __repr__(self) -> str:
        return f"Query({self.window}, {self.service_type.name}, {self.infer_type})"


class Series(Struct, frozen=True):
    """Hold one point to come: its name, the queries whose answers add up to it, and how much of it is kept."""

    measurement: str
    tags: Dict[str, str]
    queries: Tuple[Query, ...]
    coverage: float


class Plan(Struct, frozen=True):
    """Hold a cycle: its series, each distinct query once, and the ranges of which nothing is kept."""

    series: Tuple[Series, ...]
    queries: Tuple[Query, ...]
    expired: Tuple[str, ...]


def make_plan(instance: Instance, now: int) -> Plan:
    """Plan a cycle of an instance at one moment, in milliseconds. Two ranges that ask the same ask it once."""
    series: List[Series] = []
    expired: List[str] = []
    for span in instance.ranges:
        held = kept(span.window(now, instance.zone), now)
        if not held.windows:
            expired.append(span.name)
            continue
        for service_type in instance.service_types:
            for infer_type in instance.infer_types:
                for measurement, labels, label_tag in _filters(instance):
                    tags = {
                        "range": span.name,
                        "service_type": service_type.name,
                        "infer_type": infer_type,
                        **label_tag,
                    }
                    queries = [Query(window, service_type, infer_type, labels, instance.ips) for window in held.windows]
                    series.append(Series(measurement, tags, tuple(queries), held.coverage))
    distinct = dict.fromkeys(query for one in series for query in one.queries)
    return Plan(tuple(series), tuple(distinct), tuple(expired))


def _filters(instance: Instance) -> List[Tuple[str, Optional[Tuple[str, ...]], Dict[str, str]]]:
    """List what is asked of each kind of call: measurement, labels to filter by, and their tag."""
    if not instance.per_api_key:
        return [(USAGE, instance.api_keys, {})]
    each = [(KEY_USAGE, (label,), {"api_key_label": label or ONLINE_EXPERIENCE}) for label in instance.api_keys or ()]
    # The whole is asked without a filter, so that what no label covers shows.
    return [(USAGE, None, {}), *each]


def over_rate(instances: Sequence[Instance], queries: int, deadline: Optional[float] = None) -> Optional[str]:
    """Say with the numbers that the cycles of one key cannot fit its rate and their deadline; None when they can."""
    limit = min(instance.max_requests_per_minute for instance in instances)
    seconds = max(instance.deadline for instance in instances) if deadline is None else deadline
    room = limit * (1 + int(seconds // 61))
    # A project that is remembered is not looked up, but that is known only once the key is.
    lookups = sum(1 for instance in instances if instance.project_id is None)
    calls, at_most = queries + lookups, "at most " if lookups else ""
    if calls <= room:
        return None
    return (
        f"{at_most}{calls} calls are planned per cycle, but {limit} a minute (max_requests_per_minute) let {room} "
        f"through within the deadline of {seconds:g} s: {at_most}{calls - room} will be left out and go first in the "
        "next cycle; "
        "ask fewer ranges, service types or labels"
    )
