"""A real Telegraf that runs the plugin on a simulated clock and feeds a real InfluxDB."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

from line_protocol_parser import parse_line

from maas_usage_check.emulator.loopback_server import serve_emulator
from maas_usage_check.emulator.simulated_models import SimulatedModels

from .. import shifted_clock
from ..conftest import NOW, wait_for
from .demo_account import AK, SK
from .expected_hours import HourlyUsage, SignatureTimeEmulator
from .influxdb import influxdb
from .programs import ROOT, environ, find, missing, run

CONFIG = """\
# On a busy machine no request is too late, and within a minute no cycle waits for the rate limit.
init_config:
  timeout: 50
  deadline: 50
instances:
  - endpoint: {url}
    iam_endpoint: {url}
    cloud_eye_endpoint: {url}
    state_dir: {folder}/state
    hourly: true
    ranges: [last_1d]
    max_requests_per_minute: 140
    api_keys: [team-search, ""]
    per_api_key: true
"""
AGENT = """\
[agent]
  interval = "100ms"
  flush_interval = "100ms"
  metric_buffer_limit = 20000
  omit_hostname = true
[[outputs.influxdb]]
  urls = ["{database}"]
  database = "maas"
[[outputs.file]]
  files = ["{folder}/cycles"]
  namepass = ["huawei_maas_api"]
  metric_batch_size = 1
"""
EXECD = """\
[[inputs.execd]]
  command = ["{folder}/plugin", "execd", "--config", "{folder}/conf.yaml"]
  signal = "STDIN"
  restart_delay = "100ms"
"""
EXEC = """\
[[inputs.exec]]
  commands = ["{folder}/plugin collect --config {folder}/conf.yaml"]
  timeout = "30s"
  data_format = "influx"
"""
PLUGIN = """\
#!/bin/sh
echo $$ > {folder}/pid
exec {python} {program} {folder}/shift "$@"
"""


class Telegraf:
    """A Telegraf with the plugin's clock and cloud, which writes to the InfluxDB at `database`."""

    def __init__(self, database: str, folder: Path, how: str, models: SimulatedModels) -> None:
        self.database = database
        self.folder = folder
        self.usage = HourlyUsage(late=True)
        self.cloud = SignatureTimeEmulator(self.usage, models)
        self._shift = NOW - time.time()
        self.advance(0)
        self._binary = find("telegraf", "build one with outputs.influxdb")
        if "outputs.influxdb" not in run([self._binary, "plugins", "outputs"], folder).stdout:
            missing("this telegraf was built without outputs.influxdb")
        values = {"folder": folder, "python": sys.executable, "program": shifted_clock.__file__, "database": database}
        (folder / "telegraf.conf").write_text((AGENT + how).format(**values))
        (folder / "plugin").write_text(PLUGIN.format(**values))
        (folder / "plugin").chmod(0o755)
        self._cycles = open(folder / "cycles", "a+b")  # noqa: SIM115 - closed with the test
        self._newest: Dict[str, Any] = {"time": 0}
        self._process: Optional[subprocess.Popen[bytes]] = None

    @property
    def now(self) -> int:
        """The simulated time, milliseconds."""
        return int((time.time() + self._shift) * 1000)

    def advance(self, hours: float) -> None:
        self._shift += hours * 3600
        shifted_clock.write_shift(str(self.folder / "shift"), self._shift)

    def start(self) -> None:
        keys = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "PYTHONPATH": str(ROOT)}
        with open(self.folder / "telegraf.log", "ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "--config", str(self.folder / "telegraf.conf")],
                stdout=log,
                stderr=log,
                env=environ(self.folder, **keys),
                cwd=ROOT,
            )

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(sent)
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        """Freeze the usage, run two more hours so that all of it is read, and stop."""
        self.cycle()
        self.usage.frozen_at = self.now
        for _ in range(2):
            self.advance(1)
            self.cycle()
        self.stop()

    @property
    def plugin(self) -> int:
        """The process id of the plugin's newest process."""
        return int((self.folder / "pid").read_text())

    def cycle(self) -> Dict[str, Any]:
        """Wait for the end of a cycle that began now; return its api fields."""
        since = (self.now - 1000) * 1_000_000  # Telegraf may round the time
        wait_for(lambda: self._seen()["time"] >= since, "a cycle", 120.0)
        return dict(self._newest["fields"])

    def log(self) -> str:
        return (self.folder / "telegraf.log").read_text()

    def _seen(self) -> Dict[str, Any]:
        *lines, rest = self._cycles.read().split(b"\n")
        self._cycles.seek(-len(rest), os.SEEK_CUR)
        if lines:
            self._newest = parse_line(lines[-1].decode())
        return self._newest


@contextlib.contextmanager
def telegraf(folder: Path, how: str, more: str, models: SimulatedModels) -> Iterator[Telegraf]:
    """Start InfluxDB, the emulator and Telegraf, with `more` added to the configuration; stop them at the end."""
    with influxdb(folder) as database:
        made = Telegraf(database, folder, how, models)
        with serve_emulator(made.cloud) as url:
            (folder / "conf.yaml").write_text(CONFIG.format(url=url, folder=folder) + more)
            made.start()
            try:
                yield made
            except BaseException:
                print(made.log()[-4000:])  # noqa: T201 - pytest shows it with the failure
                raise
            finally:
                made.stop()
