"""The exporter while the cloud hangs, while scrapers are slow, and after very many scrapes."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import socket
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List

import pytest

from maas_usage_check.cycle.threads import MOST_IDLE
from maas_usage_check.surfaces.serve.server import AT_ONCE, LIMIT

from ..conftest import Cloud, Program, wait_for
from ..surfaces.exporter import Exporter, exporting

SCRAPERS = 4
TYPICAL, SLOWEST = 0.1, 5.0
"""Seconds for most scrapes, and for each, where other processes hold the machine up too."""
MOST_THREADS = 2 + MOST_IDLE
"""The main one, the one that accepts, and those that wait for a cycle's work."""
MIB = 1024.0
"""In KiB, as the kernel tells memory."""
CONFIG = "hourly: true\nbackfill_days: 0\ndeadline: 120\ntimeout: 110\n"


def scrape(exporter: Exporter) -> float:
    """Scrape once as Prometheus does; return how long it took, in seconds."""
    began = time.monotonic()
    answer = exporter.get(Accept="application/openmetrics-text; version=1.0.0", Accept_Encoding="gzip")
    seconds = time.monotonic() - began
    assert answer.status == 200
    assert gzip.decompress(answer.body).endswith(b"# EOF\n")
    return seconds


def scrapes(exporter: Exporter, times: int) -> List[float]:
    with ThreadPoolExecutor(SCRAPERS) as pool:
        return list(pool.map(lambda _: scrape(exporter), range(times)))


def in_use(exporter: Exporter, kind: str) -> float:
    status = Path(f"/proc/{exporter.process.pid}/status").read_text()
    found = re.search(rf"^{kind}:\s+(\d+)", status, re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.timeout(120)
def test_a_thousand_scrapes_are_answered_at_once_while_the_cloud_hangs(cloud: Cloud, program: Program) -> None:
    with exporting(program, program.for_cloud(cloud, f"{CONFIG}min_collection_interval: 0.5")) as exporter:
        exporter.until_ready()
        release, before = cloud.hold(), len(cloud.seen)
        wait_for(lambda: len(cloud.seen) > before, "a cycle that hangs")
        asked = len(cloud.seen)
        took = scrapes(exporter, 1000)
        assert not release.is_set()
        assert len(cloud.seen) - asked < AT_ONCE, "the same cycle still hangs"
        assert exporter.samples("huawei_maas_api_up") == {"cn-southwest-2": 1}, "as of the cycle before"
        release.set()
        assert statistics.median(took) < TYPICAL, f"median {statistics.median(took):.3f} s"
        assert max(took) < SLOWEST, f"slowest {max(took):.3f} s"


@pytest.mark.timeout(120)
def test_slow_scrapers_keep_the_others_waiting_no_longer_than_one_may_take(cloud: Cloud, program: Program) -> None:
    with exporting(program, program.for_cloud(cloud, CONFIG)) as exporter, contextlib.ExitStack() as held:
        exporter.until_ready()
        host, _, port = exporter.url.partition("//")[2].partition(":")
        slow = [held.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(AT_ONCE)]
        done = threading.Event()

        def drip() -> None:
            while not done.wait(0.3):
                for connection in slow:
                    with contextlib.suppress(OSError):
                        connection.send(b"G")

        threading.Thread(target=drip, daemon=True).start()
        try:
            wait_for(lambda: in_use(exporter, "Threads") >= AT_ONCE, "all room to be taken")
            assert in_use(exporter, "Threads") <= AT_ONCE + MOST_THREADS, "no more than there is room for"
            assert scrape(exporter) < LIMIT + SLOWEST
        finally:
            done.set()
        wait_for(lambda: in_use(exporter, "Threads") <= MOST_THREADS, "their threads to end")


@pytest.mark.timeout(300)
def test_ten_thousand_scrapes_leave_memory_threads_and_files_as_they_were(cloud: Cloud, program: Program) -> None:
    def files() -> int:
        return len(os.listdir(f"/proc/{exporter.process.pid}/fd"))

    with exporting(program, program.for_cloud(cloud, CONFIG)) as exporter:
        exporter.until_ready()
        scrapes(exporter, 1000)
        before, had = in_use(exporter, "VmRSS"), files()
        scrapes(exporter, 10_000)
        assert in_use(exporter, "VmRSS") - before < 2 * MIB
        wait_for(lambda: in_use(exporter, "Threads") <= MOST_THREADS and files() <= had, "the connections to end")
