"""The daemon as Telegraf runs it: newlines in, batches out, until end of file or SIGTERM."""

from __future__ import annotations

import array
import fcntl
import select
import signal
import subprocess
import termios
import time
from typing import Any, Iterator, List

import pytest
from line_protocol_parser import parse_line

from ..conftest import Cloud, Program, wait_for


class Daemon:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    def ask(self, signals: bytes = b"\n") -> List[Any]:
        self.stdin.write(signals)
        self.stdin.flush()
        return self.batch()

    def batch(self) -> List[Any]:
        """Read up to the api point, which ends a batch of one instance."""
        lines = []
        while not lines or lines[-1]["measurement"] != "huawei_maas_api":
            assert select.select([self.stdout], [], [], 20)[0], "no batch came"
            lines.append(parse_line(self.stdout.readline().decode().rstrip("\n")))
        return lines

    def newline(self) -> None:
        """Write one, and come back when the daemon has read it."""
        self.stdin.write(b"\n")
        left = array.array("i", [1])

        def read() -> bool:
            fcntl.ioctl(self.stdin, termios.FIONREAD, left)
            return not left[0]

        wait_for(read, "the daemon to read")

    def rest(self) -> bytes:
        """Close standard input, and return what still comes."""
        return self.process.communicate(timeout=20)[0]


@pytest.fixture
def daemon(cloud: Cloud, program: Program) -> Iterator[Daemon]:
    process = program.start("execd", "--config", program.for_cloud(cloud))
    daemon = Daemon(process)
    yield daemon
    process.kill()
    process.wait(10)
    for stream in (daemon.stdin, daemon.stdout, daemon.stderr):
        stream.close()


def test_every_newline_is_answered_with_one_batch(daemon: Daemon) -> None:
    first, second = daemon.ask(), daemon.ask()
    assert [line["measurement"] for line in first] == ["huawei_maas_usage"] * 3 + ["huawei_maas_api"]
    assert second[0]["time"] > first[0]["time"]
    assert daemon.rest() == b""


def test_newlines_that_arrive_during_a_cycle_count_as_one(cloud: Cloud, daemon: Daemon) -> None:
    release = cloud.hold()
    daemon.newline()
    wait_for(lambda: cloud.seen, "the cycle")
    for _ in range(3):
        daemon.newline()
    release.set()
    assert daemon.rest().count(b"huawei_maas_api") == 2


def test_end_of_file_lets_the_running_cycle_finish(cloud: Cloud, daemon: Daemon) -> None:
    release = cloud.hold()
    daemon.newline()
    wait_for(lambda: cloud.seen, "the cycle")
    daemon.stdin.close()
    release.set()
    assert daemon.stdout.read().count(b"huawei_maas_usage") == 3
    assert daemon.process.wait(10) == 0


def test_sigterm_cuts_the_running_cycle_and_ends(cloud: Cloud, daemon: Daemon) -> None:
    daemon.ask()
    before = len(cloud.seen)
    cloud.hold()
    daemon.newline()
    wait_for(lambda: len(cloud.seen) > before, "the cycle")
    began = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    (line,) = daemon.batch()
    assert line["fields"]["up"] == 0
    assert daemon.process.wait(5) == 0
    assert time.monotonic() - began < 4


def test_a_newline_that_waits_when_sigterm_comes_is_not_answered_with_a_false_failure(
    cloud: Cloud, daemon: Daemon
) -> None:
    daemon.ask()
    before = len(cloud.seen)
    cloud.hold()
    daemon.newline()
    wait_for(lambda: len(cloud.seen) > before, "the cycle")
    daemon.newline()
    daemon.process.send_signal(signal.SIGTERM)
    output, errors = daemon.process.communicate(timeout=5)
    assert output.count(b"huawei_maas_api") == 1
    assert b"ended by a signal" in errors
    assert b"raise deadline" not in errors


def test_a_standard_input_that_was_closed_at_the_start_ends_quietly(cloud: Cloud, program: Program) -> None:
    command = [*program.command, "execd", "--config", program.for_cloud(cloud)]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, env=program.environ, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_sigterm_while_nothing_runs_ends_at_once(daemon: Daemon) -> None:
    daemon.ask()
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(2) == 0


def test_it_comes_up_without_credentials_and_reports_later(cloud: Cloud, program: Program) -> None:
    config = program.for_cloud(cloud, "credentials: {source: file, path: " + str(program.folder / "key") + "}")
    daemon = Daemon(program.start("execd", "--config", config))
    assert daemon.ask()[-1]["fields"]["result_code"] == 2
    (program.folder / "key").write_text(f"{program.environ['HW_ACCESS_KEY']},{program.environ['HW_SECRET_KEY']}")
    assert daemon.ask()[-1]["fields"]["result_code"] == 0
    _, errors = daemon.process.communicate(timeout=10)
    assert errors.decode().splitlines()[0].startswith("E! ")
    assert errors.decode().splitlines()[-1] == "I! cn-southwest-2 NO_CREDENTIALS: recovered"


def test_a_trouble_that_lasts_is_said_once(cloud: Cloud, daemon: Daemon) -> None:
    cloud.always = lambda request: cloud_says_no()
    for _ in range(4):
        assert daemon.ask()[-1]["fields"]["up"] == 0
    _, errors = daemon.process.communicate(timeout=10)
    assert len(errors.decode().splitlines()) == 1


def test_a_key_that_was_revoked_is_asked_with_once_and_not_again(cloud: Cloud, daemon: Daemon) -> None:
    daemon.ask()
    before = len(cloud.seen)
    cloud.emulator.keys.clear()
    for _ in range(20):
        daemon.ask()
    assert len(cloud.seen) - before == 1
    assert cloud.emulator.times_locked == 0


def cloud_says_no() -> Any:
    from werkzeug import Response

    return Response(b'{"error_msg": "no"}', 400)
