from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from typing import Iterator, List, Tuple

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import Emulator
from maas_usage_check.emulator.loopback_server import serve_emulator

from ..conftest import Program
from ..program import only_line


def test_demo_shows_a_report_and_a_collect_without_an_account_or_the_network(program: Program) -> None:
    keys = {"HW_ACCESS_KEY": None, "HW_SECRET_KEY": None, "HW_SECURITY_TOKEN": "of-a-real-key"}
    done = program("demo", **keys, HTTPS_PROXY="http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (0, "")
    assert "$ maas-usage-check report" in done.stdout
    assert "Total Tokens" in done.stdout
    lines = [parse_line(line) for line in done.stdout.splitlines() if line.startswith("huawei_maas")]
    assert [line["measurement"] for line in lines] == ["huawei_maas_usage"] * 3 + ["huawei_maas_api"]
    assert all(line["fields"]["total_tokens"] > 0 for line in lines[:3])


@pytest.fixture
def served(program: Program) -> Iterator[Tuple[subprocess.Popen[bytes], List[str]]]:
    """Serve the stand-in; yield the process and the lines that it printed."""
    process = program.start("demo", "--serve", HW_SECRET_KEY="of-a-real-key")
    assert process.stdout
    try:
        yield process, [process.stdout.readline().decode() for _ in range(3)]
    finally:
        process.terminate()
        process.communicate()


def test_demo_serve_stays_up_for_an_agent_until_it_is_told_to_stop(
    program: Program, served: Tuple[subprocess.Popen[bytes], List[str]]
) -> None:
    """The command that it prints needs nothing of the environment, and marks its points."""
    process, lines = served
    url = re.findall(r"http://[0-9.:]+", lines[0])[0]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=30)
    command = shlex.split(lines[2])
    assert command[0] == "maas-usage-check"
    done = program(*command[1:], HW_ACCESS_KEY=None, HW_SECRET_KEY=None)
    assert done.returncode == 0
    assert [parse_line(line)["tags"]["source"] for line in done.stdout.splitlines()] == ["demo"] * 4
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
def test_the_command_that_demo_serve_prints_works_for_another_user_with_a_state_of_its_own(
    program: Program, served: Tuple[subprocess.Popen[bytes], List[str]]
) -> None:
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
    # Of the key alone, which is meant here; a state that cannot be kept would be a second warning.
    assert [done.stderr.splitlines() for done in runs] == [
        [f"W! credentials file {key}: others can read it: chown it to the user who runs this, and chmod 600 {key}"]
    ] * 2
    requests = [parse_line(done.stdout.splitlines()[-1])["fields"]["http_requests"] for done in runs]
    assert requests == [5, 4]  # the project is remembered


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = program("demo", "--port", str(taken.getsockname()[1]))
    assert only_line(done, 2).startswith("E! --port: ")


@pytest.mark.parametrize("length", [b"x", b"-1", b"\xb2", b"9" * 5000])
def test_a_client_that_declares_no_length_gets_400_and_no_traceback(
    length: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve_emulator(Emulator({})) as url, socket.create_connection(
        ("127.0.0.1", int(url.rsplit(":", 1)[1]))
    ) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n")
        assert b" 400 " in client.recv(65_536).splitlines()[0]
    assert capfd.readouterr().err == ""
