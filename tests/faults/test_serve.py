"""The exporter while the cloud hangs, while scrapers are slow, and after many scrapes."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maas_usage_check.commands.serve.server import MAX_CONNECTIONS

from ..commands.exporter import Exporter, running_exporter
from ..conftest import Cloud, Program, wait_for
from .conftest import Lengths

SCRAPERS = 4
MIB = 1024.0
"""In KiB, the unit of /proc/PID/status."""
CONFIG = "hourly: true\nbackfill_days: 0\ndeadline: 120\ntimeout: 110\n"


def scrape(exporter: Exporter) -> None:
    """Scrape once as Prometheus does."""
    answer = exporter.get(Accept="application/openmetrics-text; version=1.0.0", Accept_Encoding="gzip")
    assert answer.status == 200
    assert gzip.decompress(answer.body).endswith(b"# EOF\n")


def scrapes(exporter: Exporter, times: int) -> None:
    with ThreadPoolExecutor(SCRAPERS) as pool:
        list(pool.map(lambda _: scrape(exporter), range(times)))


def memory(exporter: Exporter) -> int:
    status = Path(f"/proc/{exporter.process.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)
    assert found
    return int(found[1])


def test_hanging_cloud(cloud: Cloud, program: Program) -> None:
    """Scrapes are answered while the cloud hangs."""
    with running_exporter(program, program.cloud_config(cloud, f"{CONFIG}max_concurrency: 1")) as exporter:
        exporter.wait_until_ready()
        release, before = cloud.block(), len(cloud.requests)
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(cloud.requests) > before, "a cycle that hangs")
        scrapes(exporter, 40)
        assert exporter.samples("huawei_maas_api_up") == {"cn-southwest-2": 1}, "still the metrics of the last cycle"
        assert len(cloud.requests) == before + 1, "the same cycle still hangs"
        release.set()


def test_slow_scrapers(cloud: Cloud, program: Program) -> None:
    """A scrape is answered while slow scrapers hold all connections."""
    with running_exporter(program, program.cloud_config(cloud, CONFIG)) as exporter, contextlib.ExitStack() as stack:
        exporter.wait_until_ready()
        host, _, port = exporter.url.partition("//")[2].partition(":")
        slow = [stack.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(MAX_CONNECTIONS)]
        done = threading.Event()

        def drip() -> None:
            while not done.wait(0.3):
                for connection in slow:
                    with contextlib.suppress(OSError):
                        connection.send(b"G")

        threading.Thread(target=drip, daemon=True).start()
        try:
            scrape(exporter)
        finally:
            done.set()


@pytest.mark.timeout(600)
def test_scrapes_leak_nothing(cloud: Cloud, program: Program, lengths: Lengths) -> None:
    """Scrapes leak no memory and no open file."""

    def files() -> int:
        return len(os.listdir(f"/proc/{exporter.process.pid}/fd"))

    with running_exporter(program, program.cloud_config(cloud, CONFIG)) as exporter:
        exporter.wait_until_ready()
        scrapes(exporter, lengths.requests // 10)
        memory_before, files_before = memory(exporter), files()
        scrapes(exporter, lengths.requests)
        assert memory(exporter) - memory_before < 2 * MIB
        wait_for(lambda: files() <= files_before, "the connections to end")
