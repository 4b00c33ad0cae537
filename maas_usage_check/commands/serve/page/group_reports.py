"""The use of a whole period by service type, team, API key and model, with its cost; the largest first."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import Dict, List, Optional, Sequence

from msgspec.structs import replace

from ....config import Instance
from ....ledger.key_costs import KeyCosts
from ....ledger.known_usage import KnownUsage
from ...report.asked_period import AskedPeriod
from ...report.group_usage import group_usage
from ...report.line_adder import LineAdder
from ...report.periods import Part
from ...report.team_costs import label_costs
from ...report.usage_report import Line, UsageReport
from .page_view import PageView


def groupings(instance: Instance) -> List[str]:
    """List the groups that an instance has."""
    has = {"team": bool(instance.teams), "key": instance.per_api_key, "model": instance.models}
    return [*(by for by, is_there in has.items() if is_there), "service"]


def shown_groupings(view: PageView, instance: Instance) -> List[str]:
    """List the groups of a view: without `by` all, service types only where there are several."""
    found = groupings(instance)
    if view.by:
        return [by for by in found if by == view.by]
    return found if len(instance.service_types) > 1 else found[:-1]


class GroupReports:
    """Make the reports of a period.

    Args:
        instance: its one range is the period.
        asked: the hours of the period.
        statistics: their known usage by service type and label.
        models: that by model; None without models.
        now_ms: milliseconds since 1970.
        key_costs: those of the labels of keys; None where the ledger has none.
    """

    def __init__(
        self,
        instance: Instance,
        asked: AskedPeriod,
        statistics: KnownUsage,
        models: Optional[KnownUsage],
        now_ms: int,
        key_costs: Optional[KeyCosts],
    ) -> None:
        self._instance = instance
        self._asked = asked
        self._statistics = statistics
        self._now_ms = now_ms
        self._key_costs = key_costs
        self._period = Part(asked.name, asked.kept.start, asked.kept.end, asked.is_unfinished)
        self._models = LineAdder(group_usage(instance, "model", models, "", now_ms), by_hour=False) if models else None

    def of(self, by: str, project_id: str) -> UsageReport:
        """Return the report by one kind of group."""
        if by == "model" and self._models and self._models_line:
            usage, line = self._models.usage, self._models_line
        else:
            usage = group_usage(self._instance, by, self._statistics, "", self._now_ms)
            line = LineAdder(usage, by_hour=False).line(self._period, self._asked.hours)
            line = self._with_costs(line, self._labels(by))
        groups, tokens = usage.groups, [each.total_tokens if each else -1 for each in line.usages]
        parts = len(groups) - bool(usage.rest)
        order = [*sorted(range(parts), key=lambda i: (-tokens[i], groups[i].title)), *range(parts, len(groups))]
        line, groups = line.in_order(order), tuple(groups[i] for i in order)
        return UsageReport(self._instance, project_id, self._instance.zone(), by, None, False, groups, (line,), line)

    def cost(self, part: Part) -> Optional[Decimal]:
        """Return the cost of all models in a part of the period."""
        return self._models.line(part).total_cost if self._models else None

    def _labels(self, by: str) -> List[Sequence[str]]:
        """Return the labels of each group; none if the groups are not labels."""
        if by == "team":
            return [team.api_keys for team in self._instance.teams.values()]
        return [[label] for label in self._instance.api_keys or ()] if by == "key" else []

    def _with_costs(self, line: Line, labels: Sequence[Sequence[str]]) -> Line:
        models, count = self._models_line, len(line.usages)
        line = replace(line, costs=(None,) * count, unpriced=(0,) * count)
        if models is None or not labels or not self._instance.prices:
            return line
        return replace(
            line,
            costs=tuple(label_costs(self._instance, labels, models.total_cost, self._costs_by_label)),
            total_cost=models.total_cost,
            is_cost_complete=not models.period.is_incomplete,
        )

    @cached_property
    def _models_line(self) -> Optional[Line]:
        return self._models.line(self._period, self._asked.hours) if self._models else None

    @cached_property
    def _costs_by_label(self) -> Optional[Dict[str, Optional[Decimal]]]:
        models, line = self._models, self._models_line
        if self._key_costs is None or models is None or line is None or line.total_cost is None:
            return None
        return self._key_costs.of(models.common(line.period.start, line.period.end))
