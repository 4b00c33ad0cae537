from __future__ import annotations

import re
import signal
import socket
import urllib.request

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.standin.demo import serving
from maas_usage_check.standin.emulator import Emulator

from ..conftest import Program


def test_demo_shows_a_report_and_a_collect_without_an_account_or_the_network(program: Program) -> None:
    done = program(
        "demo",
        HW_ACCESS_KEY=None,
        HW_SECRET_KEY=None,
        HW_SECURITY_TOKEN="of-a-real-key",
        HTTPS_PROXY="http://127.0.0.1:9",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "$ maas-usage-check report" in done.stdout
    assert "Total Tokens" in done.stdout
    lines = [parse_line(line) for line in done.stdout.splitlines() if line.startswith("huawei_maas")]
    assert [line["measurement"] for line in lines] == ["huawei_maas_usage"] * 3 + ["huawei_maas_api"]
    assert all(line["fields"]["total_tokens"] > 0 for line in lines[:3])


def test_demo_serve_stays_up_for_an_agent_until_it_is_told_to_stop(program: Program) -> None:
    process = program.start("demo", "--serve")
    assert process.stdout
    lines = [process.stdout.readline().decode() for _ in range(4)]
    assert lines[2] == "unset HW_SECURITY_TOKEN\n"
    config = lines[3].split()[-1]
    exported = dict(re.findall(r"(HW_\w+)=(\S+)", lines[1]))
    assert "not-real" in exported["HW_SECRET_KEY"]
    assert program("collect", "--config", config, **exported).returncode == 0
    url = re.findall(r"http://[0-9.:]+", lines[0])[0]
    try:
        urllib.request.urlopen(url, timeout=5)
    except urllib.error.HTTPError as error:
        assert error.code == 401
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = program("demo", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("E! --port: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("length", [b"x", b"-1", b"\xb2", b"9" * 5000])
def test_a_client_that_declares_no_length_gets_400_and_no_traceback(
    length: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(Emulator({})) as url, socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n")
        assert b" 400 " in client.recv(65_536).splitlines()[0]
    assert capfd.readouterr().err == ""
