"""`demo`: the plugin against the emulator, without an account, or with an agent of your own."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import Callable, List

from .emulator import Emulator
from .loopback_server import serve_emulator

DEMO_CREDENTIALS = {"DEMO-ACCESS-KEY-NOT-REAL": "demo-secret-key-not-real"}
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
CREDENTIALS_FILE = """\
# Access key of the bundled simulator on this machine: not a secret, everyone may read it.
HW_ACCESS_KEY={}
HW_SECRET_KEY={}
"""


def demo(run: Callable[[List[str]], int], serve: bool, port: int, now: Callable[[], float]) -> int:
    """Run `report` and `collect` against the emulator, or keep it running for an agent.

    Args:
        run: runs a command line.
        serve: keep running until SIGINT or SIGTERM.
        port: 0 for any free port.
        now: the emulator's clock, in seconds since 1970.
    """
    (ak, sk), *_ = DEMO_CREDENTIALS.items()
    with tempfile.TemporaryDirectory(prefix="maas-usage-check-demo-") as folder, serve_emulator(
        Emulator(DEMO_CREDENTIALS, now=now), port
    ) as url:
        config = os.path.join(folder, "demo.yaml")
        print(f"# bundled simulator of Huawei Cloud at {url}; its access key is not real", flush=True)
        if serve:
            credentials = os.path.join(folder, "credentials")
            # No state_dir: an agent's user has its own. The tag separates state and points from a real account's.
            more = f"credentials: {{source: file, path: {json.dumps(credentials)}}}\n    tags: [source:demo]"
            os.chmod(folder, 0o755)  # noqa: S103 - an agent runs as another user
            _write(credentials, CREDENTIALS_FILE.format(ak, sk), 0o644)
            _write(config, CONFIG.format(url=url, more=more), 0o644)
            return _wait_for_signal(config)
        state = os.path.join(folder, "state")
        _write(config, CONFIG.format(url=url, more=f"state_dir: {json.dumps(state)}"), 0o600)
        os.environ.update({"HW_ACCESS_KEY": ak, "HW_SECRET_KEY": sk})
        os.environ.pop("HW_SECURITY_TOKEN", None)  # a real token does not match the demo's access key
        worst = 0
        for command in (["report", "--last", "7d"], ["report", "--last", "7d", "--daily"], ["collect"]):
            print(f"\n$ maas-usage-check {' '.join(command)} --config demo.yaml", flush=True)
            worst = max(worst, run([*command, "--config", config]))
        return worst


def _write(path: str, text: str, mode: int) -> None:
    Path(path).write_text(text, encoding="utf-8")
    os.chmod(path, mode)


def _wait_for_signal(config: str) -> int:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    print("# runs as any user of this machine, an agent's too; ignore the warning that others can read the credentials")
    print(f"maas-usage-check collect --config {config}", flush=True)
    while not stop.wait(1.0):
        pass
    return 0
