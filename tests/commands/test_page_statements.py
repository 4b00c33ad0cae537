"""How many statements a page needs: as many for many series as for few."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from maas_usage_check.commands.serve.page.content import CollectionState
from maas_usage_check.commands.serve.page.page_source import PageSource
from maas_usage_check.commands.serve.page.page_view import PageView
from maas_usage_check.commands.serve.page.read_content import read_content
from maas_usage_check.config import load_file
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.ledger import Account
from maas_usage_check.state import Store, Transaction

from ..conftest import Cloud
from .conftest import Report
from .long_ledger import DAY
from .months import LAST_HOUR, NOW, Months


class CountingStore(Store):
    """Keeps the statements that read the hours or the names of series."""

    statements: List[str]

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        with super().snapshot() as transaction:
            run = transaction.run

            def counted(statement: str, values: Any = ()) -> Any:
                self.statements += [statement] if "FROM hours" in statement or "FROM series" in statement else []
                return run(statement, values)

            transaction.run = counted  # type: ignore[method-assign]
            yield transaction


def statements(months: Months, folder: Path) -> int:
    months.configure()
    months.ledger.fill(LAST_HOUR - 3 * DAY, LAST_HOUR)
    (instance,) = load_file(months.report.config(), NOW / 1000)
    store = CountingStore(lambda: str(folder / "maas-usage-check.sqlite3"), pytest.fail)
    store.statements = []
    source = PageSource(instance, Account(PROJECT_ID), (), CollectionState("starting"))
    content = read_content(PageView(), ["test"], source, store, NOW)
    assert len(content.groups[-1].groups) == len(months.cloud.emulator.models.ids())
    return len(store.statements)


def test_statements(cloud: Cloud, report: Report, tmp_path: Path) -> None:
    """More models and keys need no more statements."""
    months = Months(cloud, report, tmp_path)
    few = statements(months, tmp_path)
    cloud.emulator.models = SimulatedModels(5, 4)
    assert statements(months, tmp_path) == few
    assert few < 25
