"""What the Datadog monitors ask of the account, worked out over what the plugin really collected."""

from __future__ import annotations

import sys
from typing import Dict, Iterator, Tuple

import pytest

from maas_usage_check.metrics import API
from maas_usage_check.standin.emulator import PROJECT_ID

from . import account as truth
from .account import REGION
from .datadog_monitors import monitor, query
from .datadog_queries import Cycle, Group, cycle
from .programs import ROOT, run

KEY = {"HW_ACCESS_KEY": truth.AK, "HW_SECRET_KEY": truth.SK, "PYTHONPATH": str(ROOT)}
HERE = (REGION, PROJECT_ID)
PARTIAL = 100 * 60
"""Seconds after the whole cycle comes the partial one."""
of = truth.by_service_type


class Store:
    """A whole cycle, then a partial one; and when they ran."""

    cycles: Tuple[Cycle, ...] = ()
    fed = 0.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("datadog")
    command = [sys.executable, "-m", "maas_usage_check", "collect", "--config", str(folder / "conf.yaml")]
    store = Store()
    with truth.account(folder) as books:

        def feed() -> None:
            books.unreadable = ""
            whole = run([*command, "--format", "json"], folder, **KEY)
            books.unreadable = "preset"
            part = run([*command, "--format", "json"], folder, **KEY)
            assert ["no values for" in done.stderr for done in (whole, part)] == [False, True]
            store.cycles = (cycle(0, whole.stdout), cycle(PARTIAL, part.stdout))

        store.fed = truth.within_an_hour(feed)
        yield store


def expected(now: float) -> Dict[Tuple[str, int], Dict[Group, float]]:
    """Say what must be asked, from the ledger."""
    sums = {
        (f"Tokens, last {span}", 0): {HERE: float(sum(of("total_tokens", f"last_{span}", now).values()))}
        for span in ("7d", "14d", "30d")
    }
    ratios = {
        (*HERE, name, kind): of("errors", "last_7d", now, (kind,))[name] / of("requests", "last_7d", now, (kind,))[name]
        for name in truth.NAMES
        for kind in truth.INFER_TYPES
    }
    return {**sums, ("Error ratio by service type, last 7d", 0): ratios}


def test_a_sum_of_tokens_is_counted_once_and_holds_through_a_partial_failure(store: Store) -> None:
    used = expected(store.fed)["Tokens, last 7d", 0]
    assert monitor(query("token_forecast"), list(store.cycles[:1])) == used
    assert monitor(query("token_forecast"), list(store.cycles)) == used
    week, month = (query(name).split(" > ")[0] for name in ("token_forecast", "token_budget"))
    assert week.replace("last_7d", "this_month") == month


def test_silence_is_no_zero(store: Store) -> None:
    (whole, _), nothing = store.cycles, [point for point in store.cycles[0].points if point["measurement"] == API]
    silent = [whole, Cycle(3 * 3600, nothing)]
    assert set(monitor(query("token_forecast"), silent).values()) <= {None}
