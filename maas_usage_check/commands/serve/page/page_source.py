"""What the page reads of one instance, besides the ledger: its configuration, its account and its newest batch."""

from __future__ import annotations

from typing import Iterator, NamedTuple, Sequence

from ....config import Instance
from ....ledger import Account
from ....metrics import BUDGET, MODEL, Number, Point
from .content import BudgetRow, CollectionState, LiveModel


class PageSource(NamedTuple):
    """One instance. `points` are those of the newest batch that are not too old; none before the first cycle."""

    instance: Instance
    account: Account
    points: Sequence[Point]
    state: CollectionState


def has_budget(instance: Instance) -> bool:
    """Return whether any budget is configured."""
    budgets = [instance.budget, *(team.budget for team in instance.teams.values())]
    return any(each is not None and (each.tokens, each.cost) != (None, None) for each in budgets)


def instance_name(instance: Instance) -> str:
    """Return the region, the tags and the project; the project last, since a page cuts long names."""
    names = [f"{tag}:{value}" for tag, value in instance.user_tags.items()]
    names += [instance.project_id] if instance.project_id else []
    return f"{instance.region} ({' '.join(names)})" if names else instance.region


def budget_rows(points: Sequence[Point]) -> Iterator[BudgetRow]:
    """Yield the budgets."""
    for point in points:
        if point.measurement == BUDGET:
            yield BudgetRow(point.tags.get("team", ""), point.tags["unit"], point.fields)


def live_models(points: Sequence[Point]) -> Iterator[LiveModel]:
    """Yield the models in their newest minute, the busiest first."""

    def rate(point: Point) -> Number:
        return -point.fields.get("tokens_per_minute", 0)

    for point in sorted((each for each in points if each.measurement == MODEL), key=rate):
        yield LiveModel(point.tags["model"], point.time // 1_000_000, point.fields)
