"""How much an answer may hold: what has more than was asked is refused before it is decoded piece by piece."""

from __future__ import annotations

from typing import Sequence

from ..json_body import bad_answer

VALUES_OF_METRIC, VALUES_OF_POINT = 64, 16
"""Values that a metric or a data point has at most: as documented they have fewer than ten and three."""
LONGEST_NAME = 128
"""Letters of a metric's name, and of a dimension's name or value."""


def check_value_count(body: bytes, metrics: int, points: int = 0) -> None:
    """Raise QueryError where a body has far more values than so many metrics and data points: a comma ends each."""
    if body.count(b",") > metrics * VALUES_OF_METRIC + points * VALUES_OF_POINT:
        raise bad_answer(f"it has far more values than {metrics:,} metrics have")


def check_metric_count(given: int, asked: int) -> None:
    """Raise QueryError where an answer has more metrics than were asked for."""
    if given > asked:
        raise bad_answer(f"it has {given:,} metrics, and {asked:,} were asked for")


def check_name_lengths(names: Sequence[str]) -> None:
    """Raise QueryError where a name is too long to be one."""
    longest = max(map(len, names), default=0)
    if longest > LONGEST_NAME:
        raise bad_answer(f"a name in it has {longest:,} letters, and {LONGEST_NAME} at most are believed")
