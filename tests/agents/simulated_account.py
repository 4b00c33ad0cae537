"""An account with simulated usage, and the values that the Grafana dashboards must show of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple

from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage

from ..conftest import NOW
from .collect_runner import CollectRunner
from .expected_hours import (
    EVERY_KEY,
    ExpectedCounts,
    HourlyUsage,
    ServiceCounts,
    SignatureTimeEmulator,
    Usage,
    expected_hour,
)
from .expected_models import (
    TRAFFIC,
    ModelCounts,
    all_series,
    model_entry,
)
from .grafana_dashboards import Chosen

END = int(NOW * 1000)
"""2026-11-23 20:00 in Shanghai, milliseconds."""
SERVICES = {"preset": 2, "my_service": 1}
LABELS = {"": EVERY_KEY, "team-search": ("team-search",), "online_experience": ("",)}
"""Labels by their tag; the empty tag stands for all labels together."""
BUDGET, COST_BUDGET, TEAM, TEAM_BUDGET, COST_CENTER = 50_000_000, 300, "search", 40_000_000, "4711"
"""Some are below the usage, some above."""
LIMITS = {"large": (60, 90_000), "small": (80, 120_000)}
"""Requests and tokens a minute."""
ENTRY = {
    "timezone": "Asia/Shanghai",
    "hourly": True,
    "ranges": ["today", "this_month", "last_7d"],
    "api_keys": ["team-search", ""],
    "per_api_key": True,
    "max_requests_per_minute": 20_000,
    "deadline": 60,
    "service_types": list(SERVICES),
    "budget": {"tokens": BUDGET},
    "teams": {TEAM: {"api_keys": ["team-search"], "cost_center": COST_CENTER, "budget": {"tokens": TEAM_BUDGET}}},
}
OVERLAPPING = {"service_types": ["preset"], "tags": ["view:again"]}
"""Another instance with a part of the same queries; only a user's tag differs, and nothing may count twice."""
Values = Dict[Any, Any]
Series = Tuple[str, str]
"""A service type and a label, or a model and a key; an empty label or key stands for all together."""


def entry_of_models(models: SimulatedModels) -> Dict[str, Any]:
    """Return the configuration of an instance with models, limits, and budgets in cost; one of two keys has a label."""
    team = {**ENTRY["teams"][TEAM], "budget": {"tokens": TEAM_BUDGET, "cost": COST_BUDGET}}
    return {
        **ENTRY,
        **model_entry(models),
        "limits": {name: {"rpm": rpm, "tpm": tpm} for name, (rpm, tpm) in LIMITS.items()},
        "key_names": key_names(models),
        "budget": {"tokens": BUDGET, "cost": COST_BUDGET},
        "teams": {TEAM: team},
    }


def key_names(models: SimulatedModels) -> Dict[str, str]:
    return {models.key_ids(models.ids()[0])[0]: "team-search"}


def owner(name: str) -> Tuple[str, str]:
    """Return the team and the cost centre of a label."""
    return (TEAM, COST_CENTER) if name == "team-search" else ("unassigned", "unassigned")


def expected_counts(usage: SimulatedUsage, models: SimulatedModels, began: int) -> Dict[Series, ExpectedCounts]:
    """Return the expected counts of all services, labels, models and keys since `began`."""
    return {
        **{
            (name, label): ServiceCounts(usage, began, service_type=number, labels=labels)
            for name, number in SERVICES.items()
            for label, labels in LABELS.items()
        },
        **{each: ModelCounts(models, each, began) for each in all_series(models)},
    }


class SimulatedAccount(CollectRunner):
    """Runs cycles over simulated usage; at the time `partial`, the cloud refuses queries of preset services."""

    partial: int
    known_since: Tuple[int, int]
    """The first hours that the ledger knows in the last month, of services and of models."""
    store_url: str
    """URL of the Prometheus or InfluxDB that holds its points."""

    def __init__(self, folder: Path, output_format: str, backfill: int, third_appears: int = 0) -> None:
        self.file = folder / "out.prom"
        self.usage = HourlyUsage(late=True)
        third = SimulatedModels(3).ids()[2]
        self.models = SimulatedModels(3, 2, TRAFFIC, late=True, appears={third: third_appears})
        self.cloud = SignatureTimeEmulator(self.usage, self.models)
        self.cloud.requests_per_minute = 20_000  # a backfill in one cycle
        self.api_fields: Dict[int, Dict[str, float]] = {}
        """Fields of the api measurement, by the time of the cycle."""
        self.read_at: Dict[str, List[int]] = {name: [] for name in SERVICES}
        """Times at which each service type was read."""
        entry = {"backfill_days": backfill}
        super().__init__(
            folder,
            self.cloud,
            output_format,
            {**ENTRY, **entry, **OVERLAPPING},
            {**entry_of_models(self.models), **entry},
        )

    def cycle(self, at: int) -> str:
        """Run a cycle at `at`, milliseconds; return its output files."""
        self.usage.refused_service_type = SERVICES["preset"] if at == self.partial else 0
        done = self.collect(at, "--output", str(self.file))
        assert done.returncode == (1 if self.cloud.is_down else 0), done.stderr
        for name, number in SERVICES.items():
            if not self.cloud.is_down and number != self.usage.refused_service_type:
                self.read_at[name].append(at)
        return "".join(file.read_text() for file in sorted(self.folder.glob("out*.prom")))

    def record(self, at: int, field: str, value: float) -> None:
        """Record a field of the api measurement, the larger one of the two instances."""
        fields = self.api_fields.setdefault(at, {})
        fields[field] = max(value, fields.get(field, 0))

    def hour(self, at: int, now: int, service: str, label: str = "") -> Usage:
        """Return what the cloud reports at `now` for the hour that begins at `at`."""
        return expected_hour(self.usage, at, now, SERVICES[service], LABELS[label])


def choose(**chosen: Tuple[str, ...]) -> Chosen:
    """Choose values of the dashboard's variables; the others are All."""
    everything = dict.fromkeys(("region", "project_id", "service_type", "infer_type", "model"))
    return {**everything, "timezone": ("Asia/Shanghai",), **chosen}
