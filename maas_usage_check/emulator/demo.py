"""The emulator, for a look at the plugin without an account, and for trying it with an agent."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import Callable, List

from .emulator import Emulator
from .loopback_server import serving

DEMO_KEY = {"DEMO-ACCESS-KEY-NOT-REAL": "demo-secret-key-not-real"}
CONFIG = """\
init_config:
instances:
  - region: cn-southwest-2
    endpoint: {url}
    iam_endpoint: {url}
    cloud_eye_endpoint: {url}
    ranges: [last_7d, last_14d, last_30d]
    {more}
"""
KEY_FILE = """\
# The throw-away key of a stand-in on this machine: no secret, so everyone may read it.
HW_ACCESS_KEY={}
HW_SECRET_KEY={}
"""


def demo(run: Callable[[List[str]], int], serve: bool, port: int, now: Callable[[], float]) -> int:
    """Show `report` and `collect` against the emulator, or keep it up for an agent.

    Args:
        run: the command line, as a function.
        serve: stay until SIGINT or SIGTERM instead.
        port: 0 for any that is free.
        now: the emulator's clock, in seconds since 1970.
    """
    (ak, sk), *_ = DEMO_KEY.items()
    with tempfile.TemporaryDirectory(prefix="maas-usage-check-demo-") as folder, serving(
        Emulator(DEMO_KEY, now=now), port
    ) as url:
        config = os.path.join(folder, "demo.yaml")
        print(f"# a stand-in for Huawei Cloud, at {url}; its key is no real one", flush=True)
        if serve:
            key = os.path.join(folder, "credentials")
            # An agent's user keeps a state of its own; the tag keeps it, and the points, apart from the real account's.
            more = f"credentials: {{source: file, path: {json.dumps(key)}}}\n    tags: [source:demo]"
            os.chmod(folder, 0o755)  # noqa: S103 - agents have users of their own
            _write(key, KEY_FILE.format(ak, sk), 0o644)
            _write(config, CONFIG.format(url=url, more=more), 0o644)
            return _stay(config)
        state = os.path.join(folder, "state")
        _write(config, CONFIG.format(url=url, more=f"state_dir: {json.dumps(state)}"), 0o600)
        os.environ.update({"HW_ACCESS_KEY": ak, "HW_SECRET_KEY": sk})
        os.environ.pop("HW_SECURITY_TOKEN", None)  # the token of a real temporary key does not go with this one
        worst = 0
        for command in (["report", "--last", "7d"], ["report", "--last", "7d", "--daily"], ["collect"]):
            print(f"\n$ maas-usage-check {' '.join(command)} --config demo.yaml", flush=True)
            worst = max(worst, run([*command, "--config", config]))
        return worst


def _write(path: str, text: str, mode: int) -> None:
    Path(path).write_text(text, encoding="utf-8")
    os.chmod(path, mode)


def _stay(config: str) -> int:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    print(
        "# for any user of this machine, an agent's too: here the key is meant to be read by everyone, warning or not"
    )
    print(f"maas-usage-check collect --config {config}", flush=True)
    while not stop.wait(1.0):
        pass
    return 0
