"""Measure the costs of a real link: TLS verified by the system's certificates, and round trips."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import instructions
import trustme
from runs import COMMAND, cycle, duration, field, process, processor

from maas_usage_check.emulator.demo import DEMO_CREDENTIALS
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.emulator.loopback_server import serve_emulator

HERE = Path(__file__).parent
ROUND_TRIP = 0.1
ROUNDS = 30
TURNS = 5
LAUNCH = """
import os, sys
_, status, used = os.wait4(os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:]), 0)
print(used.ru_maxrss, file=sys.stderr)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
"""
CYCLES = 600
SETTLED = 100

Row = Callable[[str, str, float, float], str]


class Secure(NamedTuple):
    """The URL of a cloud over TLS, and an environment that trusts its certificate."""

    url: str
    environ: Dict[str, str]


def serve(folder: str, urls: Any) -> None:
    """Serve an emulator over TLS; run in a process of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/server.pem")
    with serve_emulator(Emulator(DEMO_CREDENTIALS, requests_per_minute=10**9), tls=context) as url:
        urls.put(url)
        time.sleep(3600)


@contextlib.contextmanager
def cloud(folder: str) -> Iterator[Secure]:
    """Serve a cloud whose authority is added to the system's hashed directory."""
    root = trustme.CA()
    issued = root.create_child_ca().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(f"{folder}/server.pem")
    store = Path(folder, "certs")
    store.mkdir()
    for path in Path(ssl.get_default_verify_paths().openssl_capath).glob("*.pem"):
        (store / path.name).symlink_to(path.resolve())
    root.cert_pem.write_to_path(str(store / "benchmark.pem"))
    subprocess.run(["openssl", "rehash", str(store)], check=True, stderr=subprocess.DEVNULL)
    environ = {**os.environ, "SSL_CERT_DIR": str(store)}
    environ.pop("SSL_CERT_FILE", None)
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    environ.update(HW_ACCESS_KEY=next(iter(DEMO_CREDENTIALS)), HW_SECRET_KEY=next(iter(DEMO_CREDENTIALS.values())))
    with process(serve, folder) as url:
        yield Secure(url, environ)


def delay(port: int, round_trip: float, count: Any, ports: Any) -> None:
    """Forward connections with a round trip of so many seconds; run in a process of its own."""
    asyncio.run(_delay(port, round_trip, count, ports))


async def _delay(port: int, round_trip: float, count: Any, ports: Any) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count.value += 1
        # A connection on loopback opens at once, so the first bytes are delayed by its round trip.
        opened = time.monotonic() + round_trip
        cloud_reader, cloud_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass(reader, cloud_writer, opened), _pass(cloud_reader, writer, opened))

    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, opened: float) -> None:
        in_flight: asyncio.Queue[Tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, data = await in_flight.get()
                await asyncio.sleep(due - time.monotonic())
                if not data:
                    writer.close()
                    return
                writer.write(data)

        arriving = asyncio.ensure_future(arrive())
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                in_flight.put_nowait((max(time.monotonic(), opened) + round_trip / 2, data))
        in_flight.put_nowait((time.monotonic() + round_trip / 2, b""))
        await arriving

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=128)
    ports.put(server.sockets[0].getsockname()[1])
    await server.serve_forever()


@contextlib.contextmanager
def link(url: str, round_trip: float) -> Iterator[Tuple[str, Any]]:
    """Run a delayed link to a cloud; yield its URL, and the count of its connections."""
    count = multiprocessing.get_context("spawn").Value("i", 0)
    with process(delay, int(url.rsplit(":", 1)[1]), round_trip, count) as port:
        yield f"https://127.0.0.1:{port}", count


def config(folder: str, name: str, url: str, more: str = "") -> str:
    """Write the configuration of one instance with a project id; return its path."""
    path = Path(folder, f"{name}.yaml")
    path.write_text(
        f"instances:\n  - endpoint: {url}\n    iam_endpoint: {url}\n    project_id: {PROJECT_ID}\n"
        f"    state_dir: {folder}/{name}\n    max_requests_per_minute: 86400\n{more}"
    )
    return str(path)


def timed(command: List[str], environ: Dict[str, str]) -> float:
    """Run a command; return its seconds."""
    began = time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def max_memory(command: List[str], environ: Dict[str, str]) -> int:
    """Run a command; return its maximum resident memory in bytes."""
    # From a small process: the memory of the process that forks is counted too.
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, *command]
    output = subprocess.run(launcher, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE).stderr
    return int(output.split()[-1]) * 1024


