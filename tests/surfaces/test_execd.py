"""The daemon as Telegraf runs it: newlines in, batches out, until end of file or SIGTERM."""

from __future__ import annotations

import array
import fcntl
import io
import os
import signal
import subprocess
import termios
from pathlib import Path
from typing import Any, Callable, ClassVar, Iterator, List, Tuple

import pytest
from line_protocol_parser import parse_line
from werkzeug import Response

from maas_usage_check.access import provider
from maas_usage_check.cycle import Collector
from maas_usage_check.surfaces.execd import run
from maas_usage_check.surfaces.output import AT_ONCE, IN_PEACE, Output
from maas_usage_check.surfaces.problem_log import ProblemLog

from ..conftest import AK, SK, Cloud, FixedClock, Program, wait_for
from ..program import skip_unless_processes

Points = List[Any]
Run = Callable[..., Tuple[List[Points], List[str]]]


def points(batch: bytes) -> Points:
    return [parse_line(line) for line in batch.decode().splitlines()]


class Ending(Output):
    """An output that records how long its last batch may take."""

    graces: ClassVar[List[float]] = []

    def end(self, grace: float = AT_ONCE) -> None:
        self.graces.append(grace)
        super().end(grace)


@pytest.fixture
def execd(
    cloud: Cloud, clock: FixedClock, make_collector: Callable[..., Collector], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Run it in this process: a newline, and another after each step; return the batches and what it said."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("HW_ACCESS_KEY", AK)
    monkeypatch.setenv("HW_SECRET_KEY", SK)
    Ending.graces.clear()

    def answered(*steps: Callable[[], Any], **keys: Any) -> Tuple[List[Points], List[str]]:
        entry = cloud.entry(**keys)
        collector = make_collector(entry, provider=provider(make_collector(entry).instance.credentials))
        batches: List[Points] = []
        said: List[str] = []
        reader, writing = os.pipe()
        writer = io.FileIO(writing, "w")
        left = list(steps)

        def write(batch: bytes) -> None:
            batches.append(points(batch))
            if left:
                left.pop(0)()
                writer.write(b"\n")
            else:
                writer.close()

        writer.write(b"\n")
        run([collector], ProblemLog(said.append, clock.clock.monotonic), reader, Ending(write))
        writer.close()
        os.close(reader)
        return batches, said

    yield answered
    signal.signal(signal.SIGTERM, handler)


def test_one_batch_per_newline(clock: FixedClock, execd: Run) -> None:
    (first, second), said = execd(lambda: clock.sleep(60))
    for batch in (first, second):
        assert [line["measurement"] for line in batch] == ["huawei_maas_usage"] * 3 + ["huawei_maas_api"]
    assert second[0]["time"] - first[0]["time"] == 60_000_000_000
    assert said == []


def test_starts_without_credentials(execd: Run, tmp_path: Path) -> None:
    path = tmp_path / "key"
    batches, said = execd(lambda: path.write_text(f"{AK},{SK}"), credentials={"source": "file", "path": str(path)})
    assert [batch[-1]["fields"]["result_code"] for batch in batches] == [2, 0]
    assert [line[:3] for line in said] == ["E! ", "I! "]
    assert said[-1].endswith(" NO_CREDENTIALS: recovered")


def test_lasting_problem_is_logged_once(cloud: Cloud, clock: FixedClock, execd: Run) -> None:
    cloud.always = lambda request: Response(b'{"error_msg": "no"}', 400)
    batches, said = execd(*[lambda: clock.sleep(60)] * 3)
    assert [batch[-1]["fields"]["up"] for batch in batches] == [0] * 4
    assert len(said) == 1


def test_revoked_key_is_tried_once(cloud: Cloud, execd: Run) -> None:
    def revoke() -> None:
        cloud.emulator.keys.clear()
        cloud.seen.clear()

    batches, _ = execd(revoke, *[lambda: None] * 19)
    assert (len(batches), len(cloud.seen), cloud.emulator.times_locked) == (21, 1, 0)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("steps", "grace"), [([], IN_PEACE), ([terminate], AT_ONCE)])
def test_time_for_the_last_batch(execd: Run, steps: List[Callable[[], Any]], grace: float) -> None:
    """After SIGTERM it is shorter than after end of file."""
    batches, _ = execd(*steps)
    assert (len(batches), Ending.graces[:1]) == (1, [grace])


class Daemon:
    """A process of its own; `hold` keeps its first cycle from ending."""

    def __init__(self, process: subprocess.Popen[bytes], cloud: Cloud) -> None:
        self.process = process
        self.cloud = cloud
        assert process.stdin
        self.stdin = process.stdin

    def hold(self) -> Any:
        """Begin a cycle that ends when the event is set that is returned."""
        release = self.cloud.hold()
        self.newline()
        wait_for(lambda: self.cloud.seen, "the cycle")
        return release

    def newline(self) -> None:
        """Write one, and come back when the daemon has read it."""
        self.stdin.write(b"\n")
        left = array.array("i", [1])

        def read() -> bool:
            fcntl.ioctl(self.stdin, termios.FIONREAD, left)
            return not left[0]

        wait_for(read, "the daemon to read")

    def end(self, number: int = 0) -> Tuple[List[str], str]:
        """Send a signal, or close standard input; return the measurements and what it said until it ended with 0."""
        if number:
            self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return [line["measurement"] for line in points(output)], errors.decode()


@pytest.fixture
def daemon(cloud: Cloud, program: Program) -> Iterator[Daemon]:
    process = program.start("execd", "--config", program.for_cloud(cloud, "ranges: [last_7d]"))
    yield Daemon(process, cloud)
    process.kill()
    process.communicate()


BATCH = ["huawei_maas_usage", "huawei_maas_api"]


def test_newlines_that_arrive_during_a_cycle_count_as_one(daemon: Daemon) -> None:
    release = daemon.hold()
    for _ in range(3):
        daemon.newline()
    release.set()
    assert daemon.end() == (BATCH * 2, "")


def test_end_of_file_lets_the_running_cycle_finish(daemon: Daemon) -> None:
    release = daemon.hold()
    daemon.stdin.close()
    release.set()
    daemon.process.stdin = None
    assert daemon.end() == (BATCH, "")


def test_sigterm_cuts_the_cycle_and_drops_waiting_newlines(daemon: Daemon) -> None:
    daemon.hold()
    daemon.newline()
    measurements, said = daemon.end(signal.SIGTERM)
    assert measurements == ["huawei_maas_api"]
    assert "ended by a signal" in said
    assert "raise deadline" not in said


def test_sigterm_while_nothing_runs_ends_at_once(cloud: Cloud, daemon: Daemon) -> None:
    daemon.newline()
    assert daemon.process.stdout
    for line in daemon.process.stdout:
        if line.startswith(b"huawei_maas_api"):
            break
    assert daemon.end(signal.SIGTERM) == ([], "")


def test_a_standard_input_that_was_closed_at_the_start_ends_quietly(cloud: Cloud, program: Program) -> None:
    skip_unless_processes()
    command = [*program.command, "execd", "--config", program.for_cloud(cloud)]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, env=program.environ, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
