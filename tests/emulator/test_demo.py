from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from typing import Iterator, List, Tuple

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import Emulator
from maas_usage_check.emulator.loopback_server import serve_emulator
from maas_usage_check.metrics import BUDGET, CATALOGUE

from ..conftest import Program, wait_for
from ..program import only_line


def test_demo(program: Program) -> None:
    """`demo` collects and reports, without an account or the network; its two views agree."""
    keys = {"HW_ACCESS_KEY": None, "HW_SECRET_KEY": None, "HW_SECURITY_TOKEN": "of-a-real-key"}
    done = program("demo", **keys, HTTPS_PROXY="http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (0, "")
    commands = re.findall(r"^\$ maas-usage-check (\w+)", done.stdout, re.MULTILINE)
    assert commands == ["collect", "report", "report", "report"]
    points = [parse_line(line) for line in done.stdout.splitlines() if line.startswith("huawei_maas")]
    measurements = {point["measurement"] for point in points}
    assert measurements >= {"huawei_maas_usage", "huawei_maas_hourly", "huawei_maas_model_cost_hourly"}
    assert points[-1]["fields"]["missing_hours"] == 0
    assert re.search("^Cloud Eye counts 100.0 % of the tokens .* hours of preset and my service", done.stdout, re.M)
    assert re.search("^│ [0-9-]{10} │ [░▒▓█· ]{49}│", done.stdout, re.M)
    assert done.stdout.splitlines()[-1] == "# a page to look at: maas-usage-check demo --serve"


@pytest.fixture
def served(program: Program) -> Iterator[Tuple[subprocess.Popen[bytes], List[str]]]:
    """Run `demo --serve`; yield the process and the lines that it printed."""
    process = program.start("demo", "--serve", HW_SECRET_KEY="of-a-real-key")
    assert process.stdout
    try:
        yield process, [process.stdout.readline().decode() for _ in range(3)]
    finally:
        process.terminate()
        process.communicate()


def test_serve(program: Program, served: Tuple[subprocess.Popen[bytes], List[str]]) -> None:
    """`demo --serve` runs until SIGTERM; the command that it prints needs no environment, and tags its points."""
    process, lines = served
    url = re.findall(r"http://[0-9.:]+", lines[0])[0]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=30)
    command = shlex.split(lines[2])
    assert command[0] == "maas-usage-check"
    done = program(*command[1:], HW_ACCESS_KEY=None, HW_SECRET_KEY=None)
    assert done.returncode == 0
    points = [parse_line(line) for line in done.stdout.splitlines()]
    assert {point["tags"]["source"] for point in points} == {"demo"}
    # Whatever a dashboard or an alert reads of this surface is there.
    assert {point["measurement"] for point in points} == {
        name for name in CATALOGUE if not name.endswith("consumed") and name != "huawei_maas_build"
    }
    budgets = [point["tags"] for point in points if point["measurement"] == BUDGET]
    assert {(tags["scope"], tags.get("team"), tags["unit"]) for tags in budgets} == {
        ("all", None, "tokens"),
        ("all", None, "CNY"),
        ("team", "search", "tokens"),
        ("team", "search", "CNY"),
    }
    owners = {(point["tags"].get("api_key"), point["tags"].get("team")) for point in points}
    assert owners >= {("team-search", "search"), ("team-support", "support"), ("batch-jobs", "unassigned")}
    assert any("tokens_limit_ratio" in point["fields"] for point in points)
    assert {point["tags"]["range"] for point in points if "range" in point["tags"]} >= {
        "today",
        "this_month",
        "last_1d",
    }
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def _read_until(process: subprocess.Popen[bytes], pattern: str) -> str:
    """Read lines until one matches; return its first group."""
    assert process.stdout
    for line in process.stdout:
        found = re.fullmatch(pattern, line.decode().strip())
        if found:
            return found[1]
    pytest.fail(f"no line like {pattern}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_page(served: Tuple[subprocess.Popen[bytes], List[str]], number: signal.Signals) -> None:
    """`demo --serve` prints the address of a page, which has metrics, and ends with 0; its folder is deleted."""
    process, lines = served
    url = _read_until(process, "(http://127.0.0.1:[0-9]+/)")
    assert urllib.request.urlopen(url, timeout=30).headers["Content-Type"].startswith("text/html")
    wait_for(lambda: b"huawei_maas_api_up{" in urllib.request.urlopen(f"{url}metrics", timeout=30).read(), "a cycle")
    folder = os.path.dirname(shlex.split(lines[2])[-1])
    assert os.path.exists(folder)
    process.send_signal(number)
    assert process.wait(30) == 0
    assert not os.path.exists(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_at_once(served: Tuple[subprocess.Popen[bytes], List[str]], number: signal.Signals) -> None:
    """A signal before the page is there ends `demo --serve` with 0, too."""
    process, lines = served
    process.send_signal(number)
    assert process.wait(30) == 0
    assert not os.path.exists(os.path.dirname(shlex.split(lines[2])[-1]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_without_extra(program: Program, number: signal.Signals) -> None:
    """Without the page's extra, which a line names, the simulator runs until a signal."""
    code = "import sys; sys.modules['prometheus_client'] = None; from maas_usage_check.cli import run; run()"
    program.command = [sys.executable, "-c", code]
    process = program.start("demo", "--serve")
    assert process.stdout
    try:
        url = re.findall(r"http://[0-9.:]+", process.stdout.readline().decode())[0]
        reason = _read_until(process, "# no page for people: (.*)")
        assert reason == "serve: needs the extra `serve`: pip install 'maas-usage-check[serve]'"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url, timeout=30)
        process.send_signal(number)
        assert (process.wait(30), process.communicate()[1]) == (0, b"")
    finally:
        process.kill()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
def test_serve_for_another_user(program: Program, served: Tuple[subprocess.Popen[bytes], List[str]]) -> None:
    """The printed command works for another user, with a state of its own."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *program.command]
    if subprocess.run([*nobody, "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this checkout cannot be read by another user")
    command = shlex.split(served[1][2])[1:]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TMPDIR": folder}
        runs = [
            subprocess.run([*nobody, *command], capture_output=True, encoding="utf-8", env=environ, check=False)
            for _ in range(2)
        ]
    key = os.path.join(os.path.dirname(command[-1]), "credentials")
    assert [done.returncode for done in runs] == [0, 0]
    # Only the expected warning; an unwritable state would be a second one.
    assert [done.stderr.splitlines() for done in runs] == [
        [f"W! credentials file {key}: others can read it: chown it to the user who runs this, and chmod 600 {key}"]
    ] * 2
    requests = [parse_line(done.stdout.splitlines()[-1])["fields"]["http_requests"] for done in runs]
    assert requests[1] < requests[0] / 10  # the hours are in the state


def test_port_in_use(program: Program) -> None:
    """A port in use is one line and exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = program("demo", "--port", str(taken.getsockname()[1]))
    assert only_line(done, 2).startswith("E! --port: ")


@pytest.mark.parametrize("length", [b"x", b"-1", b"\xb2", b"9" * 5000])
def test_invalid_length(length: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """An invalid Content-Length is answered with 400, without a traceback."""
    with serve_emulator(Emulator({})) as url, socket.create_connection(
        ("127.0.0.1", int(url.rsplit(":", 1)[1]))
    ) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n")
        assert b" 400 " in client.recv(65_536).splitlines()[0]
    assert capfd.readouterr().err == ""
