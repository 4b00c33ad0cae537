"""What `report` need not ask: the days and hours that the ledger of hours holds, and that are final."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, List, Sequence

from msgspec.structs import replace

from ...clock import Clock
from ...cloud import Plan, Statistics, provider
from ...cloud.source import Send
from ...cloud.statistics import Totals
from ...collection import Batch
from ...config import Instance, is_project_id
from ...config.ranges import HOUR
from ...errors import ConfigError
from ...ledger import Account, Held, look
from ...metrics import Point
from ...scheduling import Crew, Gates
from ...state import MissingError, Store
from .periods import Page, is_long, local

NOTHING = Held({})
PATIENCE = 3.0
"""Seconds for the key and the ledger: a folder that hangs must not keep a report, which can ask instead."""
MOST_ASKED = 48 * HOUR
"""Of a long range, by each series: an hour is a call."""


class Rest:
    """Ask for what is not held; see Source."""

    def __init__(self, held: Held) -> None:
        self._answers = held.answers
        self._statistics = Statistics()

    def plan(self, instance: Instance, now: int) -> Plan:
        """Leave out the series that are held."""
        plan = self._statistics.plan(instance, now)
        series = tuple(one for one in plan.series if not self._answers.keys() >= set(one.queries))
        asked = {query for one in series for query in one.queries}
        return replace(plan, series=series, queries=tuple(query for query in plan.queries if query in asked))

    def ask(self, query: Totals, send: Send) -> Any:
        """Ask one query."""
        return self._statistics.ask(query, send)


def look_up(page: Page, store: Store, now: int, clock: Clock) -> Held:
    """Look up the days or hours of a page; where the ledger cannot be read nothing is held, and all is asked."""
    work = partial(_look, page.instance, Gates(store, clock), now)
    held = Crew(clock).do({"": work}, give_up=clock.monotonic() + PATIENCE).get("", store.hang_error())
    if isinstance(held, Held):
        return held
    return Held({}, why="" if isinstance(held, MissingError) else str(held))


def check_calls(page: Page, held: Held, raw: bool, now: int) -> None:
    """Raise ConfigError where too many hours of a long range would have to be asked."""
    asked: Counter[Any] = Counter()
    for query in _queries(page, now):
        if query not in held.answers:
            asked[query.service_type, query.infer_type, query.api_keys] += query.window.end - query.window.start
    most = max(asked.values(), default=0)
    if not is_long(page) or most <= MOST_ASKED:
        return
    hours = sum(span.end - span.start for span in page.spans)
    past = max(span.start % HOUR for span in page.spans[1:]) // 60_000
    if raw:
        remedy = "leave out --raw, which shows what is asked alone"
    elif past:
        remedy = f"its hours begin {past} minutes past those of UTC, which are all that the ledger has"
    elif held.why:
        remedy = held.why
    elif page.instance.hourly:
        remedy = (
            "the ledger does not hold them yet (`missing_hours` says how many), or the agent collects them with "
            "another state_dir or key"
        )
    else:
        remedy = "set `hourly: true` in --config, and let them be collected"
    raise ConfigError(
        f"--hourly: the range is longer than 2 days (48 hours), and {-(-most // HOUR)} of its {-(-hours // HOUR)} "
        f"hours would have to be asked, each in one call: {remedy}; or choose a shorter one, such as --last 24h or "
        "--yesterday, or --daily"
    )


def together(page: Page, batch: Batch, held: Held, now: int) -> Batch:
    """Put what is held and what was asked into one batch."""
    asked = page.instance
    tags = {**asked.user_tags, "region": asked.region, "project_id": held.project_id}
    points: List[Point] = []
    for one in Statistics().plan(asked, now).series:
        answers = [held.answers[query] for query in one.queries if query in held.answers]
        if len(answers) == len(one.queries):
            points.append(Point(one.measurement, {**one.tags, **tags}, one.fields(answers), now * 1_000_000))
    if not points:
        return batch
    return replace(
        batch,
        points=(*points, *batch.points),
        problems=tuple(replace(problem, level="W") for problem in batch.problems),
        outcomes={**batch.outcomes, **held.answers},
        collected=True,
    )


def share(page: Page, held: Held, now: int) -> str:
    """Say how much is from the ledger; nothing where nothing is."""
    if not held.answers:
        return ""
    there, of = _hours(list(held.answers)), _hours(_queries(page, now))
    as_of = local(held.as_of, page.tz)
    return f"{there:,} of {of:,} hours are from the ledger of hours, as the cloud told them by {as_of:%Y-%m-%d %H:%M}."


def _look(instance: Instance, gates: Gates, now: int) -> Held:
    gate = gates.of(provider(instance.credentials)())
    with gate.entry() as entry:
        project_id = instance.project_id or entry.projects.get(instance.project_query_key, "")
    if not is_project_id(project_id):  # it was never looked up with this key, and so nothing is held
        return NOTHING
    windows = [span.window(now, instance.zone) for span in instance.ranges]
    return look(instance, gates.store, Account(project_id, gate.name), windows, now)


def _queries(page: Page, now: int) -> List[Totals]:
    return [query for one in Statistics().plan(page.instance, now).series for query in one.queries]


def _hours(queries: Sequence[Totals]) -> int:
    return -(-sum(query.window.end - query.window.start for query in queries) // HOUR)
