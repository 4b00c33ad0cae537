"""A third source, added as CONTRIBUTING says: to the list, the catalogue and the emulator. No other code names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import pytest
from werkzeug import Request, Response

from maas_usage_check.cloud.json_body import read_object
from maas_usage_check.cloud.source import Call, HourSeries, Measurements, Plan, Send, series_name
from maas_usage_check.cloud.usage import Usage
from maas_usage_check.collection import SOURCES, SourceEntry, run_cycle
from maas_usage_check.config import Instance
from maas_usage_check.ledger.bisect_planner import BisectPlanner
from maas_usage_check.metrics import CATALOGUE, HOURLY, USAGE, Field, find_encoder

from ..conftest import Cloud, FixedClock
from .account import DAY, HOUR, Account, Make, points

TOY, TOY_HOURLY = "huawei_maas_toy", "huawei_maas_toy_hourly"
TOKENS = 7
"""In every hour."""


class ToyQuery(NamedTuple):
    start: int
    until: int


class ToyAnswer(NamedTuple):
    usage: Usage


class ToyPoint(NamedTuple):
    """The tokens of the last day; see RangePoint."""

    queries: Tuple[ToyQuery, ...]
    tags: Dict[str, str]
    measurement: str = TOY
    name: str = "toys"

    def fields(self, answers: Sequence[ToyAnswer]) -> Dict[str, Any]:
        return {"toys": answers[0].usage.total_tokens}

    def warning(self, fields: Dict[str, Any]) -> str:
        return ""


class Toys:
    """An API that counts toys in windows; see Source, and TotalsSource."""

    name = "toys"
    endpoint_key = "endpoint"

    def plan(self, instance: Instance, now_ms: int) -> Plan:
        point = ToyPoint((ToyQuery(now_ms - DAY, now_ms),), {"range": "last_24h"})
        return Plan((point,), point.queries)

    def ask(self, query: ToyQuery, send: Send) -> ToyAnswer:
        call = Call("toys:get", "GET", "/v1/{project_id}/toys", query=[(k, str(v)) for k, v in query._asdict().items()])
        return ToyAnswer(Usage(int(read_object(send(call))["toys"]), 0, 0, 0, 0))

    def hour_series(self, instance: Instance, project_id: str) -> List[HourSeries]:
        name = series_name("toys", instance.endpoint, project_id)
        return [HourSeries(name, None, Measurements(TOY_HOURLY, ""), {"colour": "red"}, HOUR)]

    def hours_query(self, series: HourSeries, start_ms: int, until_ms: int) -> ToyQuery:
        return ToyQuery(start_ms, until_ms)


@pytest.fixture
def account(cloud: Cloud, clock: FixedClock, make_collector: Make, tmp_path: Path) -> Account:
    return Account(cloud, clock, make_collector, tmp_path)


def count_toys(request: Request) -> Optional[Response]:
    """Answer as the API of toys; the emulator answers the others."""
    if not request.path.endswith("/toys"):
        return None
    start, until = (int(request.args[name]) for name in ("start", "until"))
    return Response(json.dumps({"toys": (until - start) // HOUR * TOKENS}), 200)


TOY_ENTRY = SourceEntry(
    lambda instance: Toys(), lambda source, instance, store, _, now: BisectPlanner(source, instance, store, now)
)


@pytest.mark.parametrize("sources", [[TOY_ENTRY, *SOURCES], [*SOURCES, TOY_ENTRY]], ids=["first", "last"])
def test_third_source(account: Account, monkeypatch: pytest.MonkeyPatch, sources: List[SourceEntry]) -> None:
    """Its range and its hours come out in its own measurements, wherever it stands in the list."""
    for measurement, name in ((TOY, "toys"), (TOY_HOURLY, "total_tokens")):
        monkeypatch.setitem(CATALOGUE, measurement, (Field(name, int, "", "Toys."),))  # type: ignore[arg-type]
    account.cloud.responder = count_toys
    collector = account.collector()
    collector.sources = sources
    batch = run_cycle([collector])[0]
    assert [point.fields for point in points(batch, TOY)] == [{"toys": 24 * TOKENS}]
    toys, tokens = points(batch, TOY_HOURLY), points(batch, HOURLY)
    assert {point.tags["colour"] for point in toys} == {"red"}
    assert {point.fields["total_tokens"] for point in toys} == {TOKENS}
    assert len(toys) >= len(tokens) > 20
    assert all(point.fields["total_tokens"] == account.truth(point.time // 1_000_000) for point in tokens)
    assert points(batch, USAGE)
    assert f" toys={24 * TOKENS}i " in find_encoder("influx")(batch.points)
