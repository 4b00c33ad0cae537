"""Tests with the real agents. Without one of them they skip, saying so; in CI that is forbidden."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import pytest

from ..conftest import AK, SK, FixedClock
from .programs import find
from .wheel import build


@pytest.fixture
def need() -> Callable[..., str]:
    """Find a program, or skip; fail where MAAS_AGENTS_REQUIRED is set."""
    return find


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_library("build")
    return build(tmp_path_factory.mktemp("dist"))


def need_library(module: str) -> Any:
    """Import a part of a real agent: without it the tests are skipped, or fail where agents are required."""
    if os.environ.get("MAAS_AGENTS_REQUIRED"):
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=f"{module} is not installed: pip install '.[agents]'")


@pytest.fixture
def make_check(
    datadog_agent: Any, aggregator: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: FixedClock
) -> Callable[..., Any]:
    """Make a check as the Agent does: by keywords, then the id. All of one test share gates, those of no other."""
    from maas_usage_check import MaasUsageCheck
    from maas_usage_check.access import Gates
    from maas_usage_check.store import Store, find_file

    monkeypatch.setenv("HW_ACCESS_KEY", AK)
    monkeypatch.setenv("HW_SECRET_KEY", SK)
    shared: Dict[Any, Gates] = {}

    def make(
        entry: Dict[str, Any],
        start: int = 1,
        check_id: str = "maas_usage_check:c0ffee",
        init_config: Optional[Dict[str, Any]] = None,
    ) -> Any:
        if start not in shared:  # each start of the Agent has gates of its own, and the file of the last
            store = Store(lambda: find_file(str(tmp_path / "run")), lambda text: None, clock.now)
            shared[start] = Gates(store, clock.clock)
        check = MaasUsageCheck(
            name="maas_usage_check",
            init_config=init_config or {},
            instances=(entry,),
            gates=shared[start],
            clock=clock.clock,
        )
        check.check_id = check_id
        return check

    return make
