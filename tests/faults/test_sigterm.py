"""`execd` and `serve` end after SIGTERM, whatever hangs: a request, a state folder, a credentials file, a reader."""

from __future__ import annotations

import array
import fcntl
import signal
import termios
from pathlib import Path
from typing import Callable, Dict, List

import pytest

from maas_usage_check.emulator.emulator import PROJECT_ID

from ..commands.exporter import running_exporter
from ..conftest import AK, SK, Program, wait_for
from .faulty_cloud import Act, FaultyServer, always
from .preload import HANG, compile_library

LONG = {"skip_proxy": True, "timeout": 3600, "deadline": 3600, "project_id": PROJECT_ID, "hourly": True}
HANGS = "hangs"
STATE = "maas-usage-check.sqlite3"
FAULTS = ["a request", "the state", "the state during a request", "the credentials file"]
each_fault = pytest.mark.parametrize("fault", FAULTS)


class Hanging:
    """A configuration and an environment in which something hangs.

    Attributes:
        config: the path of the configuration.
        environ: preloads what hangs.
    """

    def __init__(self, fault: str, server: FaultyServer, program: Program, library: str) -> None:
        key_file, after = program.folder / "credentials", program.folder / "after"
        key_file.write_text(f"{AK},{SK}")
        key_file.chmod(0o600)
        credentials = {"source": "file", "path": str(key_file)}
        self.config = server.config(program, credentials=credentials, state_dir=str(program.folder / "state"), **LONG)
        self.environ: Dict[str, str] = {}
        self._is_request = fault == "a request"
        self._server = server
        if self._is_request:
            server.fault = always(Act.HANG)
            return
        hangs_at = str(key_file) if fault == "the credentials file" else STATE
        self.environ = {"LD_PRELOAD": library, "HANG_AT": hangs_at, "HANG_AFTER": str(after)}
        if fault == "the state during a request":
            server.fault = lambda exchange: after.touch()
        else:
            after.touch()

    def wait(self, log: Callable[[], List[str]]) -> None:
        """Wait until it hangs."""
        if self._is_request:
            wait_for(lambda: self._server.requests, "the request")
        else:
            wait_for(lambda: HANGS in log(), "the file to hang")


@pytest.fixture
def hanging(fault: str, server: FaultyServer, program: Program, tmp_path: Path, need: Callable[[str], str]) -> Hanging:
    return Hanging(fault, server, program, compile_library(tmp_path, need("cc"), HANG))


@each_fault
def test_execd(hanging: Hanging, program: Program) -> None:
    """The cycle that was cut still gives its api point."""
    process = program.start("execd", "--config", hanging.config, **hanging.environ)
    assert process.stdin
    assert process.stderr
    process.stdin.write(b"\n")
    lines: List[str] = []

    def log() -> List[str]:
        assert process.stderr
        lines.append(process.stderr.readline().decode().rstrip("\n"))
        return lines

    hanging.wait(log)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=50)
    assert process.returncode == 0, errors
    assert output.splitlines()[-1].startswith(b"huawei_maas_api,")
    assert b"ended by a signal" in errors


@each_fault
def test_serve(hanging: Hanging, program: Program) -> None:
    with running_exporter(program, hanging.config, **hanging.environ) as exporter:
        hanging.wait(lambda: exporter.log)
        exporter.process.send_signal(signal.SIGTERM)
        assert exporter.process.wait(50) == 0


def test_unread_output(server: FaultyServer, program: Program) -> None:
    """A batch that nobody reads is lost, with a line that says so."""
    config = server.config(program, ranges=[f"last_{days}d" for days in range(1, 25)], **{**LONG, "hourly": False})
    process = program.start("execd", "--config", config)
    assert process.stdin
    assert process.stdout
    size, filled = fcntl.fcntl(process.stdout, 1031, 4096), array.array("i", [0])  # F_SETPIPE_SZ, since Python 3.10
    process.stdin.write(b"\n")

    def is_full() -> bool:
        fcntl.ioctl(process.stdout, termios.FIONREAD, filled)
        return filled[0] == size

    wait_for(is_full, "the batch")
    process.send_signal(signal.SIGTERM)
    assert process.wait(50) == 1
    _, errors = process.communicate()
    assert errors.startswith(b"E! standard output is not being read")
