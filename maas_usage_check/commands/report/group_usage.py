"""The groups of a report from the ledger, each with its known usage."""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from types import MappingProxyType
from typing import Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ...cloud.usage import Usage
from ...config import ONLINE_EXPERIENCE, Instance
from ...config.model_prices import NO_TOKENS, PricedTokens, sum_by_price
from ...config.prices import sum_costs
from ...ledger.hour_values import FIELDS, oldest_hour
from ...ledger.known_usage import NO_USE, KnownUsage, Span, Spans
from .range_totals import service_group
from .usage_report import Group

_numbers = attrgetter(*FIELDS)


class GroupUsage(NamedTuple):
    """A group with its known usage.

    Attributes:
        absent: the spans in which its labels were not collected: their calls count as the rest then.
        is_priced: whether it has a price now.
        priced: its tokens by their price.
    """

    group: Group
    spans: Spans
    absent: FrozenSet[Span] = frozenset()
    is_priced: bool = False
    priced: Mapping[Span, Sequence[PricedTokens]] = MappingProxyType({})

    def cost(self, spans: Sequence[Span]) -> Tuple[Optional[Decimal], int]:
        """Return the cost of known spans, None without a price, and how many of their tokens have no price."""
        sums = sum_by_price(tokens for span in spans for tokens in self.priced.get(span, ()))
        costs = [each.cost.total for each in sums.values() if each.cost]
        is_unused = self.is_priced and spans and not sums
        return (sum_costs(costs) if costs or is_unused else None), sums.get(None, NO_TOKENS).total


class GroupedUsage(NamedTuple):
    """The groups of a report. With `rest`, the last group is what the others leave of the `whole` of all calls."""

    parts: List[GroupUsage]
    rest: Optional[Group] = None
    whole: Mapping[Span, Usage] = MappingProxyType({})

    @property
    def groups(self) -> Tuple[Group, ...]:
        """Return all groups."""
        return (*(each.group for each in self.parts), *([self.rest] if self.rest else []))

    @property
    def every(self) -> List[Mapping[Span, Usage]]:
        """List the usage of each part, and of the whole if there is one."""
        return [*(each.spans for each in self.parts), *([self.whole] if self.rest else [])]


def group_usage(instance: Instance, by: str, known: KnownUsage, infer_type: str, now_ms: int) -> GroupedUsage:
    """Group the usage of models or teams, or that of an inference type (empty: all) by service type or label."""
    if by == "model":
        return GroupedUsage([_of_model(instance, api_id, known) for api_id in known.spans])
    infer_types = (infer_type,) if infer_type and by != "team" else instance.infer_types
    kinds = [(service_type, each) for service_type in instance.service_types for each in infer_types]
    if by == "service":
        return GroupedUsage(
            [GroupUsage(service_group(each.name, infer), known.spans[each, infer, ""]) for each, infer in kinds]
        )
    whole = _add_spans([known.spans[(*kind, "")] for kind in kinds])
    frozen = frozenset(span for span in whole if span.start < oldest_hour(now_ms))

    def of_labels(group: Group, labels: Sequence[str]) -> GroupUsage:
        """Add up labels over service and inference types. Hours that are too old to be queried stay as they are."""
        each = [_add_spans([known.spans[(*kind, label or ONLINE_EXPERIENCE)] for kind in kinds]) for label in labels]
        absent = frozen.difference(*each)
        filled = [{**dict.fromkeys(frozen, NO_USE), **spans} for spans in each]
        return GroupUsage(group, _add_spans(filled), absent)

    if by == "team":
        teams = [
            of_labels(Group(name, {"team": name, "cost_center": team.cost_center}), team.api_keys)
            for name, team in instance.teams.items()
        ]
        return GroupedUsage(teams, Group("unassigned", {"team": "unassigned", "cost_center": "unassigned"}), whole)
    keys = [
        of_labels(_key_group(instance, infer_type, label or ONLINE_EXPERIENCE, label), [label])
        for label in instance.api_keys or ()
    ]
    return GroupedUsage(keys, _key_group(instance, infer_type, None, None), whole)


def add_up(usages: Iterable[Usage]) -> Usage:
    """Add up usages that do not overlap."""
    rows = list(map(_numbers, usages))
    return Usage(*map(sum, zip(*rows))) if rows else NO_USE


def _add_spans(parts: Sequence[Spans]) -> Spans:
    """Add up the spans that are known of all parts."""
    if len(parts) == 1:
        return parts[0]
    return {span: add_up(part[span] for part in parts) for span in set(parts[0]).intersection(*parts[1:])}


def _key_group(instance: Instance, infer_type: str, tag: Optional[str], label: Optional[str]) -> Group:
    owner: Dict[str, Optional[str]] = {**instance.owner_tags(label if label is not None else "")}
    return Group(tag or "Other keys", {"infer_type": infer_type, "api_key_label": tag, **owner})


def _of_model(instance: Instance, api_id: str, known: KnownUsage) -> GroupUsage:
    name, prices = instance.model_names.get(api_id, api_id), instance.prices_of(api_id)
    group = Group(name, {"maas_api_id": api_id, "model": name})
    return GroupUsage(group, known.spans[api_id], is_priced=prices is not None, priced=known.priced[api_id])
