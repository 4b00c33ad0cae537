"""The pages of `serve` in this process, between its cycles."""

from __future__ import annotations

from typing import List, Optional, Sequence
from urllib.parse import parse_qs

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.runner import make_collectors, open_store
from maas_usage_check.commands.serve.page.content import PageContent
from maas_usage_check.commands.serve.page.page_responses import PageResponse, Pages
from maas_usage_check.commands.serve.page.page_source import instance_name
from maas_usage_check.commands.serve.page.page_view import read_page_view
from maas_usage_check.commands.serve.page.read_content import read_content
from maas_usage_check.commands.serve.snapshot import NewestBatch, Snapshot
from maas_usage_check.config import load_file
from maas_usage_check.errors import Problem
from maas_usage_check.ledger.hour_values import usage_values
from maas_usage_check.metrics import Point

from ..conftest import AK, SK, Program


class ServedPages:
    """Pages of a configuration file; `complete_cycle` publishes a batch of one instance, as a cycle does."""

    def __init__(self, program: Program, config: str, clock: Clock) -> None:
        self.clock = clock
        self.snapshot = Snapshot(clock)
        self.pages = Pages(self.snapshot, clock)
        self._program = program
        self.load(config)

    def load(self, config: str) -> None:
        """Use a configuration, as at the start and at a reload."""
        instances = load_file(config, self.clock.now())
        store = open_store(instances, pytest.fail, self.clock)
        collectors = make_collectors(instances, store, "test", "prometheus", runtime=self._program.runtime)
        self.snapshot.batches = tuple(map(NewestBatch, collectors))

    def complete_cycle(self, points: Sequence[Point] = (), problems: Sequence[Problem] = (), number: int = 0) -> None:
        batches = list(self.snapshot.batches)
        batches[number] = NewestBatch(batches[number].collector, points, problems)
        self.snapshot.batches = tuple(batches)

    def get(self, path: str = "/", query: str = "", accept_language: str = "") -> PageResponse:
        return self.pages.respond(path, query, accept_language)

    def text(self, path: str = "/", query: str = "") -> str:
        """Return the text of a response that succeeds."""
        response = self.get(path, query)
        assert response.status == "200 OK", response.body
        return response.body.decode()

    def content(self, query: str = "") -> PageContent:
        """Return what a page shows."""
        batches, now_ms = self.snapshot.batches, int(self.clock.now()) * 1000
        view = read_page_view(parse_qs(query), "", len(batches))
        source = self.pages._source(batches[view.instance - 1], batches)
        names = [instance_name(each.collector.instance) for each in batches]
        return read_content(view, names, source, self.pages._open(batches), now_ms)


@pytest.fixture
def access_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the access key in the environment of this process, where the pages read it."""
    monkeypatch.setenv("HW_ACCESS_KEY", AK)
    monkeypatch.setenv("HW_SECRET_KEY", SK)


def values(usage: Optional[Usage]) -> Optional[List[int]]:
    """Return the numbers of the emulator's hours; None is not known."""
    return None if usage is None else list(usage_values(usage))
