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

from maas_usage_check.access.key_entry import KeyEntry
from maas_usage_check.cycle import Collector
from maas_usage_check.history import COUNTERS, HOURS, INCREMENTS, Consumer
from maas_usage_check.metrics import CONSUMED, HOURLY
from maas_usage_check.standin.emulator import Emulator
from maas_usage_check.standin.ledger import API_KEYS, Ledger
from maas_usage_check.store import Store, find_file

from ..conftest import AK, NOW, SK
from .world import World

HOUR = 3600
CONSUMERS = (Consumer("telegraf", HOURS), Consumer("prometheus", COUNTERS), Consumer("agent", INCREMENTS))
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


class Account:
    """What three consumers of one state were given."""

    def __init__(self) -> None:
        self.hours: Dict[int, int] = {}
        self.counters = [0]
        self.increments: List[int] = []

    def add(self, said: List[Any]) -> None:
        for name, hours, consumed in said:
            if name == "telegraf":
                self.hours.update({int(at): tokens for at, tokens in hours.items()})
            elif name == "prometheus":
                self.counters.append(consumed)
            else:
                self.increments.append(consumed)


def emulator(world: World) -> Emulator:
    return Emulator({AK: SK}, Ledger(late=True), now=lambda: NOW + world.seconds)


def cycles(folder: Path, hours: List[float], say: Say) -> None:
    """Run a cycle for each consumer at each time, and say what it was given when the cycle is over."""
    world = World(folder)
    world.emulator = emulator(world)
    keys = {"hourly": True, "backfill_days": 1, "ranges": ["last_1d"]}
    collectors: List[Collector] = [world.collectors(consumer=consumer, **keys)[0] for consumer in CONSUMERS]
    for hour in hours:
        world.seconds = hour * HOUR
        for consumer, collector in zip(CONSUMERS, collectors):
            points = collector.cycle().points
            told = {
                each.time // 1_000_000: each.fields["total_tokens"] for each in points if each.measurement == HOURLY
            }
            consumed = sum(int(each.fields["tokens"]) for each in points if each.measurement == CONSUMED)
            say((consumer.name, told, consumed))


BEFORE, KILLED, AFTER = [0.0, 3.0], [5.1], [6.1, 6.7]


def check_hours(folder: Path, step: int) -> None:
    """No hour is lost or wrong, no count falls, and of increments those of the killed cycle at most are lost."""
    template = folder / "template"
    template.mkdir()
    _, before = in_a_process(partial(cycles, template, BEFORE))
    world = World(template)
    ledger, now = emulator(world).ledger, int((NOW + AFTER[-1] * HOUR) * 1000)

    def run(name: str, kill_at: int) -> Tuple[bool, Account]:
        path, account = folder / name, Account()
        shutil.copytree(template, path)
        killed, said = in_a_process(partial(cycles, path, KILLED), kill_at)
        _, later = in_a_process(partial(cycles, path, AFTER))
        shutil.rmtree(path)
        account.add([*before, *said, *later])
        return killed, account

    _, whole = run("whole", 0)
    known = sum(whole.increments)
    for kill_at in count(1, step):
        killed, account = run(f"killed{kill_at}", kill_at)
        for at in range(min(account.hours), now - 4 * HOUR * 1000, HOUR * 1000):
            hour = ledger.hour(2, "real_time", list(API_KEYS), at, now)
            tokens = hour.prompt_tokens + hour.completion_tokens + hour.other_tokens
            assert account.hours.get(at) == tokens, (kill_at, at)
        assert account.counters == sorted(account.counters)
        assert account.counters[-1] == whole.counters[-1] > 0
        assert known - whole.increments[len(BEFORE)] <= sum(account.increments) <= known
        if not killed:
            assert kill_at > 50
            return


if __name__ == "__main__":
    check_store(Path(sys.argv[1]))
    check_hours(Path(sys.argv[1]), int(sys.argv[2]))
