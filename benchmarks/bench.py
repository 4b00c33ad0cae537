"""Measure the promised limits as ratios within one run; print the table of this folder's README.

Arguments name the parts to measure; without any, all are measured.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import demo_start
import growth
import hour_costs
import link
import model_costs
import month_costs
import page_costs
from runs import COMMAND, cycle, duration, field, process, processor, resident

from maas_usage_check.emulator.demo import DEMO_CREDENTIALS
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator, Reply
from maas_usage_check.emulator.loopback_server import serve_emulator

HERE = Path(__file__).parent
ENVIRON = {
    **os.environ,
    "HW_ACCESS_KEY": next(iter(DEMO_CREDENTIALS)),
    "HW_SECRET_KEY": next(iter(DEMO_CREDENTIALS.values())),
}
ENVIRON.pop("PYTHONDONTWRITEBYTECODE", None)
ROUNDS = 30
CYCLES = 2000
SETTLED = 200


class SlowEmulator(Emulator):
    """An emulator that delays its answers."""

    delay = 0.0

    def answer(self, *request: Any) -> Reply:
        """Wait for `delay` seconds, then answer."""
        time.sleep(self.delay)
        return super().answer(*request)


def serve(delay: float, urls: Any) -> None:
    """Serve an emulator; run in a process of its own, so that its work is not measured."""
    emulator = SlowEmulator(DEMO_CREDENTIALS, requests_per_minute=10**9)
    emulator.delay = delay
    with serve_emulator(emulator) as url:
        urls.put(url)
        time.sleep(3600)


@contextlib.contextmanager
def cloud(delay: float = 0.0) -> Iterator[str]:
    """Run an emulator in a process; yield its URL."""
    with process(serve, delay) as url:
        yield url


def config(folder: str, url: str, more: str = "") -> str:
    """Write the configuration of one instance with a project id; return its path."""
    path = Path(folder) / "conf.yaml"
    path.write_text(
        f"instances:\n  - endpoint: {url}\n    iam_endpoint: {url}\n    project_id: {PROJECT_ID}\n"
        f"    state_dir: {folder}/state\n    max_requests_per_minute: 86400\n{more}"
    )
    return str(path)


def seconds(command: List[str]) -> float:
    """Run a command; return its seconds."""
    began = time.perf_counter()
    subprocess.run(command, env=ENVIRON, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def one_process(folder: str) -> List[str]:
    """Time a `collect` of three ranges (four requests) and the baseline of one, alternately."""
    with cloud() as url:
        ours = [COMMAND, "collect", "--config", config(folder, url)]
        plain = [sys.executable, str(HERE / "baseline.py"), url, PROJECT_ID]
        pairs = [(seconds(ours), seconds(plain)) for _ in range(ROUNDS + 2)][2:]
    mine, theirs = (statistics.median(times) for times in zip(*pairs))
    return [row("one `collect`, 3 ranges / SDK client, 1 range", f"{mine:.3f} s / {theirs:.3f} s", mine / theirs, 0.7)]


def one_cycle(folder: str) -> List[str]:
    """Time a cycle of 60 queries with answers after 100 ms, by its own duration_seconds."""
    ranges = ", ".join(f"last_{hours}h" for hours in range(1, 61))
    with cloud(0.1) as url:
        path = config(folder, url, f"    max_concurrency: 8\n    ranges: [{ranges}]\n")
        took = statistics.median([duration(path, ENVIRON) for _ in range(5)][1:])  # the first cycle verifies the key
    return [row("60 queries of 100 ms, 8 at once, of a verified key / ideal 0.8 s", f"{took:.3f} s", took / 0.8, 1.15)]


def daemon(folder: str) -> List[str]:
    """Measure the memory and the processor time of `execd` over many cycles."""
    with cloud() as url:
        command = [COMMAND, "execd", "--config", config(folder, url)]
        process = subprocess.Popen(command, env=ENVIRON, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        queries, settled, began = 0.0, 0, 0.0
        for number in range(CYCLES):
            (line,) = cycle(process)
            queries += field(line, ",queries")
            if number == SETTLED:
                settled, began, queries = resident(process.pid), processor(process.pid), 0
        growth = resident(process.pid) - settled
        each = (processor(process.pid) - began) / queries * 1000
        process.communicate()
    return [
        row(f"`execd`, growth from cycle {SETTLED} to {CYCLES}", f"{growth / 1024:.0f} KiB", growth / 1024**2, 1.0),
        row("`execd`, processor time per query", f"{each:.2f} ms", each / 3, 1.0),
    ]


def growth_rows(folder: str) -> List[str]:
    """Measure processor time that must not grow faster than the number of queries."""
    with cloud() as url:
        return growth.rows(lambda: tempfile.mkdtemp(dir=folder), ENVIRON, url, row)


def hours(folder: str) -> List[str]:
    """Measure the costs of hours."""

    def make_folder() -> str:
        return tempfile.mkdtemp(dir=folder)

    every = hour_costs.backfill(make_folder(), lambda at: True)
    weekdays = hour_costs.backfill(make_folder(), hour_costs.weekdays)
    steady, found = hour_costs.steady(make_folder()), hour_costs.restated(make_folder())
    beyond, size = hour_costs.processor(make_folder())
    with cloud() as url:
        first, later = hour_costs.collect_memory(make_folder(), url, ENVIRON)
    mib = 1024**2
    return [
        row("backfill of 29 days, use in every hour: requests per hour of use", f"{every:.2f}", every, 1.2),
        row("backfill, use on weekdays from 9 to 18: requests per hour of use", f"{weekdays:.2f}", weekdays, 1.6),
        row("steady state with late data: requests per series and cycle, less one an hour", f"{steady:.2f}", steady, 3),
        row("requests to find a restated hour", f"{found}", found, 11),
        row("60 series x 696 hours: processor time beyond the requests", f"{beyond * 1000:.0f} ms", beyond / 0.1, 1),
        row("60 series x 696 hours: memory of `collect`", f"{later / mib:.0f} MiB", later / mib / 80, 1),
        row("the same, when all 41,760 hours are emitted", f"{first / mib:.0f} MiB", first / mib / 80, 1),
        row("60 series x 696 hours: size of the state", f"{size / mib:.1f} MiB", size / mib / 20, 1),
    ]


def row(what: str, measured: str, ratio: float, limit: float) -> str:
    """Format one row of the table; the ratio must not exceed the limit."""
    return f"| {what} | {measured} | {ratio:.2f} | {limit:g} | {'yes' if ratio <= limit else '**no**'} |"


def models(folder: str) -> List[str]:
    """Measure the costs of models."""
    return model_costs.rows(lambda: tempfile.mkdtemp(dir=folder), ENVIRON, row)


def months(folder: str) -> List[str]:
    """Measure the costs of 13 months."""
    return month_costs.rows(lambda: tempfile.mkdtemp(dir=folder), ENVIRON, row)


def pages(folder: str) -> List[str]:
    """Measure the page of 13 months."""
    return page_costs.rows(lambda: tempfile.mkdtemp(dir=folder), ENVIRON, row)


def demo(folder: str) -> List[str]:
    """Measure the start of `demo --serve`."""
    return demo_start.rows(row)


def tls(folder: str) -> List[str]:
    """Measure TLS and a link with a round trip."""
    return link.rows(tempfile.mkdtemp(dir=folder), row)


def lines(folder: str) -> List[str]:
    """Count the lines of the two rooms that decide which requests are sent, and of the whole package."""
    package = HERE.parent / "maas_usage_check"

    def count(*folders: Path) -> int:
        return sum(len(path.read_text().splitlines()) for folder in folders for path in folder.rglob("*.py"))

    deciding, whole = count(package / "scheduling", package / "collection"), count(package)
    return [
        row("lines of `scheduling/` and `collection/` together", f"{deciding:,}", deciding / 1000, 1),
        row("lines of the package", f"{whole:,}", whole / 10_000, 1),
    ]


PARTS: Dict[str, Callable[[str], List[str]]] = {
    "process": one_process, "cycle": one_cycle, "execd": daemon, "growth": growth_rows, "hours": hours,
    "models": models, "months": months, "pages": pages, "demo": demo, "link": tls, "lines": lines,
}  # fmt: skip


def main(parts: List[str]) -> int:
    """Measure; return 1 if a limit is exceeded."""
    print("| what | measured | ratio | at most | kept |\n|---|---|---|---|---|", flush=True)
    rows: List[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in parts or PARTS:
            measured = PARTS[part](folder)
            print("\n".join(measured), flush=True)
            rows += measured
    return 1 if any("**no**" in line for line in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
