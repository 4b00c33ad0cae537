"""A report whose ledger has months, and what the emulator says of them."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

from maas_usage_check.config.ranges import to_ms
from maas_usage_check.emulator.simulated_models import SimulatedModels

from ..conftest import Cloud
from ..fixed_clock import MONDAY
from .conftest import Report, ZoneInfo
from .long_ledger import HOUR, LongLedger, truth

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NOW = int(MONDAY * 1000)
THIS_HOUR = NOW // HOUR * HOUR
LAST_HOUR = THIS_HOUR - 3 * HOUR
"""Hours are final up to here."""
TEAMS = {"search": ["team-search"], "support": ["team-support", "batch-jobs"]}
PRICES = [("2.0", "8.0"), ("0.35", "1.25")]


def local(text: str, tz: dt.tzinfo = SHANGHAI) -> int:
    """Return a local date, or date and time, in milliseconds."""
    return to_ms(dt.datetime.fromisoformat(text), tz)


class Months:
    """A report whose ledger has months."""

    def __init__(self, cloud: Cloud, report: Report, folder: Path) -> None:
        cloud.emulator.requests_per_minute = 10**6
        cloud.emulator.models = SimulatedModels(2, 3)
        self.cloud, self.report, self.ledger = cloud, report, LongLedger(report, folder)
        self.configure()

    @classmethod
    def collected(cls, cloud: Cloud, report: Report, folder: Path) -> Months:
        """Return a ledger since August 2026, whose hours begin on 2026-09-22."""
        months = cls(cloud, report, folder)
        months.ledger.fill(AUGUST, LAST_HOUR)
        report.collect()
        return months

    def configure(
        self, zone: str = "Asia/Shanghai", prices: Sequence[Tuple[str, str]] = PRICES, more: str = ""
    ) -> None:
        models = self.cloud.emulator.models
        of_models = zip(models.ids(), prices)
        entry: Dict[str, Any] = {
            "hourly": True,
            "models": True,
            "timezone": zone,
            "state_dir": str(self.report.program.folder),
            "max_requests_per_minute": 80_000,
            "key_names": models.key_labels,
            "prices": {
                "currency": "CNY",
                "models": {name: {"prompt": float(one), "completion": float(two)} for name, (one, two) in of_models},
            },
            "teams": {
                "search": {"api_keys": TEAMS["search"], "cost_center": "CC-1"},
                "support": {"api_keys": TEAMS["support"]},
            },
        }
        lines = (f"{name}: {json.dumps(value)}" for name, value in entry.items())
        self.report.yaml = "\n".join([*lines, more])

    def tokens(self, start: int, until: int, label: Optional[str] = None) -> Tuple[int, ...]:
        """Add up the emulator's own statistics."""
        labels = None if label is None else (label,)
        return truth([each for each in self.ledger.sources() if _labels(each) == labels], start, until)

    def cost(self, model: int, start: int, until: int, labels: Sequence[str] = (), prices: Any = PRICES) -> Decimal:
        """Price the emulator's own hours of a model, or of its keys with these labels."""
        models = self.cloud.emulator.models
        name, (prompt, completion) = models.ids()[model], map(Decimal, prices[model])
        total = Decimal(0)
        for of, key in models.series:
            if of == name and (models.key_labels[key] in labels if key else not labels):
                for at in range(start, until, HOUR):
                    use = models.hour(of, key, at, at + 6 * HOUR)
                    total += (prompt * use.prompt_tokens + completion * use.completion_tokens) / 1_000_000
        return total


TODAY = local("2026-11-23")
AUGUST, SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = (local(f"2026-{month:02}-01") for month in (8, 9, 10, 11, 12))


def _labels(source: Any) -> Any:
    return getattr(source.series.subject, "api_keys", "of Cloud Eye")
