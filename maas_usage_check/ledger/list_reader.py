"""The queries that read the list of a project's models, page by page."""

from __future__ import annotations

from functools import partial
from typing import Callable, List, NamedTuple, Sequence

from ..cloud.cloud_eye import Listing, ListQuery
from ..cloud.cloud_eye.metric_list import Page, add_page
from ..scheduling import Priority
from ..state import Store
from .model_list import ModelList
from .planner import QueryTask


class ListReader(NamedTuple):
    """Read a list and store it. One that lacks a model of the last one is read twice: one wrong list hides no model.

    Attributes:
        store: the state.
        scope: the project's name in it.
        now_ms: the cycle's time.
        then: takes the unknown metrics that were on no list before; makes the queries that follow.
        fallback: makes them where the list cannot be read.
    """

    store: Store
    scope: str
    now_ms: int
    then: Callable[[List[str]], Sequence[QueryTask]]
    fallback: Callable[[], Sequence[QueryTask]]

    def task(self) -> QueryTask:
        """Make the query of the first page."""
        return self._task(ListQuery(), Listing(), is_second=False)

    def _task(self, query: ListQuery, listing: Listing, is_second: bool) -> QueryTask:
        on_answer = partial(self._on_page, listing, is_second)
        return QueryTask((Priority.LIVE, 0), query, on_answer, fallback=self.fallback)

    def _on_page(self, listing: Listing, is_second: bool, page: Page) -> Sequence[QueryTask]:
        add_page(listing, page)
        if page.marker is not None:
            return [self._task(ListQuery(page.marker), listing, is_second)]
        with self.store.entry(ModelList, self.scope) as models:
            if not is_second and models.is_incomplete(listing):
                listing.pages = 0
                return [self._task(ListQuery(), listing, is_second=True)]
            unknown = models.update(listing, self.now_ms)
        return self.then(unknown)
