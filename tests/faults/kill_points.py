"""Kill processes at the n-th write to the state file.

Run it as a program with preload.KILL_AT_WRITE in LD_PRELOAD. Arguments: a folder, and for cycles the step from one n to
the next. Single entries and a migration are killed at every n.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
import traceback
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

from maas_usage_check.collection import run_cycle
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.ledger import COUNTERS, HOURS
from maas_usage_check.metrics import CONSUMED, HOURLY
from maas_usage_check.scheduling.key_state import KeyEntry
from maas_usage_check.state import Store, find_file

from .simulation import CONSUMERS, Simulation, expected_hour

HOUR = 3600
Report = Callable[[Any], None]


def run_forked(work: Callable[[Report], None], kill_at: int = 0) -> Tuple[bool, List[Any]]:
    """Run `work` in a fork; return whether it was killed, and the values it had reported by then."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        try:
            ctypes.CDLL(None).kill_at_write(kill_at)
            work(lambda value: os.write(writer, json.dumps(value).encode() + b"\n"))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as file:
        reports = [json.loads(line) for line in file]
    _, status = os.waitpid(process, 0)
    assert status in (0, 9), status
    return status == 9, reports


def check_store(folder: Path) -> None:
    """A committed change is never lost, and an uncommitted one leaves nothing behind."""

    def refuse(path: Path, times: int, report: Report) -> None:
        store = Store(lambda: find_file(str(path)), Simulation.fail_on_warning)
        for _ in range(times):
            with store.entry(KeyEntry, "key", durable=True) as entry:
                entry.refusals += 1
                entry.why = "x" * 20_000
            report(entry.refusals)
        store.close()

    for kill_at in count(1):
        path = folder / f"store{kill_at}"
        killed, reports = run_forked(partial(refuse, path, 3), kill_at)
        done = len(reports)
        _, (after,) = run_forked(partial(refuse, path, 1))
        assert done <= after - 1 <= done + 1, (kill_at, done, after)
        assert [each.name for each in path.iterdir()] == ["maas-usage-check.sqlite3"]
        if not killed:
            assert kill_at > 20
            return


def check_migration(folder: Path) -> None:
    """A kill leaves the file of either version, and no row is lost."""
    carried = Path(__file__).parents[1] / "state" / "files" / "schema1-e721d83.sqlite3"

    def read_all(path: Path, report: Report) -> None:
        store = Store(lambda: find_file(str(path)), Simulation.fail_on_warning)
        with store.transaction() as state:
            tables = ("kind, name, value FROM entries", "* FROM clock", "* FROM series", "* FROM hours",
                      "* FROM questions", "* FROM consumers")  # fmt: skip
            report([sorted(state.run(f"SELECT {table}").fetchall()) for table in tables])
        store.close()

    expected: List[Any] = []
    for kill_at in count(0):  # at 0 it is not killed
        path = folder / f"migration{kill_at}"
        path.mkdir()
        shutil.copy(carried, path / "maas-usage-check.sqlite3")
        killed, _ = run_forked(partial(read_all, path), kill_at)
        _, (rows,) = run_forked(partial(read_all, path))
        expected = expected or rows
        assert rows == expected, kill_at
        assert list(map(len, rows)) == [13, 1, 3, 54, 0, 6]
        if not killed and kill_at:
            assert kill_at > 20
            return


def cycles(folder: Path, hours: List[float], report: Report) -> None:
    """Run a cycle for each consumer at each time; report what was emitted when the cycle is over."""
    simulation = Simulation(folder, SimulatedUsage(late=True))
    keys: Dict[str, Any] = {"hourly": True, "backfill_days": 1, "ranges": ["last_1d"]}
    collectors = [simulation.collectors(consumer=consumer, **keys)[0] for consumer in CONSUMERS]
    for hour in hours:
        simulation.elapsed_s = hour * HOUR
        for consumer, collector in zip(CONSUMERS, collectors):
            points = run_cycle([collector])[0].points
            emitted = [
                (each.time // 1_000_000, each.fields["total_tokens"]) for each in points if each.measurement == HOURLY
            ]
            report(
                (consumer.kind, emitted, sum(each.fields["tokens"] for each in points if each.measurement == CONSUMED))
            )


BEFORE, KILLED, AFTER = [0.0, 3.0], [5.1], [6.1, 6.7]


def check_hours(folder: Path, step: int) -> None:
    """No hour is lost or wrong, no counter falls, and at most the killed cycle's increments are lost."""
    template = folder / "template"
    template.mkdir()
    _, before = run_forked(partial(cycles, template, BEFORE))
    simulation = Simulation(template, SimulatedUsage(late=True))
    simulation.elapsed_s = AFTER[-1] * HOUR

    def run(name: str, kill_at: int) -> Tuple[bool, Dict[int, int], List[int], List[int]]:
        """Return whether it was killed, and the hours, counters and increments that were emitted."""
        path = folder / name
        shutil.copytree(template, path)
        killed, during = run_forked(partial(cycles, path, KILLED), kill_at)
        _, after = run_forked(partial(cycles, path, AFTER))
        shutil.rmtree(path)
        reports = [*before, *during, *after]
        hours = {at: tokens for takes, emitted, _ in reports if takes == HOURS for at, tokens in emitted}
        counters = [consumed for takes, _, consumed in reports if takes == COUNTERS]
        return killed, hours, counters, [consumed for takes, _, consumed in reports if takes not in (HOURS, COUNTERS)]

    _, _, all_counters, all_increments = run("whole", 0)
    for kill_at in count(1, step):
        killed, hours, counters, increments = run(f"killed{kill_at}", kill_at)
        for at in range(min(hours), simulation.now - 4 * HOUR * 1000, HOUR * 1000):
            assert hours.get(at) == expected_hour(simulation.emulator, at, simulation.now)[0], (kill_at, at)
        assert [0, *counters] == sorted([0, *counters])
        assert counters[-1] == all_counters[-1] > 0
        assert sum(all_increments) - all_increments[len(BEFORE)] <= sum(increments) <= sum(all_increments)
        if not killed:
            assert kill_at > 50
            return


if __name__ == "__main__":
    check_store(Path(sys.argv[1]))
    check_migration(Path(sys.argv[1]))
    check_hours(Path(sys.argv[1]), int(sys.argv[2]))
