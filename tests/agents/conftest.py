"""Tests with the real agents. A test whose agent is missing is skipped; in CI it fails."""

from __future__ import annotations

import fcntl
import importlib
import os
import shlex
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest

from ..conftest import AK, SK, Cloud, FixedClock, Program
from ..shifted_clock import write_shift
from ..walkthrough import script
from .programs import find
from .wheel import build


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Run each module in one worker, as its simulated span is built once; modules with the longest time limit first."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=time_limit, reverse=True)


def time_limit(item: pytest.Item) -> float:
    """Return the item's own time limit in seconds, 0 without one."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


@pytest.fixture
def need() -> Callable[..., str]:
    """Return `find`, which skips the test if a program is missing, or fails if MAAS_AGENTS_REQUIRED is set."""
    return find


@pytest.fixture
def command(program: Program) -> str:
    """Write a script that runs the program on the tests' clock, in place of the installed one; return its path."""
    return script(program.folder / "bin" / "maas-usage-check", f'{shlex.join(program.command)} "$@"')


@pytest.fixture
def real_time(cloud: Cloud, program: Program) -> None:
    """Run the cloud and processes on this machine's clock, for programs that do not use the tests' clock."""
    cloud.emulator.now = time.time
    write_shift(program.command[-1], 0)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel for all workers of this run."""
    need_library("build")
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder
    with open(shared / "wheel.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = list((shared / "dist").glob("*.whl"))
        return built[0] if built else build(shared / "dist")


def need_library(module: str) -> Any:
    """Import an agent's library; without it the tests are skipped, or fail if MAAS_AGENTS_REQUIRED is set."""
    if os.environ.get("MAAS_AGENTS_REQUIRED"):
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=f"{module} is not installed: pip install '.[agents]'")


@pytest.fixture
def make_check(
    datadog_agent: Any, aggregator: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: FixedClock
) -> Callable[..., Any]:
    """Make a check as the Agent does: by keywords, then the id. All of one test share schedulers, those of no other."""
    from maas_usage_check import MaasUsageCheck
    from maas_usage_check.scheduling import Schedulers
    from maas_usage_check.state import Store, find_file

    monkeypatch.setenv("HW_ACCESS_KEY", AK)
    monkeypatch.setenv("HW_SECRET_KEY", SK)
    shared: Dict[Any, Schedulers] = {}

    def make(
        entry: Dict[str, Any],
        start: int = 1,
        check_id: str = "maas_usage_check:c0ffee",
        init_config: Optional[Dict[str, Any]] = None,
    ) -> Any:
        if start not in shared:  # each start of the Agent has schedulers of its own, and the file of the last
            store = Store(lambda: find_file(str(tmp_path / "run")), lambda text: None, clock.now)
            shared[start] = Schedulers(store, clock.clock)
        check = MaasUsageCheck(
            name="maas_usage_check",
            init_config=init_config or {},
            instances=(entry,),
            schedulers=shared[start],
            clock=clock.clock,
        )
        check.check_id = check_id
        return check

    return make
