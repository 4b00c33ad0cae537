"""The models' share of a cycle: their minutes as they are now, and with `hourly` their hours."""

from __future__ import annotations

from functools import partial
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

from ..clock import Clock
from ..cloud.cloud_eye import CloudEye, Listing, ListQuery
from ..cloud.cloud_eye.metric_list import Page, add_page
from ..cloud.json_body import bad_answer
from ..config import Instance
from ..errors import QueryError
from ..ledger import HOURS, Account, Consumer
from ..ledger.models import HeldMinutes, LiveMinutes, ModelHourPlanner, ModelList, emit_models, resolve_project_id
from ..metrics import Point
from ..scheduling import QueryTask
from ..scheduling.priority_queue import LIVE
from ..state import Store, UnusableError
from .background import Cycle, Share
from .problems import Problem
from .run_with_deadline import give_in_time, lost, told

NAMED = 5
"""Names of a long list that a warning gives."""


class Models:
    """Keep the models of one instance, and give them out to one consumer; see Keeper."""

    def __init__(self, instance: Instance, store: Store, consumer: Consumer, clock: Clock) -> None:
        self.source = CloudEye()
        self._instance = instance
        self._store = store
        self._consumer = consumer
        self._clock = clock
        self._project_id = ""
        self._live: Optional[LiveMinutes] = None
        self._hours: Optional[ModelHourPlanner] = None
        self._news: List[str] = []
        self._trouble: Optional[UnusableError] = None

    def asks(self, account: Account, now: int, answered: bool) -> Sequence[QueryTask]:
        """Ask for the list, if it is time, and then about the models on it."""
        self._project_id, self._live, self._hours, self._news = account.project_id, None, None, []
        models = self._remembered(account.project_id)
        if models.is_due(now):
            return [self._page(ListQuery(), Listing(), now)]
        return list(self._about(models, now))

    def asked(self, now: int) -> Sequence[QueryError]:
        """Remember which minutes are held; return what was not believed."""
        live = self._live
        if live is None:
            return []
        if self._consumer.kind == HOURS and live.is_answered:
            with self._store.entry(HeldMinutes, self._held_by) as held:
                live.update(held)
        doubts = [*live.warnings, *(self._hours.warnings if self._hours else ())]
        return [bad_answer(text) for text in dict.fromkeys(doubts)]

    def give(self, cycle: Cycle, ends: Sequence[Optional[QueryError]]) -> Share:
        """Make the models' share of a batch."""
        where, failures = self._instance.display_name, [end for end in ends if end is not None]
        problems: List[Problem] = []
        keys = {f"{where} models", f"{where} prices"} if None in ends else set()
        if failures:
            text = told(failures, "some values of models are missing")
            problems.append(Problem("W", f"{where}: Cloud Eye: {text}", f"{where} models"))
        # Taken once: in a cycle that cannot even ask, those of the last one would pass for new.
        live, self._live = self._live, None
        points = list(live.build_points(self._instance, cycle.tags)) if live else []
        answered = live is not None and live.is_answered
        made = give_in_time(self._clock, self._store, cycle.give_up, partial(self._give, cycle, answered))
        if isinstance(made, tuple):
            points += made[0]
            problems += [Problem("W", f"{where}: {text}", f"{where} prices") for text in made[1]]
            keys.add(f"{where} models' state")
        else:
            problems.append(lost(where, "models' state", "Hours and counters of models are paused", made))
        trouble, self._trouble = cycle.trouble or self._trouble, None
        if trouble and isinstance(made, tuple):
            problems.append(lost(where, "models' state", "Some hours of models were not asked", trouble))
        news, self._news = self._news, []
        problems += [Problem("W", f"{where}: {text}", "") for text in news]
        is_partial = bool(trouble) or not isinstance(made, tuple)
        return Share(points, {}, problems, is_partial, keys)

    def _give(self, cycle: Cycle, answered: bool, keep: Callable[[], bool]) -> Tuple[List[Point], List[str]]:
        """Make the points of the hours, and say which prices are for nothing."""
        project_id = (
            resolve_project_id(self._store, self._consumer, cycle.account, cycle.now) if self._instance.hourly else ""
        )
        if not project_id:
            return [], []
        models, hours = self._remembered(project_id), ModelHourPlanner(self._instance, self._store, project_id)
        tags = {**cycle.tags, "project_id": project_id}
        points = emit_models(hours, models, self._consumer, cycle.now, tags, answered, keep)
        return points, list(self._unused_prices(models))

    def _page(self, query: ListQuery, listing: Listing, now: int, is_second: bool = False) -> QueryTask:
        learn = partial(self._learn_page, listing, now, is_second)
        return QueryTask((LIVE, 0), query, learn, fallback=partial(self._with_old_list, now))

    def _with_old_list(self, now: int) -> Sequence[QueryTask]:
        models = self._remembered(self._project_id)
        return list(self._about(models, now)) if models.is_usable(now) else []

    def _learn_page(self, listing: Listing, now: int, is_second: bool, page: Page) -> Sequence[QueryTask]:
        add_page(listing, page)
        if page.marker is not None:
            return [self._page(ListQuery(page.marker), listing, now, is_second)]
        with self._store.entry(ModelList, self._place(self._project_id)) as models:
            if not is_second and models.is_incomplete(listing):  # one wrong list makes no model disappear
                listing.pages = 0
                return [self._page(ListQuery(), listing, now, is_second=True)]
            unknown = models.update(listing, now)
        if unknown:
            named = ", ".join(sorted(unknown)[:NAMED]) + (", ..." if len(unknown) > NAMED else "")
            self._news.append(
                f"Cloud Eye lists {len(unknown)} metrics that have no place here and are left out: {named}"
            )
        return list(self._about(models, now))

    def _about(self, models: ModelList, now: int) -> Iterator[QueryTask]:
        held = None
        if self._consumer.kind == HOURS:
            with self._store.entry(HeldMinutes, self._held_by) as held:
                pass
        self._live = LiveMinutes(models, held, now)
        yield from self._live.plan()
        if self._instance.hourly:
            try:
                self._hours = ModelHourPlanner(self._instance, self._store, self._project_id)
                yield from self._hours.plan(models, now)
            except UnusableError as trouble:  # there are minutes all the same
                self._trouble = trouble

    def _unused_prices(self, models: ModelList) -> Iterator[str]:
        prices, names = self._instance.prices, self._instance.model_names
        known = {each.dimensions.api_id for each in models.models}
        known |= {names[api_id] for api_id in known if api_id in names}
        unused = sorted(prices.models.keys() - known) if prices and models.read else []
        if unused:
            named = ", ".join(unused[:NAMED]) + (", ..." if len(unused) > NAMED else "")
            yield f"prices.models: Cloud Eye names no model {named}: check the id, or its name in model_names"

    def _remembered(self, project_id: str) -> ModelList:
        with self._store.entry(ModelList, self._place(project_id)) as models:
            return models

    def _place(self, project_id: str) -> str:
        return f"{self._instance.cloud_eye_endpoint} {project_id}"

    @property
    def _held_by(self) -> str:
        return f"{self._consumer.name} {self._place(self._project_id)}"
