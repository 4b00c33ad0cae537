"""What to ask next of one series: one question does the backfill, the healing and the freshness.

Ask the total of a window. Where it equals the sum of what the ledger holds, all of its hours are right; where nothing
was used and no use is known, all of them are known. Else split the window at an hour and ask the newer part, from which
the older follows. One wrong answer changes no settled hour that is known, and wipes none: a request of the hour's own
must agree.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from .hour_store import Ledger
from .hour_values import FIELDS, HOUR, MOST_CLAIMS, Values, floor, minus, settled_until
from .schema import COLUMNS

_MARKS = ", ".join("?" * (len(FIELDS) + 4))


class Question(NamedTuple):
    """Hold a window whose part from `newer` on is to be asked; without a total that is all of it.

    `claims` are what this cycle's answers say of a settled hour that the ledger knows otherwise.
    """

    start: int
    until: int
    newer: int
    total: Optional[Values]
    claims: Tuple[Values, ...] = ()


def prepare(ledger: Ledger, first: int, now: int) -> List[Question]:
    """Open the questions of a cycle: of the last hours always, of the settled past once an hour."""
    edge, end = max(first, settled_until(now)), floor(now)
    _forget(ledger, edge, end)
    (checked,) = ledger.book.run("SELECT checked FROM series WHERE id = ?", (ledger.id,)).fetchone()
    opened = _each(edge, end) if any(ledger.held(edge, end).values) else _whole(edge, end)
    if checked < edge:
        _forget_untold(ledger)
        opened += _uncovered(ledger, first, edge)
        ledger.book.run("UPDATE series SET checked = ? WHERE id = ?", (edge, ledger.id))
    for question in opened:
        _open(ledger, question)
    return opened


def learn(ledger: Ledger, question: Question, values: Values) -> List[Question]:
    """Write down what was used in the part that was asked; return the questions that follow."""
    start, until, newer, total, claims = question
    ledger.book.run("DELETE FROM questions WHERE series = ? AND start = ? AND until = ?", (ledger.id, start, until))
    follow = _compare(ledger, newer, until, values, claims)
    if total is not None:
        rest = minus(total, values)
        # Less than nothing: something changed between the two answers.
        follow += _whole(start, newer) if min(rest) < 0 else _compare(ledger, start, newer, rest)
    for each in follow:
        _open(ledger, each)
    return follow


def open_questions(ledger: Ledger) -> List[Question]:
    """List what is still to be asked, the oldest window first."""
    rows = ledger.book.run(
        f"SELECT start, until, newer, {COLUMNS} FROM questions WHERE series = ? ORDER BY start", (ledger.id,)
    )
    return [
        Question(start, until, newer, None if None in total else tuple(total)) for start, until, newer, *total in rows
    ]


def is_complete(ledger: Ledger, question: Question) -> bool:
    """Tell whether all hours of the window are known, and some of them wrong."""
    start, until = question[:2]
    return ledger.held(start, until).hours == (until - start) // HOUR


def _compare(ledger: Ledger, start: int, until: int, values: Values, claims: Tuple[Values, ...] = ()) -> List[Question]:
    count, held, is_final = (until - start) // HOUR, ledger.held(start, until), until <= settled_until(ledger.book.now)
    if held == (count, values):
        ledger.confirm(start, until)
    elif count == 1 and held.hours and (is_final or not any(values)) and values not in claims:
        if len(claims) + 1 < MOST_CLAIMS:
            return [Question(start, until, start, None, (*claims, values))]
    elif count == 1 or not any((*values, *held.values)):
        ledger.put(start, until, values)
    elif is_final:
        return [Question(start, until, _split(ledger, start, until), values)]
    else:  # only settled windows may be subtracted
        return _each(start, until)
    return []


def _split(ledger: Ledger, start: int, until: int) -> int:
    """Split at the newest edge between what is known and what is not; else in the middle."""
    known = set(ledger.starts(start, until))
    if 0 < len(known) < (until - start) // HOUR:
        at = until - HOUR
        while (at in known) == (at - HOUR in known):
            at -= HOUR
        return at
    return floor((start + until + HOUR) // 2)


def _whole(start: int, until: int) -> List[Question]:
    return [Question(start, until, start, None)] if start < until else []


def _each(start: int, until: int) -> List[Question]:
    return [Question(at, at + HOUR, at, None) for at in range(start, until, HOUR)]


def _uncovered(ledger: Ledger, first: int, edge: int) -> List[Question]:
    """Ask about what no open question covers."""
    asked: List[Question] = []
    for start, until, *_ in open_questions(ledger):
        asked += _whole(first, start)
        first = max(first, until)
    return asked + _whole(first, edge)


def _open(ledger: Ledger, question: Question) -> None:
    start, until, newer, total = question[:4]
    ledger.book.run(
        f"INSERT OR REPLACE INTO questions VALUES ({_MARKS})",
        (ledger.id, start, until, newer, *(total or (None,) * len(FIELDS))),
    )


def _forget(ledger: Ledger, start: int, until: int) -> None:
    ledger.book.run("DELETE FROM questions WHERE series = ? AND start >= ? AND until <= ?", (ledger.id, start, until))


def _forget_untold(ledger: Ledger) -> None:
    ledger.book.run("DELETE FROM questions WHERE series = ? AND total_tokens IS NULL", (ledger.id,))
