"""A look at the ledger for people, which changes nothing: what it answers of the windows that they ask about."""

from __future__ import annotations

from functools import reduce
from typing import Dict, NamedTuple, Sequence

from ..cloud.statistics import Answer, Totals
from ..cloud.usage import Usage
from ..config import Instance
from ..config.ranges import Window
from ..state import Store
from .daily_check import AddUp
from .hour_planner import Account
from .hour_series import series_of
from .hour_store import Ledger
from .hour_values import FIELDS, HOUR, plus
from .schema import look_into_book


class Held(NamedTuple):
    """Hold what the ledger answers, of whose account, and when (milliseconds) the cloud was last asked about it.

    `why` says why it answers nothing, where there is a reason besides missing hours.
    """

    answers: Dict[Totals, Answer]
    project_id: str = ""
    as_of: int = 0
    why: str = ""


def look(instance: Instance, store: Store, account: Account, windows: Sequence[Window], now: int) -> Held:
    """Answer the windows of which all hours are held and final, for each series of an instance.

    Raise UnusableError where the history cannot be read. Batch counts are not in the ledger.
    """
    whole = [each for each in windows if each.start % HOUR == 0 == each.end % HOUR and each.start < each.end]
    answers: Dict[Totals, Answer] = {}
    as_of = now
    with look_into_book(store, now) as book:
        failed = book.note(AddUp, account.key).failed
        if not whole or failed:
            return Held({}, why=failed)
        for series in series_of(instance):
            ledger = Ledger.find(book, series.name(instance.endpoint, account.project_id))
            if ledger is None:
                continue
            held = ledger.hours(whole[0].start, whole[-1].end)
            final = {hour.start: hour.values for hour in held if hour.settled}
            known = [window for window in whole if all(at in final for at in range(window.start, window.end, HOUR))]
            for window in known:
                values = reduce(plus, (final[at] for at in range(window.start, window.end, HOUR)))
                answers[series.exactly(window)] = Answer(Usage(**dict(zip(FIELDS, values))), "")
            if known:
                as_of = min(as_of, ledger.asked)
    return Held(answers, account.project_id, as_of)
