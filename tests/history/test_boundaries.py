"""Each limit of the history: one below it, at it, one above."""

from __future__ import annotations

import pytest

from maas_usage_check.history.models import ModelList

from .books import HOUR, START


@pytest.mark.parametrize(
    ("age", "due", "stands_in"),
    [
        (-1, True, False),
        (0, False, True),
        (HOUR - 1, False, True),
        (HOUR, True, True),
        (3 * HOUR - 1, True, True),
        (3 * HOUR, True, False),
    ],
)
def test_age_of_the_list(age: int, due: bool, stands_in: bool) -> None:
    """A list serves for an hour, for three where it cannot be read, and not at all from the future."""
    models = ModelList(read=START)
    assert (models.is_due(START + age), models.stands_in(START + age)) == (due, stands_in)
