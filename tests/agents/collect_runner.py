"""Run `collect` in this process, at times of a simulated clock, against an emulator of its own."""

from __future__ import annotations

import json
import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any, Dict, cast

from werkzeug.datastructures import Headers

from maas_usage_check import cloud
from maas_usage_check.commands.runner import Runtime
from maas_usage_check.emulator.emulator import Emulator

from ..conftest import Cloud, FixedClock
from ..program import EmulatorTransport, run_cli
from .demo_account import AK, SK

CLOUD = "http://127.0.0.1:1"
"""No server: requests to it are answered in this process."""


class CollectRunner:
    """A configuration in a folder, the cloud that it queries, and the clock of both.

    Args:
        folder: where the configuration and the state are.
        emulator: the cloud.
        output_format: of `collect`.
        entries: the instances' configuration, without endpoints.
    """

    url = CLOUD

    def __init__(self, folder: Path, emulator: Emulator, output_format: str, *entries: Dict[str, Any]) -> None:
        self.folder, self.emulator, self.output_format = folder, emulator, output_format
        self.clock = FixedClock()
        emulator.now = self.clock.now
        self._runtime = Runtime(self.clock.clock, partial(EmulatorTransport, cast(Cloud, self)))
        endpoints = dict.fromkeys(("endpoint", "iam_endpoint", "cloud_eye_endpoint"), CLOUD)
        instances = [{**endpoints, "state_dir": str(folder / "state"), **entry} for entry in entries]
        (folder / "conf.yaml").write_text(json.dumps({"instances": instances}), encoding="utf-8")

    def transport(self, request: cloud.Request, timeout: float) -> cloud.Response:
        reply = self.emulator.answer(request.method, request.url[len(CLOUD) :], request.headers, request.body)
        return cloud.Response(reply.status, Headers(reply.headers), reply.body)

    def collect(self, at: float, *options: str, sk: str = SK) -> subprocess.CompletedProcess[str]:
        """Run a cycle at `at`, milliseconds."""
        self.clock.at = at / 1000
        keys = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TZ": "UTC"}
        arguments = ["collect", "--config", str(self.folder / "conf.yaml"), "--format", self.output_format, *options]
        return run_cli(arguments, self._runtime, {**keys, "HW_ACCESS_KEY": AK, "HW_SECRET_KEY": sk})
