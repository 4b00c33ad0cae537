"""State files that earlier versions wrote are read, and their hours and counts go on.

Each file in `files/` was written by the commit in its name, and then vacuumed. It ran cycles against PlainCloud for a
consumer of hours and one of counters at 12:30, 13:30, 14:30 and 15:30; another access key was refused at 15:33. Since
version 3 it has days of the model, which that commit made from the cloud's hours of 70, 69 and 68 days ago: at the
prices 2 and 4, at 0.5 and 1.25, and without a price.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Credentials, Request, Response
from maas_usage_check.collection import Batch, Collector, run_cycle
from maas_usage_check.config import load
from maas_usage_check.config.prices import Price
from maas_usage_check.errors import Result
from maas_usage_check.ledger import COUNTERS, HOURS, Consumer
from maas_usage_check.ledger.day_store import Day, days
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.schema import read_transaction
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import Store, store
from maas_usage_check.state.schema import LEDGER_TABLES, VERSION

from ..collection.account import points
from ..fixed_clock import MONDAY, FixedClock
from .plain_cloud import MODEL, URL, WRONG_ACCESS_KEY, PlainCloud, tokens

FILES = sorted((Path(__file__).parent / "files").glob("schema*.sqlite3"))
HOUR_S = 3600
DAY = 86_400_000
NOON = int(MONDAY) - 1800
CONSUMERS = {HOURS: "influx", COUNTERS: "prometheus"}
ENTRY: Dict[str, Any] = {
    **dict.fromkeys(("endpoint", "iam_endpoint", "cloud_eye_endpoint"), URL),
    "project_id": "d3m0" * 8,
    "hourly": True,
    "models": True,
    "backfill_days": 1,
    "ranges": ["last_1d"],
    "prices": {"currency": "CNY", "models": {MODEL: {"prompt": 2, "completion": 4}}},
    "timezone": "UTC",
}


class Agent:
    """Run cycles over a copy of a carried file, each as a process of its own does."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.version = int(re.findall(r"schema(\d+)", file.name)[0])
        self.path = folder / "state.sqlite3"
        shutil.copy(file, self.path)
        self.clock = FixedClock(MONDAY + 3 * HOUR_S + 240)
        self.cloud = PlainCloud()
        self.warnings: List[str] = []

    def cycle(self, kind: str, access_key: str = "TESTACCESSKEY0000000") -> Batch:
        store = Store(lambda: str(self.path), self.warnings.append, self.clock.now)
        clock: Clock = self.clock.clock
        batch = run_cycle(
            [
                Collector(
                    load({"instances": [ENTRY]}, self.clock.now())[0],
                    lambda: Credentials(access_key, "secret"),
                    self._send,
                    Schedulers(store, clock),
                    clock,
                    consumer=Consumer(f"{CONSUMERS[kind]} collect /etc/maas-usage-check/conf.yaml 0", kind),
                )
            ]
        )[0]
        store.close()
        return batch

    def counters(self) -> Dict[str, Any]:
        """Run a cycle; return the first field of each counter by measurement."""
        batch = self.cycle(COUNTERS)
        return {
            each.measurement: next(iter(each.fields.values()))
            for each in batch.points
            if "consumed" in each.measurement
        }

    def hours(self) -> Dict[int, Any]:
        """Run a cycle; return the emitted tokens by the hour of the day."""
        hourly = points(self.cycle(HOURS), "huawei_maas_hourly")
        return {each.time // 10**9 % 86_400 // HOUR_S: each.fields["total_tokens"] for each in hourly}

    def _send(self, request: Request, timeout: float) -> Response:
        self.cloud.now_ms = int(self.clock.at * 1000)
        return Response(*self.cloud.answer(request.url, request.headers, request.body))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Agent:
    return Agent(request.param, tmp_path)


def counts(statistics: range, models: range) -> Dict[str, Any]:
    """Return the counters after these hours of the day, by hand."""
    by_model = sum(tokens((NOON + (hour - 12) * HOUR_S) * 1000) for hour in models)
    return {
        "huawei_maas_consumed": sum(tokens((NOON + (hour - 12) * HOUR_S) * 1000) for hour in statistics),
        "huawei_maas_model_consumed": by_model,
        "huawei_maas_model_cost_consumed": pytest.approx(by_model * 3 / 10**6),
    }


def test_counters_go_on(agent: Agent) -> None:
    """At 15:34 they are unchanged; an hour later they have grown by that hour."""
    assert counts(range(12, 14), range(12, 15)) == {
        "huawei_maas_consumed": 7_000,
        "huawei_maas_model_consumed": 12_000,
        "huawei_maas_model_cost_consumed": 0.036,
    }
    assert agent.counters() == counts(range(12, 14), range(12, 15))
    agent.clock.at += HOUR_S
    assert agent.counters() == counts(range(12, 15), range(12, 16))
    assert agent.warnings == []


def test_emitted_hours_are_not_emitted_again(agent: Agent) -> None:
    """Only the changes since an hour before the last cycle are: of 27 known hours, one settled and one is new."""
    assert agent.hours() == {11: 2_000, 13: 4_000}
    agent.clock.at += HOUR_S
    assert agent.hours() == {11: 2_000, 12: 3_000, 13: 4_000, 14: 5_000}
    assert agent.warnings == []


def test_wait_after_a_refusal_holds(agent: Agent) -> None:
    """The refused key is not tried before 15:38."""
    assert agent.cycle(HOURS, WRONG_ACCESS_KEY).result == Result.KEY_REFUSED
    assert agent.cloud.requests == []
    agent.clock.at += 240
    assert agent.cycle(HOURS, WRONG_ACCESS_KEY).result == Result.KEY_REFUSED
    assert len(agent.cloud.requests) == 1


def execute(agent: Agent, *statements: str) -> List[Any]:
    """Execute statements on the file; return the rows of the last."""
    with contextlib.closing(sqlite3.connect(agent.path, isolation_level=None)) as file:
        return [file.execute(statement).fetchall() for statement in statements][-1]


def test_no_row_is_lost(agent: Agent) -> None:
    """A command that only reads migrates the file too."""
    tables = [f"SELECT * FROM {table} ORDER BY 1, 2" for table in LEDGER_TABLES]
    entries = "SELECT kind, name, value FROM entries"
    notes = " UNION SELECT * FROM notes" if agent.version == 1 else " ORDER BY 1, 2"
    before = [execute(agent, table) for table in (*tables, f"{entries}{notes}")]
    with Store(lambda: str(agent.path)).snapshot() as snapshot:
        assert [snapshot.run(table).fetchall() for table in (*tables, f"{entries} ORDER BY 1, 2")] == before
    consumers, entries = {1: (6, 13), 2: (7, 13), 3: (7, 17)}[agent.version]
    assert list(map(len, before)) == [1, 3, 54, 0, consumers, entries]


def test_tables(agent: Agent, tmp_path: Path) -> None:
    """A migrated file has the tables of a new one."""
    tables = "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
    found = []
    for path in (agent.path, tmp_path / "new.sqlite3"):
        with Store(lambda path=path: str(path)).transaction() as transaction:  # type: ignore[misc]
            found.append(transaction.run(tables).fetchall())
    assert found[0] == found[1]


def test_days_keep_their_price(agent: Agent) -> None:
    """The days of an earlier version have the prices of their time, whose cost has no cached part."""
    midnight = (NOON - 12 * HOUR_S) * 1000
    with read_transaction(Store(lambda: str(agent.path)), int(agent.clock.at * 1000)) as transaction:
        found = [
            Day(day.start - midnight, day.until - midnight, *day[2:])
            for (name,) in transaction.select("SELECT name FROM series")
            for day in days(HourStore(transaction, name, 0), 0, midnight)
        ]
    prices = [Price(Decimal(2), Decimal(4)), Price(Decimal("0.5"), Decimal("1.25"))]
    expected = [
        Day(-70 * DAY, -69 * DAY, 24, (70_000, 35_000, 35_000, 24, 0), prices[0], "CNY"),
        Day(-69 * DAY, -68 * DAY, 24, (71_000, 35_500, 35_500, 24, 0), prices[1], "CNY"),
        Day(-68 * DAY, -67 * DAY, 24, (72_000, 36_000, 36_000, 24, 0)),
    ]
    assert found == (expected if agent.version >= 3 else [])
    assert [day.cost("CNY") for day in expected] == [Decimal("0.21"), Decimal("0.062125"), None]


def test_cost_goes_on(agent: Agent) -> None:
    """The parts of a cost that an earlier version counted begin at 0, and grow as the cost does."""
    agent.clock.at += HOUR_S
    (point,) = points(agent.cycle(COUNTERS), "huawei_maas_model_cost_consumed")
    grown = tokens((NOON + 3 * HOUR_S) * 1000) / 10**6
    assert point.fields == pytest.approx(
        {"cost": 0.036 + 3 * grown, "prompt_cost": grown, "completion_cost": 2 * grown}, abs=1e-12
    )


def test_new_series(agent: Agent) -> None:
    """A series that the file does not have begins at 0, and the others stay."""
    tables = ("hours", "questions", "consumers", *(["days"] if agent.version >= 3 else []))
    execute(agent, "DELETE FROM series WHERE id = 2", *(f"DELETE FROM {each} WHERE series = 2" for each in tables))
    assert agent.counters() == counts(range(12, 14), range(0))
    assert agent.warnings == []


def test_file_without_a_ledger(agent: Agent) -> None:
    """An agent without hours left only entries; its first hours begin a history."""
    if agent.version > 1:
        pytest.skip("every file has the tables since version 2")
    execute(agent, *(f"DROP TABLE {each}" for each in (*LEDGER_TABLES, "notes")))
    assert agent.counters() == counts(range(0), range(0))
    assert agent.warnings == []


def test_unwritable_file(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file cannot be written it stays as it is, its waits hold, and hours and counters are paused."""
    monkeypatch.setattr(store, "BUSY_TIMEOUT_S", 0.001)
    with contextlib.closing(sqlite3.connect(agent.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert agent.cycle(HOURS, WRONG_ACCESS_KEY).result == Result.KEY_REFUSED
        assert agent.cloud.requests == []
        assert agent.counters() == agent.hours() == {}
    assert execute(agent, "PRAGMA user_version") == [(agent.version,)]
    assert agent.counters() == counts(range(12, 14), range(12, 15))
    assert {text.split(". ")[0] for text in agent.warnings} == {
        f"{agent.path}: cannot write the state: another process keeps it locked, or its file system has no locks"
    }


def test_newer_file(agent: Agent) -> None:
    """A file of a newer version is refused with the remedy and stays as it is; its waits hold all the same."""
    agent.counters()
    execute(agent, f"PRAGMA user_version={VERSION + 1}")
    before = agent.path.read_bytes()
    agent.cloud.requests.clear()
    assert agent.cycle(HOURS, WRONG_ACCESS_KEY).result == Result.KEY_REFUSED
    assert agent.cloud.requests == []
    batch = agent.cycle(COUNTERS)
    assert points(batch, "huawei_maas_consumed") == []
    (paused,) = {problem.text for problem in batch.problems if "Hours and counters are paused" in problem.text}
    refused = f"{agent.path}: cannot use the state: a newer version of this plugin wrote it"
    assert paused.endswith(f"{refused}. Hours and counters are paused; update, or set state_dir")
    assert set(agent.warnings) == {f"{refused}. Waits after a refusal are forgotten at exit; update, or set state_dir"}
    assert agent.path.read_bytes() == before
