from __future__ import annotations

from pathlib import Path

import pytest

from .cost_consumer import DEAR, HOUR, NOON, CostConsumer, Sums, costs, price
from .memory_ledger import MemoryLedger


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def sums(tmp_path: Path, kind: str) -> Sums:
    """Return a consumer at dear prices, whose history began at half past noon in its first cycle."""
    sums = Sums(CostConsumer(tmp_path, kind, price(DEAR), NOON + HOUR // 2))
    assert sums.later(0) == costs(0, 0)
    return sums
