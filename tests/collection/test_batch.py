"""The problems of a batch: one for each cause."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from maas_usage_check.collection.batch import group_by_cause
from maas_usage_check.errors import QueryError, Result

REFUSED = QueryError(Result.KEY_REFUSED, "refused")
WAITING = QueryError(Result.KEY_REFUSED, "waiting", is_consequence=True)
LATE = QueryError(Result.TIMED_OUT, "late")
NOT_SENT = QueryError(Result.TIMED_OUT, "not sent", is_consequence=True)
NETWORK = QueryError(Result.NETWORK, "network")


@pytest.mark.parametrize(
    ("failures", "groups"),
    [
        ([WAITING, REFUSED], [(REFUSED, ["0", "1"])]),
        ([REFUSED, WAITING], [(REFUSED, ["0", "1"])]),
        ([WAITING, WAITING], [(WAITING, ["0", "1"])]),
        ([NOT_SENT, LATE, NOT_SENT], [(LATE, ["1"]), (NOT_SENT, ["0", "2"])]),
        ([NOT_SENT, LATE, NETWORK], [(NETWORK, ["2"]), (LATE, ["1"]), (NOT_SENT, ["0"])]),
    ],
)
def test_group_by_cause(failures: List[QueryError], groups: List[Tuple[QueryError, List[str]]]) -> None:
    """The decisive cause comes first, and each is named by the failure that the others follow from."""
    found = group_by_cause([(error, str(i)) for i, error in enumerate(failures)])
    assert [(error, list(names)) for error, names in found] == groups
