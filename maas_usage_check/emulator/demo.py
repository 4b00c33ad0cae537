"""`demo`: the plugin against the emulator, without an account, or with an agent of your own."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List

import yaml

from .emulator import REGION, Emulator
from .loopback_server import serve_emulator
from .simulated_models import SimulatedModels
from .simulated_usage import SimulatedUsage
from .traffic import DAY, Traffic

DEMO_CREDENTIALS = {"DEMO-ACCESS-KEY-NOT-REAL": "demo-secret-key-not-real"}
CONFIG, KEY, POINTS = "demo.yaml", "credentials", "points.txt"
COMMANDS = (
    f"collect --config {CONFIG} --quiet --output {POINTS}",
    f"report --config {CONFIG} --last 7d",
    f"report --config {CONFIG} --last 7d --by model",
    f"report --config {CONFIG} --last 7d --hourly --service-type preset",
)
"""What `demo` shows. The first one fills the ledger, which the others read."""
REQUESTS_PER_MINUTE = 20_000
"""Far more than the cloud allows, so that the first cycle gets all hours of the past."""
YEAR = 365 * DAY
NIGHT = {"hours": "00:30-08:30", "prompt": 1.0, "completion": 4.0, "cached_prompt": 0.2}
PRICES: Dict[str, Dict[str, Any]] = {
    "deepseek-v3": {"prompt": 2.0, "completion": 8.0, "cached_prompt": 0.4, "off_peak": NIGHT},
    "qwen3-32b": {"prompt": 0.5, "completion": 1.25},
    "our-finetune": {"prompt": 4.0, "completion": 12.0},
}
"""Of a million tokens, by the model's name."""
TEAMS = {
    "search": {
        "api_keys": ["team-search"],
        "cost_center": "CC-4711",
        "budget": {"tokens": 1_000_000_000, "cost": 2000},
    },
    "support": {"api_keys": ["team-support"], "cost_center": "CC-4712"},
}
BUDGET = {"tokens": 2_000_000_000, "cost": 4000}
LIMITS = {"deepseek-v3": {"rpm": 60, "tpm": 500_000}}
CREDENTIALS_FILE = """\
# Access key of the bundled simulator on this machine: not a secret, everyone may read it.
HW_ACCESS_KEY={}
HW_SECRET_KEY={}
"""


def demo(run: Callable[[List[str]], int], serve: bool, port: int, now: Callable[[], float]) -> int:
    """Run commands against the emulator, or keep it running for an agent.

    Args:
        run: runs a command line.
        serve: keep running until SIGINT or SIGTERM.
        port: 0 for any free port.
        now: the emulator's clock, in seconds since 1970.
    """
    traffic = demo_traffic(now())
    models = SimulatedModels(traffic=traffic)
    emulator = Emulator(
        DEMO_CREDENTIALS, SimulatedUsage(traffic), now, requests_per_minute=2 * REQUESTS_PER_MINUTE, models=models
    )
    with tempfile.TemporaryDirectory(prefix="maas-usage-check-demo-") as folder, serve_emulator(emulator, port) as url:
        print(f"# bundled simulator of Huawei Cloud at {url}; its access key is not real", flush=True)
        instance = _instance(url, models, os.path.join(folder, KEY))
        if serve:
            # No state_dir: an agent's user has its own. The tag separates state and points from a real account's.
            instance.update(tags=["source:demo"])
        else:
            instance.update(backfill_days=7, state_dir=os.path.join(folder, "state"))
        (key,) = DEMO_CREDENTIALS.items()
        config = yaml.safe_dump({"init_config": None, "instances": [instance]}, sort_keys=False)
        for name, text in ((KEY, CREDENTIALS_FILE.format(*key)), (CONFIG, config)):
            path = Path(folder, name)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644 if serve else 0o600)
        if not serve:
            return max(_show(run, command, folder) for command in COMMANDS)
        os.chmod(folder, 0o755)  # noqa: S103 - an agent runs as another user
        return _wait_for_signal(os.path.join(folder, CONFIG))


def demo_traffic(now: float) -> Traffic:
    """Return traffic that began one to two years ago, at a fixed date: after a restart, the hours are the same."""
    return Traffic(load=0.5, begins=(int(now * 1000) // YEAR - 1) * YEAR, monthly_growth=0.05)


def _instance(url: str, models: SimulatedModels, credentials: str) -> Dict[str, Any]:
    """Return an instance with all views, and all that dashboards and alerts read."""
    return {
        "region": REGION,
        **dict.fromkeys(("endpoint", "iam_endpoint", "cloud_eye_endpoint"), url),
        "credentials": {"source": "file", "path": credentials},
        "timezone": "Asia/Shanghai",
        "ranges": ["today", "this_month", "last_1d", "last_7d", "last_14d", "last_30d"],
        "hourly": True,
        "service_types": ["preset", "my_service"],
        "models": True,
        "model_names": dict(zip(models.ids(), PRICES)),
        "key_names": models.key_labels,
        "prices": {"currency": "CNY", "cached_share": 0.4, "models": PRICES},
        "teams": TEAMS,
        "budget": BUDGET,
        "limits": LIMITS,
        "max_requests_per_minute": REQUESTS_PER_MINUTE,
        "min_collection_interval": 300,
    }


def _show(run: Callable[[List[str]], int], command: str, folder: str) -> int:
    """Print a command and run it; of the points that it wrote print the newest of each measurement."""
    print(f"\n$ maas-usage-check {command}", flush=True)
    code = run([os.path.join(folder, word) if word in (CONFIG, POINTS) else word for word in command.split()])
    points = Path(folder, POINTS)
    if POINTS in command and points.exists():
        lines = points.read_text(encoding="utf-8").splitlines()
        newest = {line.split(",")[0]: line for line in lines}
        print(f"# {POINTS} has {len(lines):,} points; the last one of each measurement:", *newest.values(), sep="\n")
    return code


def _wait_for_signal(config: str) -> int:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    print("# runs as any user of this machine, an agent's too; ignore the warning that others can read the credentials")
    print(f"maas-usage-check collect --config {config}", flush=True)
    while not stop.wait(1.0):
        pass
    return 0
