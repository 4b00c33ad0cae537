"""Each limit of the configuration: one below, at, one above."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any, Dict

import pytest

from maas_usage_check.config import load
from maas_usage_check.config.ranges import DAY, HOUR, Fixed, Window, check_order, clip
from maas_usage_check.errors import ConfigError

from ..conftest import NOW

AT = int(NOW * 1000)


@pytest.mark.parametrize(("days", "extra_ms", "windows"), [(29, 0, 1), (29, 1, 2), (30, 0, 2)])
def test_longest_window(days: int, extra_ms: int, windows: int) -> None:
    """Up to 29 days are one window. A longer range is two, and the first ends at a full hour."""
    split = clip(Window(AT - days * DAY - extra_ms, AT), AT).windows
    assert len(split) == windows
    assert [window.end % HOUR for window in split] == [0] * windows


@pytest.mark.parametrize(("start", "coverage"), [(1, 1.0), (0, 1.0), (-1, 1.0), (-DAY, 0.5)])
def test_retention(start: int, coverage: float) -> None:
    """A range that begins before the last 30 days is clipped, and its coverage is below 1."""
    oldest = AT - 30 * DAY
    clipped = clip(Window(oldest + start, oldest + DAY), AT)
    assert clipped.windows == (Window(max(oldest, oldest + start), oldest + DAY),)
    assert clipped.coverage == pytest.approx(coverage, abs=1e-6)


@pytest.mark.parametrize(("later_ms", "valid"), [(-1, True), (0, True), (1, False)])
def test_fixed_range_begins(later_ms: int, valid: bool) -> None:
    """A range may begin now, but not later."""
    since = dt.datetime.fromtimestamp(NOW, dt.timezone.utc) + dt.timedelta(milliseconds=later_ms)
    with contextlib.nullcontext() if valid else pytest.raises(ValueError, match="the range has not begun"):
        check_order(Fixed("x", since), AT, lambda: dt.timezone.utc)


@pytest.mark.parametrize(("now", "end"), [(4, 4), (5, 5), (6, 5), (0, 1)])
def test_fixed_range_ends(now: int, end: int) -> None:
    """An end in the future is cut at now, but never before the start if the clock was set back."""
    since, until = (dt.datetime.fromtimestamp(day * 86_400, dt.timezone.utc) for day in (1, 5))
    assert Fixed("x", since, until).window(now * DAY, lambda: dt.timezone.utc) == Window(DAY, end * DAY)


@pytest.mark.parametrize(("length", "valid"), [(199, True), (200, True), (201, False)])
@pytest.mark.parametrize("key", ["tag", "range", "api_key_label", "model", "api_key", "team", "cost_center", "label"])
def test_longest_tag(key: str, length: int, valid: bool) -> None:
    """A tag has at most 200 characters with its key."""
    value = "a" * (length - len(f"{key}:") - len("api_key_") * (key == "label"))
    keys: Dict[str, Any] = {
        "tag": {"tags": [f" tag : {value} "]},
        "range": {"ranges": [{"name": f" {value} ", "from": "2026-11-01"}]},
        "api_key_label": {"api_keys": [value], "per_api_key": True},
        "model": {"models": True, "model_names": {"id": f" {value} "}},
        "api_key": {"models": True, "key_names": {"id": f" {value} "}},
        "team": {"hourly": True, "teams": {value: {"api_keys": ["a"]}}},
        "cost_center": {"hourly": True, "teams": {"a": {"api_keys": ["a"], "cost_center": value}}},
        "label": {"hourly": True, "teams": {"a": {"api_keys": [value]}}},
    }[key]
    with contextlib.nullcontext() if valid else pytest.raises(ConfigError, match="at most 200 characters"):
        load({"instances": [keys]}, NOW)


@pytest.mark.parametrize(("amount", "valid"), [(0, False), (0.001, True), (10**15, True), (10**15 + 1, False)])
def test_amounts(amount: float, valid: bool) -> None:
    """Budgets and limits are greater than 0, and at most 10**15; tokens of a budget are a whole number."""
    prices = {"currency": "CNY", "models": {"a": {"prompt": 2.0, "completion": 8.0}}}
    keys = {"models": True, "hourly": True, "prices": prices}
    for own in ({"budget": {"cost": amount}}, {"limits": {"a": {"rpm": amount}}}, {"limits": {"a": {"tpm": amount}}}):
        with contextlib.nullcontext() if valid else pytest.raises(ConfigError, match="greater than 0 and at most"):
            load({"instances": [{**keys, **own}]}, NOW)
    is_whole = valid and isinstance(amount, int)
    with contextlib.nullcontext() if is_whole else pytest.raises(ConfigError, match=r"budget\.tokens: must be"):
        load({"instances": [{**keys, "budget": {"tokens": amount}}]}, NOW)
