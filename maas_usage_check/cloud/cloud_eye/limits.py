"""Limits on the size of an answer: one with more than was queried is rejected before its metrics are decoded."""

from __future__ import annotations

from typing import Sequence

from ..json_body import bad_answer

VALUES_PER_METRIC, VALUES_PER_POINT = 64, 16
"""Values per metric and per data point at most; as documented there are fewer than ten and three."""
MAX_NAME_LENGTH = 128
"""Characters of a metric's name, and of a dimension's name or value."""


def check_value_count(body: bytes, metrics: int, points: int = 0) -> None:
    """Raise QueryError if a body has far more values than this many metrics and data points; it counts the commas."""
    if body.count(b",") > metrics * VALUES_PER_METRIC + points * VALUES_PER_POINT:
        raise bad_answer(f"it has far more values than {metrics:,} metrics have")


def check_metric_count(received: int, queried: int) -> None:
    """Raise QueryError if an answer has more metrics than were queried."""
    if received > queried:
        raise bad_answer(f"it has {received:,} metrics, but {queried:,} were queried")


def check_name_lengths(names: Sequence[str]) -> None:
    """Raise QueryError if a name is too long."""
    longest = max(map(len, names), default=0)
    if longest > MAX_NAME_LENGTH:
        raise bad_answer(f"a name in it has {longest:,} characters, but at most {MAX_NAME_LENGTH} are accepted")
