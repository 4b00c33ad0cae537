"""The queries about the models of one project in one cycle: the list, the minutes, and with `hourly` the hours."""

from __future__ import annotations

from functools import partial
from typing import Iterator, List, Optional, Sequence

from ...cloud.cloud_eye import Listing, ListQuery
from ...cloud.cloud_eye.metric_list import Page, add_page
from ...config import Instance
from ...scheduling import Priority
from ...state import Store, UnusableError
from ..query_task import QueryTask
from ..watermarks import HOURS, Consumer
from .live_minutes import LiveMinutes
from .minute_queries import HeldMinutes
from .model_list import ModelList
from .sweep import ModelHourPlanner

NAMED = 5
"""Names of a long list that a warning shows."""


class ModelPlanner:
    """Plan the queries of one cycle and hold what came of them.

    Attributes:
        live: the minutes; None while no list was read.
        notices: what the list brought, a line each.
        failure: why the hours were not planned.
    """

    def __init__(self, instance: Instance, store: Store, consumer: Consumer, project_id: str, now_ms: int) -> None:
        self.live: Optional[LiveMinutes] = None
        self.notices: List[str] = []
        self.failure: Optional[UnusableError] = None
        self._instance = instance
        self._store = store
        self._consumer = consumer
        self._project_id = project_id
        self._now_ms = now_ms
        self._hours: Optional[ModelHourPlanner] = None

    def plan(self) -> List[QueryTask]:
        """Plan the list, if it is due, else the queries about its models."""
        models = stored_list(self._instance, self._store, self._project_id)
        return [self._page(ListQuery(), Listing())] if models.is_due(self._now_ms) else list(self._about(models))

    def finish(self) -> List[str]:
        """Store which minutes the consumer has; return a text for each rejected value."""
        if self.live is None:
            return []
        if self._consumer.kind == HOURS and self.live.is_answered:
            with self._store.entry(HeldMinutes, self._held_name) as held:
                self.live.update(held)
        return list(dict.fromkeys([*self.live.warnings, *(self._hours.warnings if self._hours else ())]))

    def _page(self, query: ListQuery, listing: Listing, is_second: bool = False) -> QueryTask:
        on_answer = partial(self._on_page, listing, is_second)
        return QueryTask((Priority.LIVE, 0), query, on_answer, fallback=self._with_old_list)

    def _with_old_list(self) -> Sequence[QueryTask]:
        models = stored_list(self._instance, self._store, self._project_id)
        return list(self._about(models)) if models.is_usable(self._now_ms) else []

    def _on_page(self, listing: Listing, is_second: bool, page: Page) -> Sequence[QueryTask]:
        add_page(listing, page)
        if page.marker is not None:
            return [self._page(ListQuery(page.marker), listing, is_second)]
        with self._store.entry(ModelList, _scope(self._instance, self._project_id)) as models:
            if not is_second and models.is_incomplete(listing):  # one wrong list makes no model disappear
                listing.pages = 0
                return [self._page(ListQuery(), listing, is_second=True)]
            unknown = models.update(listing, self._now_ms)
        if unknown:
            self.notices.append(
                f"Cloud Eye lists {len(unknown)} metrics that have no place here and are left out: {shorten(unknown)}"
            )
        return list(self._about(models))

    def _about(self, models: ModelList) -> Iterator[QueryTask]:
        held = None
        if self._consumer.kind == HOURS:
            with self._store.entry(HeldMinutes, self._held_name) as held:
                pass
        self.live = LiveMinutes(models, held, self._now_ms)
        yield from self.live.plan()
        if self._instance.hourly:
            try:
                self._hours = ModelHourPlanner(self._instance, self._store, self._project_id)
                yield from self._hours.plan(models, self._now_ms)
            except UnusableError as failure:  # there are minutes all the same
                self.failure = failure

    @property
    def _held_name(self) -> str:
        return f"{self._consumer.name} {_scope(self._instance, self._project_id)}"


def stored_list(instance: Instance, store: Store, project_id: str) -> ModelList:
    """Read the list of a project's models as it was last stored."""
    with store.entry(ModelList, _scope(instance, project_id)) as models:
        return models


def shorten(names: Sequence[str]) -> str:
    """Write the first names of a list."""
    return ", ".join(sorted(names)[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _scope(instance: Instance, project_id: str) -> str:
    return f"{instance.cloud_eye_endpoint} {project_id}"
