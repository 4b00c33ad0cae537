from __future__ import annotations

from decimal import Decimal

from maas_usage_check.ledger import Account
from maas_usage_check.ledger.bisect_planner import Backfill
from maas_usage_check.ledger.cost_counters import CostCounter
from maas_usage_check.ledger.daily_check import DailyCheck
from maas_usage_check.ledger.sweep import HistoryStart, Sweep

from .memory_ledger import MemoryLedger

ENTRIES = {
    "Account": (Account("project", "digest"), '{"project_id":"project","key":"digest"}'),
    "AddUp": (DailyCheck(due=1, failed="reason"), '{"due":1,"failed":"reason"}'),
    "Backfill": (Backfill(reported=True), '{"told":true}'),
    "Began": (HistoryStart(1), '{"at":1}'),
    "Priced": (CostCounter(Decimal("1.5")), '{"cost":"1.5"}'),
    "Round": (Sweep(1, ["series"]), '{"began":1,"left":["series"]}'),
}


def test_stored_names(ledger: MemoryLedger) -> None:
    """A state file stays readable: kinds and fields are stored under these names, whatever the classes are called."""
    for entry, _ in ENTRIES.values():
        ledger.transaction.put("name", entry)
    stored = dict(ledger.transaction.run("SELECT kind, value FROM entries").fetchall())
    assert stored == {kind: text for kind, (_, text) in ENTRIES.items()}
    for entry, _ in ENTRIES.values():
        assert ledger.transaction.get(type(entry), "name") == entry
