"""`demo`: the plugin against the emulator, without an account, as a page, or with an agent of your own."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

import yaml

from ..errors import ConfigError
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
TEAMS: Dict[str, Dict[str, Any]] = {
    "search": {
        "api_keys": ["team-search"],
        "cost_center": "CC-4711",
        "budget": {"tokens": 1_000_000_000, "cost": 2000},
    },
    "support": {"api_keys": ["team-support"], "cost_center": "CC-4712"},
}
BUDGET = {"tokens": 2_000_000_000, "cost": 4000}
LIMITS = {"deepseek-v3": {"rpm": 60, "tpm": 500_000}}
AGENT_NOTE = (
    "# runs as any user of this machine, an agent's too; ignore the warning that others can read the credentials"
)
CREDENTIALS_FILE = """\
# Access key of the bundled simulator on this machine: not a secret, everyone may read it.
HW_ACCESS_KEY={}
HW_SECRET_KEY={}
"""


class SimulatedAccount(NamedTuple):
    """The simulated account of a demo, its folder, and an instance that queries it, without a state of its own."""

    usage: SimulatedUsage
    models: SimulatedModels
    folder: str
    instance: Dict[str, Any]


ShowPage = Callable[[SimulatedAccount, Callable[[str], None]], None]
"""Serves a page until SIGTERM; passes its URL on. Raises ConfigError if it cannot."""


def demo(run: Callable[[List[str]], int], port: int, now: Callable[[], float]) -> int:
    """Run commands against the emulator.

    Args:
        run: runs a command line.
        port: 0 for any free port.
        now: the emulator's clock, in seconds since 1970.
    """
    with _simulate(port, now) as account:
        folder = account.folder
        own = {"backfill_days": 7, "state_dir": os.path.join(folder, "state")}
        write_config(folder, CONFIG, {**account.instance, **own}, 0o600)
        code = max(_show(run, command, folder) for command in COMMANDS)
        print("\n# a page to look at: maas-usage-check demo --serve", flush=True)
        return code


def serve_demo(show_page: ShowPage, port: int, now: Callable[[], float]) -> int:
    """Keep the emulator running for an agent, and show a page, until SIGINT or SIGTERM; see `demo`."""
    signal.signal(signal.SIGINT, lambda *_: signal.raise_signal(signal.SIGTERM))  # `serve` ends cleanly with it
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), _simulate(port, now) as account:
        # No state_dir: an agent's user has its own. The tag separates state and points from a real account's.
        account.instance.update(tags=["source:demo"])
        os.chmod(account.folder, 0o755)  # noqa: S103 - an agent runs as another user
        config = write_config(account.folder, CONFIG, account.instance, 0o644)
        print(AGENT_NOTE, f"maas-usage-check collect --config {config}", sep="\n", flush=True)
        try:
            show_page(account, _print_address)
        except ConfigError as error:
            print(f"\n# no page for people: {error}", flush=True)
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # `serve` may have replaced it
            while True:
                time.sleep(1)
    return 0


@contextlib.contextmanager
def _simulate(port: int, now: Callable[[], float]) -> Iterator[SimulatedAccount]:
    """Run the emulator until the block ends; yield its account."""
    traffic = demo_traffic(now())
    usage, models = SimulatedUsage(traffic), SimulatedModels(traffic=traffic)
    emulator = Emulator(DEMO_CREDENTIALS, usage, now, requests_per_minute=2 * REQUESTS_PER_MINUTE, models=models)
    with tempfile.TemporaryDirectory(prefix="maas-usage-check-demo-") as folder, serve_emulator(emulator, port) as url:
        print(f"# bundled simulator of Huawei Cloud at {url}; its access key is not real", flush=True)
        yield SimulatedAccount(usage, models, folder, demo_instance(url, models))


def write_config(folder: str, name: str, instance: Dict[str, Any], mode: int) -> str:
    """Write the configuration of an instance and its access key; return the path of the configuration."""
    (key,) = DEMO_CREDENTIALS.items()
    source = {"credentials": {"source": "file", "path": os.path.join(folder, KEY)}}
    config = yaml.safe_dump({"init_config": None, "instances": [{**instance, **source}]}, sort_keys=False)
    for file, text in ((KEY, CREDENTIALS_FILE.format(*key)), (name, config)):
        path = Path(folder, file)
        path.touch(mode)
        path.chmod(mode)
        path.write_text(text, encoding="utf-8")
    return os.path.join(folder, name)


def demo_traffic(now: float) -> Traffic:
    """Return traffic that began one to two years ago, at a fixed date: after a restart, the hours are the same."""
    return Traffic(load=0.5, begins=(int(now * 1000) // YEAR - 1) * YEAR, monthly_growth=0.05)


def demo_instance(url: str, models: SimulatedModels) -> Dict[str, Any]:
    """Return an instance with all views, and all that dashboards and alerts read."""
    return {
        "region": REGION,
        **dict.fromkeys(("endpoint", "iam_endpoint", "cloud_eye_endpoint"), url),
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


def _print_address(url: str) -> None:
    print(f"\n# a page for people, with three months of history, until Ctrl-C:\n\n    {url}\n", flush=True)
