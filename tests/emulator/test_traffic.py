"""The account's actual usage: both views of it agree, it grows where asked, and has years behind it."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.emulator.traffic import API_KEYS, DAY, HOUR, NO_USAGE, Traffic, Usage, sum_usage

from ..conftest import NOW

NOW_MS = int(NOW * 1000)
BEGAN = NOW_MS - 365 * DAY
TRAFFIC = Traffic(begins=BEGAN, monthly_growth=0.05)


def statistics(usage: SimulatedUsage, start: int, *labels: str) -> Usage:
    """Add up what ShowStatistics reports of the calls that Cloud Eye counts."""
    return sum_usage(usage.hour(service, "real_time", labels, start, start + DAY) for service in (1, 2))


@given(
    st.integers(0, 366 * 24).map(lambda hours: NOW_MS - hours * HOUR),
    st.integers(1, 4),
    st.integers(0, 7),
    st.sampled_from([Traffic(), TRAFFIC, Traffic(load=20)]),
)
def test_views_agree(start: int, count: int, keys: int, traffic: Traffic) -> None:
    """In every hour of a year, Cloud Eye's models are the statistics to the token, and its keys are their labels."""
    usage, models = SimulatedUsage(traffic, late=True), SimulatedModels(count, keys, traffic, late=True)

    def cloud_eye(key_id: Optional[str]) -> Usage:
        return sum_usage(models.hour(model, key_id, start, start + DAY) for model in models.ids())

    assert cloud_eye(None) == statistics(usage, start, *API_KEYS)
    for label in set(models.key_labels.values()):
        found = [cloud_eye(key_id) for key_id, of in models.key_labels.items() if of == label]
        assert sum_usage(found) == statistics(usage, start, label)
        assert all(used.requests for used in found) or traffic.load == 1


@pytest.mark.parametrize(("months", "growth"), [(0, 1), (6, 1.05**6), (11, 1.05**11)])
def test_growth(months: int, growth: float) -> None:
    """Each month has 5 % more calls than the one before."""
    start = BEGAN + months * 365 * DAY // 12

    def requests(traffic: Traffic) -> int:
        hours = SimulatedUsage(traffic).hours(2, "real_time", list(API_KEYS), start, start + 28 * DAY)
        return sum_usage(hours).requests

    assert requests(TRAFFIC) == pytest.approx(requests(Traffic()) * growth * 1.05**0.5, rel=0.03)


def test_begin() -> None:
    """Before its first hour the account has no usage in either view."""
    models = SimulatedModels(traffic=TRAFFIC)
    for start, is_used in ((BEGAN - HOUR, False), (BEGAN, True)):
        assert (statistics(SimulatedUsage(TRAFFIC), start, *API_KEYS) != NO_USAGE) is is_used
        assert any(models.minute(models.ids()[0], None, start + at) for at in range(0, HOUR, 60_000)) is is_used
