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
"""Opens URLs without a proxy."""
PROMETHEUS = "Debian package prometheus"
INSTALLED = "/usr/local/bin/maas-usage-check"
"""The program's path in the examples."""


def find(name: str, package: str = "") -> str:
    """Find a program; skip the test where it is missing, or fail where it is required."""
    return shutil.which(name) or missing(f"no {name} on PATH{package and f': {package}'}")


def missing(why: str) -> NoReturn:
    if os.environ.get("MAAS_AGENTS_REQUIRED"):
        pytest.fail(why)
    pytest.skip(why)


def replaced(text: str, places: Mapping[str, str]) -> str:
    """Replace paths and names of a text by those of a test; each must occur."""
    for old, new in places.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def environ(folder: Path, **more: str) -> Dict[str, str]:
    """Return an environment with nothing of the developer's but PATH."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "XDG_STATE_HOME": str(folder), **more}


def free_port() -> int:
    """Return a free port outside the ephemeral range. Another process may bind it meanwhile: see `listening`."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.socket() as bound:
            bound.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def wait(until: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Return the first true result; fail when none comes in time."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError):  # not listening yet
            result = until()
            if result:
                return result
        time.sleep(0.1)
    pytest.fail(f"waited {seconds:g} s in vain for {what}")


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; a failure prints its log."""
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
    """Run a server on a free port until the block ends, and retry if the port is in use; yield its URL."""
    for port in (free_port() for _ in range(5)):
        url, arguments = f"http://127.0.0.1:{port}", command(port)
        with running(arguments, folder) as process:
            _wait_for_server(process, url, is_ready)
            if process.poll() is None:
                yield url
                return
        log = (folder / f"{Path(arguments[0]).name}.log").read_text(errors="replace")
        assert re.search("address already in use", log, re.IGNORECASE), log[-4000:]
    pytest.fail("five ports in a row were in use")


def _wait_for_server(process: subprocess.Popen[bytes], url: str, is_ready: Callable[[str], Any]) -> None:
    wait(lambda: process.poll() is not None or is_ready(url), url)


def get(url: str, **parameters: str) -> Any:
    """GET a URL on loopback; return the decoded JSON."""
    with OPENER.open(f"{url}?{urlencode(parameters)}", timeout=60) as answer:
        return json.load(answer)


def run(command: List[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    env = environ(folder, **more)
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, encoding="utf-8", timeout=120)


@contextlib.contextmanager
def prometheus_over(samples: Sequence[str], folder: Path, *options: str) -> Iterator[str]:
    """Run a Prometheus over past samples, OpenMetrics lines in the order of time; yield its URL."""
    promtool = find("promtool", PROMETHEUS)
    (folder / "samples").write_text("\n".join([*samples, "# EOF\n"]))
    made = run([promtool, "tsdb", "create-blocks-from", "openmetrics", *options, "--quiet", "samples", "data"], folder)
    assert made.returncode == 0, made.stdout + made.stderr
    with prometheus(folder, "", "--storage.tsdb.retention.time=100y") as url:
        yield url


@contextlib.contextmanager
def prometheus(folder: Path, config: str, *options: str) -> Iterator[str]:
    """Run a Prometheus over a data folder until the block ends; yield its URL."""
    (folder / "prometheus.yml").write_text(config)
    own = [find("prometheus", PROMETHEUS), "--config.file=prometheus.yml", "--storage.tsdb.path=data", *options]
    with listening(
        lambda port: [*own, f"--web.listen-address=127.0.0.1:{port}"], folder, lambda url: rows(url, "vector(1)")
    ) as url:
        yield url


def rows(url: str, query: str, at: Optional[float] = None) -> List[Dict[str, Any]]:
    """Return the result of an instant query, now or at a time in seconds."""
    moment = {} if at is None else {"time": f"{at:.3f}"}
    found: List[Dict[str, Any]] = get(f"{url}/api/v1/query", query=query, **moment)["data"]["result"]
    return found


def rows_over_time(url: str, query: str, start: int, end: int, step: int) -> List[Tuple[Dict[str, str], int, float]]:
    """Return labels, time and value of each result of a range query; times are milliseconds."""
    times = {name: str(at / 1000) for name, at in (("start", start), ("end", end), ("step", step))}
    found = get(f"{url}/api/v1/query_range", query=query, **times)["data"]["result"]
    return [(row["metric"], round(at * 1000), float(value)) for row in found for at, value in row["values"]]


def listens(url: str) -> bool:
    host, port = url.rpartition("/")[2].split(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0