def one_process(folder: str, secure: Secure, row: Row) -> List[str]:
    """Compare time and memory of a `collect` of three ranges (four requests) and the script, run alternately."""
    ours = [COMMAND, "collect", "--config", config(folder, "one", secure.url)]
    theirs = [sys.executable, str(HERE / "script.py"), secure.url, PROJECT_ID]
    pairs = [(timed(ours, secure.environ), timed(theirs, secure.environ)) for _ in range(ROUNDS + 2)][2:]
    took, theirs_took = (statistics.median(times) for times in zip(*pairs))
    sizes = [(max_memory(ours, secure.environ), max_memory(theirs, secure.environ)) for _ in range(5)]
    size, theirs_size = (statistics.median(each) / 1024**2 for each in zip(*sizes))
    return [
        row("https `collect`, 3 ranges / a script's run, 1 range", f"{took:.3f} s / {theirs_took:.3f} s",
            took / theirs_took, 0.8),
        row("the same, memory", f"{size:.1f} MiB / {theirs_size:.1f} MiB", size / theirs_size, 0.85),
    ]  # fmt: skip


def make_state(folder: str, name: str, environ: Dict[str, str]) -> None:
    """Create the state by a `collect` without a server, so that the key is not verified."""
    path = config(folder, name, "https://127.0.0.1:1")
    command = [COMMAND, "collect", "--config", path, "--deadline", "0.3"]
    subprocess.run(command, env=environ, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def instruction_rows(folder: str, secure: Secure, row: Row) -> List[str]:
    """Count instructions."""

    def write_config(more: str) -> str:
        return config(
            tempfile.mkdtemp(dir=folder), "state", secure.url, f"    cloud_eye_endpoint: {secure.url}\n{more}"
        )

    return instructions.rows(write_config, secure.environ, row)


def far_away(folder: str, secure: Secure, row: Row) -> List[str]:
    """Time cycles of an unverified key over a link with a round trip."""
    rows = []
    with link(secure.url, ROUND_TRIP) as (url, count):
        for queries, at_once in ((60, 4), (60, 8), (4, 4)):
            ranges = ", ".join(f"last_{hours}h" for hours in range(3, 3 + queries))
            took, made = [], []
            for i in range(TURNS):
                name = f"far-{queries}-{at_once}-{i}"
                make_state(folder, name, secure.environ)
                path = config(folder, name, url, f"    max_concurrency: {at_once}\n    ranges: [{ranges}]\n")
                before = count.value
                took.append(duration(path, secure.environ))
                made.append(count.value - before)
            trips = 3 + (queries - 1) / at_once if queries > at_once else 4
            cycle_took = statistics.median(took)
            what = f"{queries} queries, {ROUND_TRIP * 1000:.0f} ms, {at_once} at once"
            measured = f"{cycle_took:.3f} s"
            limit = 1.2 if queries > at_once else 1.15
            rows.append(row(f"{what} / {trips:.4g} round trips", measured, cycle_took / trips / ROUND_TRIP, limit))
            if queries > at_once:
                rows.append(row(f"the same: TLS handshakes / {at_once}", f"{max(made)}", max(made) / at_once, 1))
    return rows


def daemon(folder: str, secure: Secure, row: Row) -> List[str]:
    """Measure the processor time of `execd` over TLS."""
    command = [COMMAND, "execd", "--config", config(folder, "daemon", secure.url)]
    started = subprocess.Popen(command, env=secure.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    queries, began = 0.0, 0.0
    for number in range(CYCLES):
        (line,) = cycle(started)
        queries += field(line, ",queries")
        if number == SETTLED:
            began, queries = processor(started.pid), 0
    each = (processor(started.pid) - began) / queries * 1000
    started.communicate()
    return [row("`execd` over TLS, processor time per query", f"{each:.2f} ms", each / 1.5, 1)]


def rows(folder: str, row: Row) -> List[str]:
    """Measure everything; return rows of the table."""
    with cloud(folder) as secure:
        return [
            *one_process(folder, secure, row),
            *instruction_rows(folder, secure, row),
            *far_away(folder, secure, row),
            *daemon(folder, secure, row),
        ]
