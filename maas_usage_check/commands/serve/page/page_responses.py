"""Respond to requests for the page and its downloads: rendered one at a time, kept until the next batch."""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import parse_qs

from msgspec.structs import replace

from ....clock import Clock
from ....collection.stored_counters import stored_account
from ....config import Instance
from ....errors import ConfigError, MaasError, Problem, internal_error
from ....ledger import Account
from ....state import Store, UnusableError
from ....watchdog import run_with_deadline
from ...runner import open_store
from ..snapshot import NewestBatch, Snapshot
from .collection_state import collection_state
from .downloads import DEFAULT_GROUP, FORMS, download
from .page_source import PageSource, instance_name
from .page_view import PageView, read_page_view
from .read_content import read_content
from .render import compile_templates, content_security_policy, render

PAGE = "/"
MAX_KEPT = 32
"""Pages that are kept: at most 3 MB."""
KEPT_S = 60.0
"""A page is rendered again after so long, or after the next cycle: what is too old goes, and days begin."""
MAX_WAITING = 8
"""Requests that may wait for a page, so that others find a free connection."""
DEADLINE_S = 8.0
"""For one page; less than a connection lasts. The state may hang."""
OK, UNAVAILABLE = "200 OK", "503 Service Unavailable"
BUSY = "busy: other pages are being made, or the state folder does not answer; try again"
NO_HOURS = Problem("I", "The page shows hours, which this instance does not collect: set `hourly: true`", "")
COMMON = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
"""Headers of every response."""


class PageResponse(NamedTuple):
    """Status, headers and body of a response."""

    status: str
    headers: List[Tuple[str, str]]
    body: bytes


class Pages:
    """Make the pages of an exporter. Nothing is sent to the cloud.

    Args:
        snapshot: has the instances and their newest batches.
        clock: the clock.
        pause: called between the steps of a page; returns when it may go on.
    """

    paths = (PAGE, *FORMS)

    def __init__(self, snapshot: Snapshot, clock: Clock, pause: Callable[[], None] = lambda: None) -> None:
        self._snapshot = snapshot
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # many threads that go on at once would hold up a scrape
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        self._kept: Dict[Any, Tuple[float, bytes]] = {}
        self._kept_of: Any = None
        self._store: Optional[Store] = None
        self._instances: List[Instance] = []

    def prepare(self) -> None:
        """Compile the templates, which takes longer than a page."""
        compile_templates()

    def respond(self, path: str, query: str, accept_language: str) -> PageResponse:
        """Return the response to one of `paths`."""
        batches = self._snapshot.batches
        try:
            view = read_page_view(parse_qs(query, keep_blank_values=True), accept_language, len(batches))
        except ValueError as error:
            return _error("400 Bad Request", str(error))
        with self._turn:
            self._pause()
            kept = self._find(path, view)
        if kept is not None:
            return _page(kept)
        if not self._waiting.acquire(blocking=False):
            return _error(UNAVAILABLE, BUSY)
        try:
            outcome = run_with_deadline(lambda: self._make(path, view, batches), self._clock, DEADLINE_S)
        finally:
            self._waiting.release()
        if isinstance(outcome, PageResponse):
            return outcome
        if isinstance(outcome, ConfigError):
            return _error("404 Not Found", str(outcome))
        if outcome is None:
            return _error(UNAVAILABLE, BUSY)
        failure = outcome if isinstance(outcome, (MaasError, UnusableError)) else internal_error(outcome)
        return _error("500 Internal Server Error", str(failure))

    def _find(self, path: str, view: PageView) -> Optional[bytes]:
        """Return a page that was made after the newest batch, and is not too old."""
        if self._kept_of != self._state():
            return None
        until, body = self._kept.get((path, view.key), (0.0, b""))
        return body if self._clock.monotonic() < until else None

    def _state(self) -> Any:
        """Return what every page depends on."""
        return self._snapshot.batches, self._snapshot.is_healthy

    def _make(self, path: str, view: PageView, batches: Sequence[NewestBatch]) -> Optional[PageResponse]:
        """Make a response; None if another one takes too long."""
        if not self._lock.acquire(timeout=DEADLINE_S):
            return None
        try:
            kept = self._find(path, view)  # by the one that had the lock
            if kept is not None:
                return _page(kept)
            state, now = self._state(), self._clock.monotonic()
            source, store = self._source(batches[view.instance - 1], batches), self._open(batches)
            now_ms = int(self._clock.now()) * 1000
            if path != PAGE:
                return _file(FORMS[path], view, download(FORMS[path], view, source, store, now_ms))
            names = [instance_name(each.collector.instance) for each in batches]
            content = read_content(view, names, source, store, now_ms, self._pause)
            self._pause()
            body = render(content).encode()
            if self._kept_of != state or len(self._kept) >= MAX_KEPT:
                self._kept_of, self._kept = state, {}
            self._kept[path, view.key] = now + KEPT_S, body
            return _page(body)
        finally:
            self._lock.release()

    def _source(self, batch: NewestBatch, batches: Sequence[NewestBatch]) -> PageSource:
        instance, points = batch.collector.instance, self._snapshot.points_of(batch)
        problems = [*batch.problems, *([] if instance.hourly else [NO_HOURS])]
        state = collection_state(points, problems, not self._snapshot.is_healthy)
        try:
            account = stored_account(batch.collector, self._open(batches))
        except UnusableError:  # there is no state yet, or the cycles report it
            account = Account(instance.project_id or "")
        projects = (point.tags["project_id"] for point in points if "project_id" in point.tags)
        account = replace(account, project_id=account.project_id or next(projects, ""))
        return PageSource(instance, account, points, state)

    def _open(self, batches: Sequence[NewestBatch]) -> Store:
        """Return a store of the pages' own, so that no cycle waits for them."""
        instances = [each.collector.instance for each in batches]
        if self._store is None or self._instances != instances:
            if self._store is not None:
                self._store.close()
            self._store, self._instances = open_store(instances, lambda text: None, self._clock), instances
        return self._store


def _page(body: bytes) -> PageResponse:
    headers = {**COMMON, "Content-Type": "text/html; charset=utf-8", "Vary": "Accept-Language"}
    headers["Content-Security-Policy"] = content_security_policy()
    return PageResponse(OK, list(headers.items()), body)


def _file(form: str, view: PageView, text: str) -> PageResponse:
    kind = "application/json" if form == "json" else "text/csv; charset=utf-8"
    name = f"maas-usage-{view.period}-{'focus.csv' if form == 'focus' else f'{view.by or DEFAULT_GROUP}.{form}'}"
    headers = {**COMMON, "Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}
    return PageResponse(OK, list(headers.items()), text.encode())


def _error(status: str, text: str) -> PageResponse:
    return PageResponse(status, [*COMMON.items(), ("Content-Type", "text/plain; charset=utf-8")], f"{text}\n".encode())
