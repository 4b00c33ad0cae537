"""The list of models and keys: read once an hour, with those that were listed in the last days."""

from __future__ import annotations

from functools import partial
from typing import Callable, ClassVar, Dict, Iterable, List, NamedTuple, Sequence, Tuple

from msgspec import Struct

from ..cloud.cloud_eye import Dimensions, Listing, ListQuery
from ..cloud.cloud_eye.metric_list import MAX_UNKNOWN, Page, add_page
from ..config.ranges import ceil_hour
from ..scheduling import Priority
from ..state import Store
from .hour_values import DAY, HOUR, KEPT, RETENTION, floor_hour
from .planner import QueryTask

QUERIED_FOR = 10 * DAY
"""The hours of a model are queried for so long after it was last listed: Cloud Eye keeps hours for 10 days."""
USABLE_FOR = 3 * HOUR
"""If the list cannot be read again, the old one is used for so long."""
REMEMBERED_FOR = RETENTION
"""The counters of a model are emitted for so long after it was last listed; then it is one of the past."""
HOURS_AVAILABLE = 239 * HOUR
"""Cloud Eye keeps 10 days of hours, and silently moves up an earlier start."""
REQUIRED_METRICS = frozenset({"total_tokens", "prompt_tokens", "completion_tokens", "rpm"})
"""Without one of them a model has no hours. A class of errors that never occurred need not be listed."""


def has_hours(metrics: Iterable[str]) -> bool:
    """Return True if a model with these metrics has hours."""
    return REQUIRED_METRICS.issubset(metrics)


class ListedModel(Struct):
    """A model, or one key of it, with its metrics; milliseconds at which a list `appeared` with it and was last `seen`.

    A model that returns to the list appears again.
    """

    dimensions: Dimensions
    metrics: List[str]
    appeared: int
    seen: int


class ModelList(Struct, omit_defaults=True):
    """The list of a project; `read` is when it was last read completely, in milliseconds.

    `past` are those last listed more than 29 days ago: reports need them for the hours and days in the ledger. `since`
    is when the list was first read after a pause in which hours were lost, in milliseconds; 0 without one.
    """

    max_age_s: ClassVar[float] = KEPT / 1000

    read: int = 0
    models: List[ListedModel] = []
    unknown: List[str] = []
    past: List[ListedModel] = []
    since: int = 0

    def is_due(self, now_ms: int) -> bool:
        """Return True if it must be read again."""
        return not 0 <= now_ms - self.read < HOUR

    def is_usable(self, now_ms: int) -> bool:
        """Return True if it may be used while it cannot be read again."""
        return 0 <= now_ms - self.read < USABLE_FOR

    @property
    def present(self) -> List[ListedModel]:
        """List the models of the last list."""
        return [each for each in self.models if each.seen == self.read]

    def with_hours(self, since_ms: int) -> List[ListedModel]:
        """List the models that have hours and were on a list since a time, in milliseconds."""
        return [each for each in (*self.models, *self.past) if each.seen > since_ms and has_hours(each.metrics)]

    def unused(self, listed: ListedModel, began_ms: int) -> List[Tuple[int, int]]:
        """List the windows in which a model had no use, for it was on no list: before it appeared, after it was seen.

        `began_ms` is when the history of the project's models began; 0 before that.
        """
        if not began_ms:
            return []
        known_from = ceil_hour(max(began_ms, self.since)) - HOURS_AVAILABLE
        before = (known_from, floor_hour(listed.appeared) - HOURS_AVAILABLE)
        return [before, (max(known_from, ceil_hour(listed.seen + DAY)), floor_hour(self.read))]

    def is_incomplete(self, listing: Listing) -> bool:
        """Return True if a model of the last list, or a metric that its hours need, is missing from this one."""
        return any(
            has_hours(each.metrics) and not has_hours(listing.metrics.get(each.dimensions, ()))
            for each in self.present
            if not each.dimensions.key_id
        )

    def update(self, listing: Listing, now_ms: int) -> List[str]:
        """Replace the list by one that was read completely; return its unknown ids that were on no list before."""
        before = {each.dimensions: each for each in self.models}
        present = {each.dimensions for each in self.present}
        models: Dict[Dimensions, ListedModel] = {}
        for dimensions, metrics in listing.metrics.items():
            appeared = before[dimensions].appeared if dimensions in present else now_ms
            models[dimensions] = ListedModel(dimensions, sorted(set(metrics)), appeared, now_ms)
        gone = [each for each in (*self.models, *self.past) if each.dimensions not in models]
        new = [name for name in listing.unknown if name not in self.unknown][: MAX_UNKNOWN - len(self.unknown)]
        self.models = [*models.values(), *(each for each in gone if each.seen > now_ms - REMEMBERED_FOR)]
        self.past = [each for each in gone if now_ms - KEPT < each.seen <= now_ms - REMEMBERED_FOR]
        self.unknown = [*self.unknown, *new]
        self.since = now_ms if self.read and now_ms - self.read > HOURS_AVAILABLE else self.since
        self.read = now_ms
        return new


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
