"""Find and run the real agents, on loopback and in temporary folders; every wait is bounded."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NoReturn, Optional, Sequence, Tuple
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest

ROOT = Path(__file__).parent.parent.parent
OPENER = build_opener(ProxyHandler({}))
"""Goes straight to loopback, whatever proxy the environment names."""
PROMETHEUS = "Debian package prometheus"
INSTALLED = "/usr/local/bin/maas-usage-check"
"""Where the examples have the program."""


def find(name: str, package: str = "") -> str:
    """Find a program; skip the test where it is missing, or fail where it is required."""
    return shutil.which(name) or missing(f"no {name} on PATH{package and f': {package}'}")


def missing(why: str) -> NoReturn:
    if os.environ.get("MAAS_AGENTS_REQUIRED"):
        pytest.fail(why)
    pytest.skip(why)


def replaced(text: str, places: Mapping[str, str]) -> str:
    """Put the names of a test in the places of those that a text has."""
    for old, new in places.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def environ(folder: Path, **more: str) -> Dict[str, str]:
    """Give a program nothing of the developer's environment but the path."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "XDG_STATE_HOME": str(folder), **more}


def free_port() -> int:
    """Find a port that the kernel gives to no connection of its own; `listening` copes with one taken meanwhile."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.socket() as bound:
            bound.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def wait(until: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Return the first true result; fail when none comes in time."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError):  # not up yet
            result = until()
            if result:
                return result
        time.sleep(0.1)
    pytest.fail(f"waited {seconds:g} s in vain for {what}")


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; what it says goes to a file that a failure shows."""
    log = folder / f"{Path(command[0]).name}.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environ(folder), cwd=folder)
    try:
        yield process
    except BaseException:
        print(log.read_text(errors="replace")[-4000:])  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def listening(command: Callable[[int], Sequence[str]], folder: Path, is_ready: Callable[[str], Any]) -> Iterator[str]:
    """Run a server on a free port until the block ends, on another where that was taken meanwhile; yield its URL."""
    for port in (free_port() for _ in range(5)):
        url, arguments = f"http://127.0.0.1:{port}", command(port)
        with running(arguments, folder) as process:
            _wait_for_server(process, url, is_ready)
            if process.poll() is None:
                yield url
                return
        said = (folder / f"{Path(arguments[0]).name}.log").read_text(errors="replace")
        assert re.search("address already in use", said, re.IGNORECASE), said[-4000:]
    pytest.fail("five ports in a row were taken")


def _wait_for_server(process: subprocess.Popen[bytes], url: str, is_ready: Callable[[str], Any]) -> None:
    wait(lambda: process.poll() is not None or is_ready(url), url)


def get(url: str, **parameters: str) -> Any:
    """Ask an HTTP API on loopback; return what the JSON holds."""
    with OPENER.open(f"{url}?{urlencode(parameters)}", timeout=60) as answer:
        return json.load(answer)


def run(command: List[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    env = environ(folder, **more)
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, encoding="utf-8", timeout=120)


@contextlib.contextmanager
def prometheus_over(samples: Sequence[str], folder: Path, *options: str) -> Iterator[str]:
    """Fill a real Prometheus with back-dated samples, lines of OpenMetrics in the order of time; yield its URL."""
    promtool = find("promtool", PROMETHEUS)
    (folder / "samples").write_text("\n".join([*samples, "# EOF\n"]))
    made = run([promtool, "tsdb", "create-blocks-from", "openmetrics", *options, "--quiet", "samples", "data"], folder)
    assert made.returncode == 0, made.stdout + made.stderr
    with prometheus(folder, "", "--storage.tsdb.retention.time=100y") as url:
        yield url


@contextlib.contextmanager
def prometheus(folder: Path, config: str, *options: str) -> Iterator[str]:
    """Run a Prometheus whose data are in a folder until the block ends; yield its URL."""
    (folder / "prometheus.yml").write_text(config)
    own = [find("prometheus", PROMETHEUS), "--config.file=prometheus.yml", "--storage.tsdb.path=data", *options]
    with listening(
        lambda port: [*own, f"--web.listen-address=127.0.0.1:{port}"], folder, lambda url: rows(url, "vector(1)")
    ) as url:
        yield url


def rows(url: str, query: str, at: Optional[float] = None) -> List[Dict[str, Any]]:
    """Return what a Prometheus answers to a query, now or at a moment in seconds."""
    moment = {} if at is None else {"time": f"{at:.3f}"}
    found: List[Dict[str, Any]] = get(f"{url}/api/v1/query", query=query, **moment)["data"]["result"]
    return found


def rows_over_time(url: str, query: str, start: int, end: int, step: int) -> List[Tuple[Dict[str, str], int, float]]:
    """Return labels, time and value of all that a Prometheus answers over time; times are milliseconds."""
    times = {name: str(at / 1000) for name, at in (("start", start), ("end", end), ("step", step))}
    found = get(f"{url}/api/v1/query_range", query=query, **times)["data"]["result"]
    return [(row["metric"], round(at * 1000), float(value)) for row in found for at, value in row["values"]]


def listens(url: str) -> bool:
    host, port = url.rpartition("/")[2].split(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0
