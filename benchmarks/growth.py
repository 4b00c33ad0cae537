"""Measure what must not grow faster than the work: many instances of one key, and what is left out of a cycle."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence

from runs import COMMAND, cycle, processor

from maas_usage_check.emulator.emulator import PROJECT_ID

CYCLES = 20
Instances = List[Dict[str, Any]]
KINDS = {"service_types": ["preset", "my_service"], "infer_types": ["real_time", "batch"]}
RANGES = [f"last_{hours}h" for hours in range(4, 204)]
"""With the kinds 800 queries."""


def compare(place: Callable[[], str], environ: Dict[str, str], url: str, pair: Sequence[Instances]) -> List[float]:
    """Run two `execd` turn by turn; return the processor seconds of a cycle of each, after the first."""
    with ExitStack() as running:
        daemons = [running.enter_context(started(place(), environ, url, instances)) for instances in pair]
        for timed in daemons:
            timed()
        return [sum(times) / CYCLES for times in zip(*([timed() for timed in daemons] for _ in range(CYCLES)))]


@contextmanager
def started(folder: str, environ: Dict[str, str], url: str, instances: Instances) -> Iterator[Callable[[], float]]:
    """Start an `execd`; yield what runs a cycle of it, and returns the processor seconds it took."""
    shared = {
        "endpoint": url, "iam_endpoint": url, "project_id": PROJECT_ID, "state_dir": f"{folder}/state",
        "max_requests_per_minute": 86_400, "deadline": 20,
    }  # fmt: skip
    path = Path(folder) / "conf.yaml"
    path.write_text(json.dumps({"instances": [{**shared, **keys} for keys in instances]}))
    command = [COMMAND, "execd", "--config", str(path)]
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:

        def timed() -> float:
            began = processor(process.pid)
            cycle(process, len(instances))
            return processor(process.pid) - began

        yield timed


def left_out(queries: int) -> Instances:
    """Write an instance of so many queries, of which one may go in a minute."""
    labels = [f"team-{n}" for n in range(queries // 40 - 1)]
    return [{"ranges": RANGES[:10], **KINDS, "max_requests_per_minute": 1, "api_keys": labels, "per_api_key": True}]


def rows(
    place: Callable[[], str], environ: Dict[str, str], url: str, row: Callable[[str, str, float, float], str]
) -> List[str]:
    """Measure, and write rows of the table; `place` makes a folder."""
    many = [
        {
            "ranges": RANGES[n : n + 4],
            "service_types": [kind],
            "infer_types": [infer],
            "tags": [f"n:{n}-{kind}-{infer}"],
        }
        for n, kind, infer in product(range(0, 200, 4), KINDS["service_types"], KINDS["infer_types"])
    ]
    apart, together = compare(place, environ, url, (many, [{"ranges": RANGES, **KINDS}]))
    all_left, half = compare(place, environ, url, (left_out(2000), left_out(1000)))
    of_many, of_one = f"{apart / 0.8:.2f} ms / {together / 0.8:.2f} ms", f"{all_left:.3f} s / {half:.3f} s"
    return [
        row("200 instances of one key / one with as many queries, per query", of_many, apart / together, 2),
        row("a cycle in which all is left out, 2,000 queries / 1,000", of_one, all_left / half, 2.2),
    ]
