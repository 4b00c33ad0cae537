"""What can be known to go wrong before anything is asked."""

from __future__ import annotations

from functools import partial
from typing import Callable, Dict, List, Optional, Sequence

from ..access import readable_by_others
from ..clock import Clock
from ..config import Instance, KeySource
from ..store import Warn, writable_by_others
from .collector import Collector
from .crew import Crew


def forewarn(collectors: Sequence[Collector], warn: Warn, deadline: Optional[float] = None) -> None:
    """Say before anything is asked what can be known to go wrong; `deadline` is seconds, instead of the instances'."""
    sources: Dict[KeySource, List[Collector]] = {}
    for collector in collectors:
        sources.setdefault(collector.instance.credentials, []).append(collector)
    for source, sharing in sources.items():
        instances = [collector.instance for collector in sharing]
        too_many = over_rate(instances, sum(len(collector.plan().queries) for collector in sharing), deadline)
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
