"""The cost of each team: that of the keys with its labels, by Cloud Eye's hours. The rest is no team's."""

from __future__ import annotations

from decimal import Decimal
from typing import Dict, Iterator, Optional, Sequence

from msgspec.structs import replace

from ...config import Instance
from ...config.prices import EXACT, sum_costs
from ...config.ranges import Window
from ...ledger import Account
from ...ledger.key_costs import KeyCosts
from ...ledger.models_window import ModelsWindow
from ...ledger.month_budgets import model_members
from ...ledger.schema import read_transaction
from ...metrics import CACHED_AS_ORDINARY
from ...state import Store
from .coverage import MAX_NAMED, coverage_note
from .group_usage import group_usage
from .line_adder import LineAdder
from .periods import Part
from .usage_report import Line, UsageReport


def add_team_costs(
    report: UsageReport,
    store: Store,
    account: Account,
    windows: Sequence[Window],
    now_ms: int,
    unsettled: bool = False,
) -> UsageReport:
    """Return a report by team with its costs, as far as the ledger has them. Raise UnusableError if it has nothing.

    For `unsettled` see HoursWindow.
    """
    instance = report.instance
    known = ModelsWindow(instance, store, account, windows, now_ms, unsettled=unsettled).read()
    adder = LineAdder(group_usage(instance, "model", known, "", now_ms), report.size == "hour")
    with read_transaction(store, now_ms) as transaction:
        team_labels = [team.api_keys for team in instance.teams.values()]
        labels = {label for each in team_labels for label in each}
        members = model_members(transaction, store, instance, account.project_id, min(each.start for each in windows))
        costs = KeyCosts(transaction, members, labels)

        def with_costs(line: Line) -> Line:
            start, end = line.period.start, line.period.end
            models = adder.line(Part("", start, end))
            by_label = costs.of(adder.common(start, end)) if models.total_cost is not None else None
            return replace(
                line,
                costs=tuple(label_costs(instance, team_labels, models.total_cost, by_label)),
                total_cost=models.total_cost,
                is_cost_complete=not models.period.is_incomplete,
                previous=with_costs(line.previous) if line.previous else None,
            )

        whole = with_costs(report.whole)
        lines = tuple(map(with_costs, report.lines)) if report.size else (whole,)
    models = adder.line(Part("", whole.period.start, whole.period.end))
    return replace(report, whole=whole, lines=lines, notes=(*report.notes, *_notes(report, models, whole)))


def label_costs(
    instance: Instance,
    labels: Sequence[Sequence[str]],
    whole: Optional[Decimal],
    by_label: Optional[Dict[str, Optional[Decimal]]],
) -> Iterator[Optional[Decimal]]:
    """Yield the cost of each group of labels, and the rest of the whole; None is not known."""
    known, rest = set(instance.key_names.values()), whole
    for group in labels:
        named = [label for label in group if label in known]
        costs = [None if by_label is None else by_label.get(label, Decimal(0)) for label in named]
        cost = None if None in costs else sum_costs(filter(None, costs))
        yield cost if named else None
        rest = None if rest is None or cost is None else EXACT.subtract(rest, cost)
    yield rest if rest is None or rest >= 0 else None


def _notes(report: UsageReport, models: Line, whole: Line) -> Iterator[str]:
    instance = report.instance
    yield "Cost is an estimate: tokens of Cloud Eye's models and keys times the prices in the file."
    if whole.total_cost is None:
        yield "No cost is known: the ledger has no hours of models with a price (`models`, `hourly`)."
        return
    if instance.prices and not instance.prices.has_cached_share:
        yield CACHED_AS_ORDINARY
    covered = coverage_note(models, report.tz)
    if covered:
        yield f"Cost: {covered}"
    named = set(instance.key_names.values())
    unnamed = [label for team in instance.teams.values() for label in team.api_keys if label not in named]
    if unnamed:
        yield f"Labels without a key in `key_names` cost nothing here, but count as unassigned: {_names(unnamed)}."
    teams = zip(instance.teams.items(), whole.costs)
    unknown = [name for (name, team), cost in teams if cost is None and not named.isdisjoint(team.api_keys)]
    if unknown:
        yield f"Hours of keys are missing, so the cost is not known of: {_names(unknown)}."
    elif whole.costs[-1] is None:
        yield "The teams cost more than all models: Cloud Eye's numbers of keys and models differ."


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")
