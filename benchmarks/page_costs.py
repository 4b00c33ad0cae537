"""Measure the page of `serve` over 13 months: its time, its memory, and how much it delays a scrape."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import socket
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Tuple
from urllib.parse import urlsplit

from month_costs import MIB, fill_days, fill_hours, fill_unused, make_models_larger, serve, write_config
from runs import COMMAND, process

PERIODS = ("today", "this_month", "last_month", time.strftime("%Y-%m", time.gmtime(time.time() - 120 * 86_400)))
REQUESTS, CLIENTS, SCRAPES = 1000, 32, 20
LIMIT_S, LIMIT_MIB, LIMIT_DELAY_S = 0.3, 60, 0.1
LEDGER = "60 series x 13 months, 30 models x 20 keys"


def rows(
    make_folder: Callable[[], str], environ: Dict[str, str], row: Callable[[str, str, float, float], str]
) -> List[str]:
    """Measure everything; return the rows of the table."""
    folder = Path(make_folder())
    with process(serve) as cloud:
        config = write_config(folder, cloud)
        subprocess.run(
            [COMMAND, "collect", "--config", str(config)], env=environ, check=True, stdout=subprocess.DEVNULL
        )
        fill_hours(folder)
        fill_days(folder)
        make_models_larger(folder)
        fill_unused(folder)
        with running(config, environ, "--no-page") as (url, pid):
            without_page = peak_memory(pid, url, ["/metrics"])
        with running(config, environ) as (url, pid):
            first = seconds(url + "/")
            others = {period: seconds(f"{url}/?period={period}") for period in PERIODS}
            with_page = peak_memory(pid, url, ["/metrics"])
    with hanging(cloud), running(config, environ, wait_for_cycle=False) as (url, _):
        alone = max(seconds(url + "/metrics") for _ in range(SCRAPES))
        loaded = max(scrapes_under_load(url))
    slowest = max(others, key=lambda period: others[period])
    memory = (with_page - without_page) / MIB
    return [
        row(f"the page of `serve`, {LEDGER}", f"{first * 1000:.0f} ms", first / LIMIT_S, 1),
        row(
            f"the same, {slowest}: the slowest period", f"{others[slowest] * 1000:.0f} ms", others[slowest] / LIMIT_S, 1
        ),
        row("the same: memory of all pages beyond `--no-page`", f"{memory:.0f} MiB", memory / LIMIT_MIB, 1),
        row(
            f"slowest scrape during {REQUESTS:,} requests for pages, {CLIENTS} at once, while the cloud hangs / alone",
            f"{loaded * 1000:.0f} ms / {alone * 1000:.0f} ms",
            (loaded - alone) / LIMIT_DELAY_S,
            1,
        ),
    ]


@contextlib.contextmanager
def running(
    config: Path, environ: Dict[str, str], *options: str, wait_for_cycle: bool = True
) -> Iterator[Tuple[str, int]]:
    """Run `serve`; yield its URL and process id, after its first cycle or at once."""
    command = [COMMAND, "serve", "--config", str(config), "--listen", "127.0.0.1:0", *options]
    started = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    assert started.stderr
    try:
        url = next(line.split()[2] for line in started.stderr if "serving http" in line)[: -len("/metrics")]
        threading.Thread(target=started.stderr.read, daemon=True).start()
        while wait_for_cycle and not is_ready(url):
            time.sleep(0.1)
        time.sleep(1)  # the templates are compiled
        yield url, started.pid
    finally:
        started.kill()
        started.wait()


def is_ready(url: str) -> bool:
    """Return whether the first cycle has ended."""
    with contextlib.suppress(OSError):
        return bool(urllib.request.urlopen(f"{url}/-/ready", timeout=10).status == 200)
    return False


def seconds(url: str) -> float:
    """Time a request."""
    began = time.perf_counter()
    urllib.request.urlopen(url, timeout=60).read()
    return time.perf_counter() - began


def peak_memory(pid: int, url: str, paths: List[str]) -> int:
    """Return the peak memory of a process after some requests."""
    for path in paths:
        seconds(url + path)
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kib) * 1024


@contextlib.contextmanager
def hanging(cloud: str) -> Iterator[None]:
    """Listen where the cloud was, and never answer."""
    with socket.create_server(("127.0.0.1", urlsplit(cloud).port or 0), backlog=1000):
        yield


def scrapes_under_load(url: str) -> List[float]:
    """Time scrapes while another process loads pages: its threads must not delay the clock of this one."""
    found: List[float] = []
    clients = multiprocessing.get_context("spawn").Process(target=load_all, args=(url,), daemon=True)
    clients.start()
    while clients.is_alive():
        found.append(seconds(url + "/metrics"))
    return found


def load_all(url: str) -> None:
    """Load pages with all clients."""
    pages = ["/", *(f"/?period={period}" for period in PERIODS)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(load, (url + pages[i % len(pages)] for i in range(REQUESTS))))


def load(url: str) -> None:
    """Load a page, which may be refused while others are made."""
    with contextlib.suppress(OSError):
        urllib.request.urlopen(url, timeout=60).read()
