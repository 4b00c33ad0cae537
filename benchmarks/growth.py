"""Measure processor time that must not grow faster than the queries: of many instances, and of deferred queries."""

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
"""With KINDS, 800 queries."""


def compare(
    make_folder: Callable[[], str], environ: Dict[str, str], url: str, pair: Sequence[Instances]
) -> List[float]:
    """Run two `execd` alternately; return the mean processor seconds of a cycle of each, after the first."""
    with ExitStack() as running:
        daemons = [running.enter_context(started(make_folder(), environ, url, instances)) for instances in pair]
        for timed in daemons:
            timed()
        return [sum(times) / CYCLES for times in zip(*([timed() for timed in daemons] for _ in range(CYCLES)))]


@contextmanager
def started(folder: str, environ: Dict[str, str], url: str, instances: Instances) -> Iterator[Callable[[], float]]:
    """Start an `execd`; yield a function that runs a cycle and returns its processor seconds."""
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


def deferring_instance(queries: int) -> Instances:
    """Return an instance of so many queries, of which the rate limit allows one per minute."""
    labels = [f"team-{n}" for n in range(queries // 40 - 1)]
    return [{"ranges": RANGES[:10], **KINDS, "max_requests_per_minute": 1, "api_keys": labels, "per_api_key": True}]


def rows(
    make_folder: Callable[[], str], environ: Dict[str, str], url: str, row: Callable[[str, str, float, float], str]
) -> List[str]:
    """Measure; return rows of the table; `make_folder` makes one for each run."""
    many = [
        {
            "ranges": RANGES[n : n + 4],
            "service_types": [kind],
            "infer_types": [infer],
            "tags": [f"n:{n}-{kind}-{infer}"],
        }
        for n, kind, infer in product(range(0, 200, 4), KINDS["service_types"], KINDS["infer_types"])
    ]
    apart, together = compare(make_folder, environ, url, (many, [{"ranges": RANGES, **KINDS}]))
    all_left, half = compare(make_folder, environ, url, (deferring_instance(2000), deferring_instance(1000)))
    per_query, per_cycle = f"{apart / 0.8:.2f} ms / {together / 0.8:.2f} ms", f"{all_left:.3f} s / {half:.3f} s"
    return [
        row("200 instances of one key / one with as many queries, per query", per_query, apart / together, 1.5),
        row("a cycle that defers all of 2,000 queries / of 1,000", per_cycle, all_left / half, 2.1),
    ]
