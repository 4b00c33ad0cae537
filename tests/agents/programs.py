"""Find and run the real agents, on loopback and in temporary folders; every wait is bounded."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NoReturn, Sequence
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest

ROOT = Path(__file__).parent.parent.parent
OPENER = build_opener(ProxyHandler({}))
"""Goes straight to loopback, whatever proxy the environment names."""


def find(name: str, package: str = "") -> str:
    """Find a program; skip the test where it is missing, or fail where it is required."""
    return shutil.which(name) or missing(f"no {name} on PATH{package and f': {package}'}")


def missing(why: str) -> NoReturn:
    if os.environ.get("MAAS_AGENTS_REQUIRED"):
        pytest.fail(why)
    pytest.skip(why)


def environ(folder: Path, **more: str) -> Dict[str, str]:
    """Give a program nothing of the developer's environment but the path."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "XDG_STATE_HOME": str(folder), **more}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait(until: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
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
def running(command: Sequence[str], folder: Path) -> Iterator[None]:
    """Keep a program up until the block ends; what it says goes to a file that a failure shows."""
    log = folder / f"{Path(command[0]).name}.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environ(folder), cwd=folder)
    try:
        yield
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


def get(url: str, **parameters: str) -> Any:
    """Ask an HTTP API on loopback; return what the JSON holds."""
    with OPENER.open(f"{url}?{urlencode(parameters)}", timeout=10) as answer:
        return json.load(answer)


def run(command: List[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environ(folder, **more),
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@contextlib.contextmanager
def prometheus_over(samples: Sequence[str], folder: Path, *options: str) -> Iterator[str]:
    """Fill a real Prometheus with back-dated samples, lines of OpenMetrics in the order of time; yield its URL."""
    server, promtool = find("prometheus", "Debian package prometheus"), find("promtool", "Debian package prometheus")
    (folder / "samples").write_text("\n".join([*samples, "# EOF\n"]))
    made = run([promtool, "tsdb", "create-blocks-from", "openmetrics", *options, "--quiet", "samples", "data"], folder)
    assert made.returncode == 0, made.stdout + made.stderr
    (folder / "prometheus.yml").write_text("")
    address = f"127.0.0.1:{free_port()}"
    own = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=100y"]
    with running([server, *own, f"--web.listen-address={address}"], folder):
        wait(lambda: get(f"http://{address}/api/v1/query", query="1"), "Prometheus")
        yield f"http://{address}"
