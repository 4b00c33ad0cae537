"""What a cycle gives out of the hours of models: changed hours to one kind of consumer, counts to the others, costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from msgspec import Struct
from msgspec.structs import replace

from ...config.prices import Price
from ...metrics import Number, Point
from ...state import Store
from ..counters import counted, known_counts
from ..emit import COUNTS, TooLateError
from ..hour_planner import Account
from ..hour_store import Ledger
from ..hour_values import FIELDS, ZEROS, Values
from ..schema import Book, open_book
from ..watermarks import COUNTERS, HOURS, Consumer, changed_hours, increments, is_new, note
from .model_list import Listed, ModelList, has_hours
from .model_series import names_of, tags_of
from .sweep import ModelHours

PROMPT, COMPLETION = FIELDS.index("prompt_tokens"), FIELDS.index("completion_tokens")


class Priced(Struct, omit_defaults=True):
    """Remember what a counter cost so far; None where it had no price yet."""

    cost: Optional[Decimal] = None


def whose(store: Store, consumer: Consumer, account: Account, now: int) -> str:
    """Tell which project it is; what is not known of it now is as it was when this consumer last came."""
    if account.project_id:
        return account.project_id
    with open_book(store, now, answered=False) as book:
        return book.note(Account, consumer.name).project_id


def give_models(
    hours: ModelHours,
    models: ModelList,
    consumer: Consumer,
    now: int,
    tags: Dict[str, str],
    answered: bool,
    keep: Callable[[], bool],
) -> List[Point]:
    """Make the points of a cycle, and take note in the same transaction of what was given out.

    Args:
        hours: of the models.
        models: that are listed, or were.
        consumer: who takes them.
        now: milliseconds since 1970.
        tags: of every point.
        answered: whether Cloud Eye did, about use. If not, no history begins and zero increments are not emitted.
        keep: asked last; when it says no, nobody waits any more, and it is as if nothing had been given out.
    """
    points: List[Point] = []
    with open_book(hours.store, now, answered) as book:
        if answered:
            hours.begin(book)
        # Whoever took any model of the project before was there when a model came that is new to it.
        whole, first = Ledger(book, hours.place), hours.first(book)
        known = not is_new(whole, consumer)
        note(whole, consumer, ZEROS)
        for listed, ledger in hours.ledgers(book, [each for each in models.models if has_hours(each.metrics)]):
            own = {**tags_of(hours.instance, listed.dimensions), **tags}
            if consumer.takes == HOURS:
                points += _hours(hours, listed, ledger, consumer, first, own)
            else:
                points += _counts(hours, listed, ledger, consumer, known, now, own, answered)
        if not keep():
            raise TooLateError
    return points


def _hours(
    hours: ModelHours, listed: Listed, ledger: Ledger, consumer: Consumer, first: int, tags: Dict[str, str]
) -> Iterator[Point]:
    names, (price, currency) = names_of(listed.dimensions), _price(hours, listed)
    for hour in changed_hours(ledger, consumer, first):
        fields: Dict[str, Number] = {**dict(zip(FIELDS, hour.values)), "settled": int(hour.settled)}
        yield Point(names.hourly, tags, fields, hour.start * 1_000_000)
    if price is None:
        return
    # Costs have a consumer of their own, so that a price that is added later brings those of the past.
    for hour in changed_hours(ledger, replace(consumer, name=f"{consumer.name} cost"), first):
        cost = {"cost": float(_cost(price, hour.values))}
        yield Point(names.cost_hourly, {**tags, "currency": currency}, cost, hour.start * 1_000_000)


def _counts(
    hours: ModelHours,
    listed: Listed,
    ledger: Ledger,
    consumer: Consumer,
    known: bool,
    now: int,
    tags: Dict[str, str],
    answered: bool,
) -> Iterator[Point]:
    names, (price, currency) = names_of(listed.dimensions), _price(hours, listed)
    before = known_counts(ledger)
    counts = counted(ledger)
    # A model that came while this consumer was there is counted from its first token on.
    if consumer.takes == COUNTERS:
        given = ZEROS if known and is_new(ledger, consumer) else counts
        grown = increments(ledger, consumer, given, given)
    else:
        given = grown = increments(ledger, consumer, counts, ZEROS if known else before)
        if not (answered or any(given)):
            return
    yield Point(names.consumed, tags, dict(zip(COUNTS, given)), now * 1_000_000)
    if price is None:
        return
    cost = _cost(price, grown)
    if consumer.takes == COUNTERS:
        cost = _so_far(ledger.book, f"{consumer.name} {ledger.id} {currency}", cost)
    yield Point(names.cost_consumed, {**tags, "currency": currency}, {"cost": float(cost)}, now * 1_000_000)


def _so_far(book: Book, at: str, cost: Decimal) -> Decimal:
    """Add to the cost so far; a counter begins at 0."""
    before = book.note(Priced, at).cost
    after = Decimal(0) if before is None else before + cost
    book.keep(at, Priced(after))
    return after


def _price(hours: ModelHours, listed: Listed) -> Tuple[Optional[Price], str]:
    prices, api_id = hours.instance.prices, listed.dimensions.api_id
    if prices is None:
        return None, ""
    return prices.of(api_id, hours.instance.model_names.get(api_id, api_id)), prices.currency


def _cost(price: Price, values: Values) -> Decimal:
    return price.cost(values[PROMPT], values[COMPLETION])
