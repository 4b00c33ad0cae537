"""What a cycle gives out of the hours of models: changed hours to one kind of consumer, counts to the others, costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Callable, Dict, Iterator, List, Optional, Tuple

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

PROMPT, COMPLETION = FIELDS.index("prompt_tokens"), FIELDS.index("completion_tokens")


class Priced(Struct, omit_defaults=True):
    """Remember what a counter cost so far; None where it had no price yet."""

    cost: Optional[Decimal] = None


def resolve_project_id(store: Store, consumer: Consumer, account: Account, now_ms: int) -> str:
    """Tell which project it is; what is not known of it now is as it was when this consumer last came."""
    if account.project_id:
        return account.project_id
    with write_transaction(store, now_ms, answered=False) as transaction:
        return transaction.get(Account, consumer.name).project_id


def emit_models(
    hours: ModelHourPlanner,
    models: ModelList,
    consumer: Consumer,
    now_ms: int,
    tags: Dict[str, str],
    answered: bool,
    commit: Callable[[], bool],
) -> List[Point]:
    """Make the points of a cycle, and take note in the same transaction of what was given out.

    Args:
        hours: of the models.
        models: that are listed, or were.
        consumer: who takes them.
        now_ms: milliseconds since 1970.
        tags: of every point.
        answered: whether Cloud Eye did, about use. If not, no history begins and zero increments are not emitted.
        commit: called just before the transaction commits; False rolls it back.
    """
    points: List[Point] = []
    with write_transaction(hours.store, now_ms, answered) as transaction:
        if answered:
            hours.begin(transaction)
        # Whoever took any model of the project before was there when a model came that is new to it.
        whole, first = HourStore(transaction, hours.project_scope), hours.first(transaction)
        known = not is_new(whole, consumer)
        save_watermark(whole, consumer, ZEROS)
        with_hours = [each for each in models.models if has_hours(each.metrics)]
        for listed, hour_store in hours.hour_stores(transaction, with_hours):
            own = {**model_tags(hours.instance, listed.dimensions), **tags}
            if consumer.kind == HOURS:
                points += _hours(hours, listed, hour_store, consumer, first, own)
            else:
                points += _counts(hours, listed, hour_store, consumer, known, now_ms, own, answered)
        if not commit():
            raise RolledBackError
    return points


def _hours(
    hours: ModelHourPlanner,
    listed: ListedModel,
    hour_store: HourStore,
    consumer: Consumer,
    first: int,
    tags: Dict[str, str],
) -> Iterator[Point]:
    names, (price, currency) = measurements_of(listed.dimensions), _price(hours, listed)
    for hour in changed_hours(hour_store, consumer, first):
        fields: Dict[str, Number] = {**dict(zip(FIELDS, hour.values)), "settled": int(hour.settled)}
        yield Point(names.hourly, tags, fields, hour.start * 1_000_000)
    if price is None:
        return
    # Costs have a consumer of their own, so that a price that is added later brings those of the past.
    for hour in changed_hours(hour_store, replace(consumer, name=f"{consumer.name} cost"), first):
        cost = {"cost": float(_cost(price, hour.values))}
        yield Point(names.cost_hourly, {**tags, "currency": currency}, cost, hour.start * 1_000_000)


def _counts(
    hours: ModelHourPlanner,
    listed: ListedModel,
    hour_store: HourStore,
    consumer: Consumer,
    known: bool,
    now_ms: int,
    tags: Dict[str, str],
    answered: bool,
) -> Iterator[Point]:
    names, (price, currency) = measurements_of(listed.dimensions), _price(hours, listed)
    before = stored_counters(hour_store)
    counts = update_counters(hour_store)
    # A model that came while this consumer was there is counted from its first token on.
    if consumer.kind == COUNTERS:
        emitted = ZEROS if known and is_new(hour_store, consumer) else counts
        grown = increments(hour_store, consumer, emitted, emitted)
    else:
        emitted = grown = increments(hour_store, consumer, counts, ZEROS if known else before)
        if not (answered or any(emitted)):
            return
    yield Point(names.consumed, tags, dict(zip(COUNTER_FIELDS, emitted)), now_ms * 1_000_000)
    if price is None:
        return
    cost = _cost(price, grown)
    if consumer.kind == COUNTERS:
        cost = _so_far(hour_store.transaction, f"{consumer.name} {hour_store.id} {currency}", cost)
    yield Point(names.cost_consumed, {**tags, "currency": currency}, {"cost": float(cost)}, now_ms * 1_000_000)


def _so_far(transaction: Transaction, at: str, cost: Decimal) -> Decimal:
    """Add to the cost so far; a counter begins at 0."""
    before = transaction.get(Priced, at).cost
    after = Decimal(0) if before is None else before + cost
    transaction.put(at, Priced(after))
    return after


def _price(hours: ModelHourPlanner, listed: ListedModel) -> Tuple[Optional[Price], str]:
    prices, api_id = hours.instance.prices, listed.dimensions.api_id
    if prices is None:
        return None, ""
    return prices.of(api_id, hours.instance.model_names.get(api_id, api_id)), prices.currency


def _cost(price: Price, values: Values) -> Decimal:
    return price.cost(values[PROMPT], values[COMPLETION])
