"""Final days and hours that `report` reads from the ledger of hours instead of querying the cloud."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, List, Sequence

from msgspec.structs import replace

from ...clock import Clock
from ...cloud import Plan, Statistics, provider
from ...cloud.source import Send
from ...cloud.statistics import TotalsQuery
from ...collection import Batch
from ...config import Instance, is_project_id
from ...config.ranges import HOUR
from ...errors import ConfigError
from ...ledger import Account, StoredHours, lookup
from ...metrics import Point
from ...scheduling import Schedulers
from ...state import MissingError, Store
from ...watchdog import run_with_deadline
from .periods import Layout, is_long, local_time

NO_HOURS = StoredHours({})
LEDGER_TIMEOUT_S = 3.0
"""To read the access key and the ledger: a hanging folder must not stop a report, which can query instead."""
MAX_QUERIED_MS = 48 * HOUR
"""Per series of a long range: each hour is a request."""


class MissingOnly:
    """Query only the series that are missing from the ledger; see Source."""

    def __init__(self, from_ledger: StoredHours) -> None:
        self._answers = from_ledger.answers
        self._statistics = Statistics()
        self.name, self.endpoint_key = self._statistics.name, self._statistics.endpoint_key

    def plan(self, instance: Instance, now: int) -> Plan:
        """Leave out the series that the ledger has."""
        plan = self._statistics.plan(instance, now)
        series = tuple(each for each in plan.series if not self._answers.keys() >= set(each.queries))
        missing = {query for each in series for query in each.queries}
        return replace(plan, series=series, queries=tuple(query for query in plan.queries if query in missing))

    def ask(self, query: TotalsQuery, send: Send) -> Any:
        """Send one query."""
        return self._statistics.ask(query, send)


def read_ledger(layout: Layout, store: Store, now_ms: int, clock: Clock) -> StoredHours:
    """Read a layout's days or hours from the ledger; an unreadable ledger has none, so all are queried."""
    task = partial(_read, layout.queried, Schedulers(store, clock), now_ms)
    result = run_with_deadline(task, clock, LEDGER_TIMEOUT_S) or store.hang_error()
    if isinstance(result, StoredHours):
        return result
    return StoredHours({}, reason="" if isinstance(result, MissingError) else str(result))


def check_query_limit(layout: Layout, from_ledger: StoredHours, raw: bool, now_ms: int) -> None:
    """Raise ConfigError if too many hours of a long range are missing from the ledger."""
    missing: Counter[Any] = Counter()
    for query in _queries(layout, now_ms):
        if query not in from_ledger.answers:
            missing[query.service_type, query.infer_type, query.api_keys] += query.window.end - query.window.start
    most = max(missing.values(), default=0)
    if not is_long(layout) or most <= MAX_QUERIED_MS:
        return
    total = sum(period.end - period.start for period in layout.periods)
    minutes = max(period.start % HOUR for period in layout.periods[1:]) // 60_000
    if raw:
        remedy = "leave out --raw, which queries every hour"
    elif minutes:
        remedy = f"its hours begin {minutes} minutes past the UTC hours, and the ledger has UTC hours only"
    elif from_ledger.reason:
        remedy = from_ledger.reason
    elif layout.queried.hourly:
        remedy = (
            "the ledger does not have them yet (`missing_hours` counts them), or the agent collects them with another "
            "state_dir or access key"
        )
    else:
        remedy = "set `hourly: true` in the --config file, and collect them first"
    raise ConfigError(
        f"--hourly: the range is longer than 2 days (48 hours), and {-(-most // HOUR)} of its {-(-total // HOUR)} "
        f"hours would need a request each: {remedy}; or choose a shorter range, such as --last 24h or --yesterday, or "
        "--daily"
    )


def merge_from_ledger(layout: Layout, batch: Batch, from_ledger: StoredHours, now_ms: int) -> Batch:
    """Add the points of the ledger to a batch."""
    instance = layout.queried
    tags = {**instance.user_tags, "region": instance.region, "project_id": from_ledger.project_id}
    points: List[Point] = []
    for series in Statistics().plan(instance, now_ms).series:
        answers = [from_ledger.answers[query] for query in series.queries if query in from_ledger.answers]
        if len(answers) == len(series.queries):
            points.append(
                Point(series.measurement, {**series.tags, **tags}, series.fields(answers), now_ms * 1_000_000)
            )
    if not points:
        return batch
    return replace(
        batch,
        points=(*points, *batch.points),
        problems=tuple(replace(problem, level="W") for problem in batch.problems),
        outcomes={**batch.outcomes, **from_ledger.answers},
        collected=True,
    )


def describe_ledger_share(layout: Layout, from_ledger: StoredHours, now_ms: int) -> str:
    """Describe how many hours are from the ledger; empty if none is."""
    if not from_ledger.answers:
        return ""
    found, total = _count_hours(list(from_ledger.answers)), _count_hours(_queries(layout, now_ms))
    as_of = local_time(from_ledger.as_of_ms, layout.tz)
    return f"{found:,} of {total:,} hours are from the ledger of hours, last updated {as_of:%Y-%m-%d %H:%M}."


def _read(instance: Instance, schedulers: Schedulers, now_ms: int) -> StoredHours:
    scheduler = schedulers.of(provider(instance.credentials)())
    with scheduler.key.transaction() as entry:
        project_id = instance.project_id or entry.projects.get(instance.project_query_key, "")
    if not is_project_id(project_id):  # never looked up with this access key, so the ledger has no hours of it
        return NO_HOURS
    windows = [each.window(now_ms, instance.zone) for each in instance.ranges]
    return lookup(instance, schedulers.store, Account(project_id, scheduler.key.name), windows, now_ms)


def _queries(layout: Layout, now_ms: int) -> List[TotalsQuery]:
    return [query for series in Statistics().plan(layout.queried, now_ms).series for query in series.queries]


def _count_hours(queries: Sequence[TotalsQuery]) -> int:
    return -(-sum(query.window.end - query.window.start for query in queries) // HOUR)
