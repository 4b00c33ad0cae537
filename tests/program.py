"""The command line, run in this process or as a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Optional, Sequence
from unittest import mock

import pytest

from maas_usage_check.cli import main
from maas_usage_check.cloud import DirectTransport, Pool, Request, Response
from maas_usage_check.commands.execd import SIGNALS
from maas_usage_check.commands.runner import Runtime
from maas_usage_check.commands.stdout_writer import wrap_stdout
from maas_usage_check.config import Instance

from . import shifted_clock
from .fixed_clock import FixedClock

if TYPE_CHECKING:
    from .conftest import Cloud

AK, SK = "TESTACCESSKEY0000000", "test/secret+key=for-these-tests-only-0000"


def run_cli(
    argv: Sequence[str], runtime: Runtime, environ: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Call `main` in this process, with its own environment and streams, encoded as PYTHONIOENCODING says."""
    signals = [getattr(signal, name) for name in ("SIGTERM", *SIGNALS) if hasattr(signal, name)]
    handlers = [(number, signal.getsignal(number)) for number in signals]
    encoding = environ.get("PYTHONIOENCODING", "utf-8")
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(stdin.encode())
        files[0].seek(0)
        input_stream, output_stream = (io.TextIOWrapper(file, encoding) for file in files[:2])
        error_stream = io.TextIOWrapper(files[2], encoding, "backslashreplace")
        for number, handler in handlers:
            stack.callback(signal.signal, number, handler)
        stack.enter_context(mock.patch.dict(os.environ, environ, clear=True))
        stack.enter_context(
            mock.patch.multiple(sys, stdin=input_stream, stdout=wrap_stdout(output_stream), stderr=error_stream)
        )
        try:
            code = main(argv, runtime)
        except SystemExit as exited:  # --help, --version
            sys.stdout.flush()
            code = int(exited.code or 0)
        error_stream.flush()
        texts = []
        for file in files[1:]:
            file.seek(0)
            texts.append(file.read().decode())
        return subprocess.CompletedProcess(argv, code, *texts)


def only_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Return the only line of standard error; fail on other output or another exit code."""
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    return line


def skip_unless_processes() -> None:
    """Skip the test if MAAS_NO_PROCESSES is set, as it is on the oldest and the newest Python."""
    if os.environ.get("MAAS_NO_PROCESSES"):
        pytest.skip("starts a process")


class EmulatorTransport(DirectTransport):
    """Answer requests to the emulator in this process; send all others."""

    def __init__(self, cloud: Cloud, instance: Instance, pool: Optional[Pool] = None) -> None:
        super().__init__(instance, pool)
        self._cloud = cloud

    def __call__(self, request: Request, timeout: float) -> Response:
        is_emulated = request.url.startswith(self._cloud.url)
        return self._cloud.transport(request, timeout) if is_emulated else super().__call__(request, timeout)

    def preconnect(self, url: str, timeout: float, count: int) -> None:
        if not url.startswith(self._cloud.url):
            super().preconnect(url, timeout, count)


class Program:
    """The command line with a configuration, an environment and a clock. Calling it runs it in this process."""

    def __init__(self, folder: Path, cloud: Cloud, clock: FixedClock) -> None:
        self.folder = folder
        self.environ = {**os.environ, "HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "PYTHONIOENCODING": "utf-8"}
        self.runtime = Runtime(clock.clock, partial(EmulatorTransport, cloud))
        self.command = [sys.executable, shifted_clock.__file__, str(folder / "shift")]
        shifted_clock.write_shift(self.command[-1], clock.now() - time.time())

    def config(self, text: str, name: str = "conf.yaml") -> str:
        """Write a configuration file; return its path."""
        path = self.folder / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return str(path)

    def cloud_config(self, cloud: Cloud, more: str = "") -> str:
        """Write the configuration of one instance that queries the emulator; return its path."""
        endpoints = "".join(f"{name}: {cloud.url}\n" for name in ("endpoint", "iam_endpoint", "cloud_eye_endpoint"))
        instance = endpoints + textwrap.dedent(more).strip("\n")
        return self.config(f"instances:\n  -\n{textwrap.indent(instance, '    ')}\n")

    def __call__(self, *arguments: str, stdin: str = "", **environ: Optional[str]) -> subprocess.CompletedProcess[str]:
        return run_cli(arguments, self.runtime, self._merged(environ), stdin)

    def process(self, *arguments: str, stdin: str = "", **environ: Optional[str]) -> subprocess.CompletedProcess[str]:
        """Run a process until it exits: for exit codes, start-up, state that processes share, and real HTTP."""
        skip_unless_processes()
        return subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            env=self._merged(environ),
            timeout=60,
            check=False,
        )

    def start(self, *arguments: str, **environ: Optional[str]) -> subprocess.Popen[bytes]:
        """Start a process, for signals and pipes."""
        skip_unless_processes()
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*self.command, *arguments],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            bufsize=0,
            env=self._merged(environ),
        )

    def _merged(self, environ: Mapping[str, Optional[str]]) -> Mapping[str, str]:
        return {name: value for name, value in {**self.environ, **environ}.items() if value is not None}
