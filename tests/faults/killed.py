"""Kill processes at the n-th write to the state: run as a program with preload.KILLS before the C library.

Its arguments are a folder, and the step from one n to the next for cycles; single entries take every n.
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

from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.ledger import COUNTERS, HOURS
from maas_usage_check.metrics import CONSUMED, HOURLY
from maas_usage_check.scheduling.key_state import KeyEntry
from maas_usage_check.state import Store, find_file

from .world import CONSUMERS, World, truth

HOUR = 3600
Say = Callable[[Any], None]


def in_a_process(work: Callable[[Say], None], kill_at: int = 0) -> Tuple[bool, List[Any]]:
    """Do work in a fork; tell whether it was killed, and what it had said by then."""
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
        said = [json.loads(line) for line in file]
    _, status = os.waitpid(process, 0)
    assert status in (0, 9), status
    return status == 9, said


def check_store(folder: Path) -> None:
    """A change that was made is never lost, and one that was not made leaves nothing behind."""

    def refuse(path: Path, times: int, say: Say) -> None:
        store = Store(lambda: find_file(str(path)), World.no_warning)
        for _ in range(times):
            with store.entry(KeyEntry, "key", durable=True) as entry:
                entry.refusals += 1
                entry.why = "x" * 20_000
            say(entry.refusals)
        store.close()

    for kill_at in count(1):
        path = folder / f"store{kill_at}"
        killed, said = in_a_process(partial(refuse, path, 3), kill_at)
        done = len(said)
        _, (after,) = in_a_process(partial(refuse, path, 1))
        assert done <= after - 1 <= done + 1, (kill_at, done, after)
        assert [each.name for each in path.iterdir()] == ["maas-usage-check.sqlite3"]
        if not killed:
            assert kill_at > 20
            return


def cycles(folder: Path, hours: List[float], say: Say) -> None:
    """Run a cycle for each consumer at each time, and say what it was given when the cycle is over."""
    world = World(folder, SimulatedUsage(late=True))
    keys: Dict[str, Any] = {"hourly": True, "backfill_days": 1, "ranges": ["last_1d"]}
    collectors = [world.collectors(consumer=consumer, **keys)[0] for consumer in CONSUMERS]
    for hour in hours:
        world.seconds = hour * HOUR
        for consumer, collector in zip(CONSUMERS, collectors):
            points = collector.cycle().points
            told = [
                (each.time // 1_000_000, each.fields["total_tokens"]) for each in points if each.measurement == HOURLY
            ]
            say((consumer.kind, told, sum(each.fields["tokens"] for each in points if each.measurement == CONSUMED)))


BEFORE, KILLED, AFTER = [0.0, 3.0], [5.1], [6.1, 6.7]


def check_hours(folder: Path, step: int) -> None:
    """No hour is lost or wrong, no count falls, and of increments those of the killed cycle at most are lost."""
    template = folder / "template"
    template.mkdir()
    _, before = in_a_process(partial(cycles, template, BEFORE))
    world = World(template, SimulatedUsage(late=True))
    world.seconds = AFTER[-1] * HOUR

    def run(name: str, kill_at: int) -> Tuple[bool, Dict[int, int], List[int], List[int]]:
        """Return whether it was killed, and the hours, counters and increments that the consumers were given."""
        path = folder / name
        shutil.copytree(template, path)
        killed, said = in_a_process(partial(cycles, path, KILLED), kill_at)
        _, later = in_a_process(partial(cycles, path, AFTER))
        shutil.rmtree(path)
        said = [*before, *said, *later]
        given = {at: tokens for takes, told, _ in said if takes == HOURS for at, tokens in told}
        counters = [consumed for takes, _, consumed in said if takes == COUNTERS]
        return killed, given, counters, [consumed for takes, _, consumed in said if takes not in (HOURS, COUNTERS)]

    _, _, whole, known = run("whole", 0)
    for kill_at in count(1, step):
        killed, given, counters, increments = run(f"killed{kill_at}", kill_at)
        for at in range(min(given), world.now - 4 * HOUR * 1000, HOUR * 1000):
            assert given.get(at) == truth(world.emulator, at, world.now)[0], (kill_at, at)
        assert [0, *counters] == sorted([0, *counters])
        assert counters[-1] == whole[-1] > 0
        assert sum(known) - known[len(BEFORE)] <= sum(increments) <= sum(known)
        if not killed:
            assert kill_at > 50
            return


if __name__ == "__main__":
    check_store(Path(sys.argv[1]))
    check_hours(Path(sys.argv[1]), int(sys.argv[2]))
