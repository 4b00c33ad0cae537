"""The points of a cycle from the hours of models: changed hours, or counters, or increments, and their cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Callable, ClassVar, Dict, Iterator, List, Optional, Tuple

from msgspec import Struct
from msgspec.structs import replace

from ...config.prices import Price
from ...metrics import Number, Point
from ...state import Store
from ..counters import stored_counters, update_counters
from ..emit import COUNTER_FIELDS, RolledBackError
from ..hour_planner import Account
from ..hour_store import HourStore
from ..hour_values import FIELDS, ZEROS, Values
from ..schema import Transaction, write_transaction
from ..watermarks import COUNTERS, HOURS, Consumer, changed_hours, increments, is_new, save_watermark
from .model_list import ListedModel, ModelList, has_hours
from .model_series import measurements_of, model_tags
from .sweep import ModelHourPlanner

PROMPT_TOKENS, COMPLETION_TOKENS = FIELDS.index("prompt_tokens"), FIELDS.index("completion_tokens")


class CostCounter(Struct, omit_defaults=True):
    """The cost of a counter so far; None before it had a price."""

    stored_kind: ClassVar[str] = "Priced"

    cost: Optional[Decimal] = None


def resolve_project_id(store: Store, consumer: Consumer, account: Account, now_ms: int) -> str:
    """Return the project id; if it is not known in this cycle, that of this consumer's last cycle."""
    if account.project_id:
        return account.project_id
    with write_transaction(store, now_ms, answered=False) as transaction:
        return transaction.get(Account, consumer.name).project_id


def emit_models(
    planner: ModelHourPlanner,
    models: ModelList,
    consumer: Consumer,
    now_ms: int,
    tags: Dict[str, str],
    answered: bool,
    commit: Callable[[], bool],
) -> List[Point]:
    """Make the points of a cycle, and store in the same transaction which changes were emitted.

    Args:
        planner: of the hours of models.
        models: the list, with models of earlier lists.
        consumer: receives the points.
        now_ms: milliseconds since 1970.
        tags: of every point.
        answered: whether any query about use succeeded. If not, no history begins and zero increments are not emitted.
        commit: called just before the transaction commits; False rolls it back.
    """
    points: List[Point] = []
    with write_transaction(planner.store, now_ms, answered) as transaction:
        if answered:
            planner.begin(transaction)
        # A consumer that has a watermark of the project was there before any model that is new to it appeared.
        project, first = HourStore(transaction, planner.project_scope), planner.first_hour(transaction)
        had_cycles = not is_new(project, consumer)
        save_watermark(project, consumer, ZEROS)
        with_hours = [each for each in models.models if has_hours(each.metrics)]
        for listed, hour_store in planner.hour_stores(transaction, with_hours):
            own = {**model_tags(planner.instance, listed.dimensions), **tags}
            if consumer.kind == HOURS:
                points += _hour_points(planner, listed, hour_store, consumer, first, own)
            else:
                points += _counter_points(planner, listed, hour_store, consumer, had_cycles, now_ms, own, answered)
        if not commit():
            raise RolledBackError
    return points


def _hour_points(
    planner: ModelHourPlanner,
    listed: ListedModel,
    hour_store: HourStore,
    consumer: Consumer,
    first: int,
    tags: Dict[str, str],
) -> Iterator[Point]:
    names, (price, currency) = measurements_of(listed.dimensions), _price(planner, listed)
    for hour in changed_hours(hour_store, consumer, first):
        fields: Dict[str, Number] = {**dict(zip(FIELDS, hour.values)), "settled": int(hour.settled)}
        yield Point(names.hourly, tags, fields, hour.start * 1_000_000)
    if price is None:
        return
    # Costs have a watermark of their own: a price that is added later also emits the costs of earlier hours.
    for hour in changed_hours(hour_store, replace(consumer, name=f"{consumer.name} cost"), first):
        cost = {"cost": float(_cost(price, hour.values))}
        yield Point(names.cost_hourly, {**tags, "currency": currency}, cost, hour.start * 1_000_000)


def _counter_points(
    planner: ModelHourPlanner,
    listed: ListedModel,
    hour_store: HourStore,
    consumer: Consumer,
    had_cycles: bool,
    now_ms: int,
    tags: Dict[str, str],
    answered: bool,
) -> Iterator[Point]:
    names, (price, currency) = measurements_of(listed.dimensions), _price(planner, listed)
    before = stored_counters(hour_store)
    counters = update_counters(hour_store)
    # A model that appeared after the consumer's first cycle counts from its first token on.
    if consumer.kind == COUNTERS:
        emitted = ZEROS if had_cycles and is_new(hour_store, consumer) else counters
        grown = increments(hour_store, consumer, emitted, emitted)
    else:
        emitted = grown = increments(hour_store, consumer, counters, ZEROS if had_cycles else before)
        if not (answered or any(emitted)):
            return
    yield Point(names.consumed, tags, dict(zip(COUNTER_FIELDS, emitted)), now_ms * 1_000_000)
    if price is None:
        return
    cost = _cost(price, grown)
    if consumer.kind == COUNTERS:
        cost = _add_cost(hour_store.transaction, f"{consumer.name} {hour_store.id} {currency}", cost)
    yield Point(names.cost_consumed, {**tags, "currency": currency}, {"cost": float(cost)}, now_ms * 1_000_000)


def _add_cost(transaction: Transaction, entry_name: str, cost: Decimal) -> Decimal:
    """Add to a cost counter and return it; it starts at 0."""
    before = transaction.get(CostCounter, entry_name).cost
    after = Decimal(0) if before is None else before + cost
    transaction.put(entry_name, CostCounter(after))
    return after


def _price(planner: ModelHourPlanner, listed: ListedModel) -> Tuple[Optional[Price], str]:
    prices, api_id = planner.instance.prices, listed.dimensions.api_id
    if prices is None:
        return None, ""
    return prices.of(api_id, planner.instance.model_names.get(api_id, api_id)), prices.currency


def _cost(price: Price, values: Values) -> Decimal:
    return price.cost(values[PROMPT_TOKENS], values[COMPLETION_TOKENS])
