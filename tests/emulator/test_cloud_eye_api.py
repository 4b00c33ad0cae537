"""The emulator's Cloud Eye is strict: it enforces each known rule of the real one."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud import Credentials
from maas_usage_check.cloud.client import sign_request
from maas_usage_check.emulator.callers import MINUTE, Minute
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator, Reply
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.traffic import DAY, HOUR, Traffic

from ..conftest import AK, NOW, SK

NOW_MS = int(NOW * 1000)
LIST = f"/V1.0/{PROJECT_ID}/metrics"
DATA = f"/V1.0/{PROJECT_ID}/batch-query-metric-data"
UNITS = {
    "rpm": "Count", "tpm": "Count", "prompt_tokens": "Count", "completion_tokens": "Count", "total_tokens": "Count",
    "ttft": "ms", "tpot": "ms", "latency_avg": "ms", "req_count_4xx": "Count", "req_count_5xx": "Count",
    "req_error_rate": "%",
}  # fmt: skip
UNDOCUMENTED = {"req_count", "ttft_p99"}
RAW: Dict[str, Callable[[Minute], Optional[float]]] = {
    "rpm": lambda minute: minute.usage.requests,
    "tpm": lambda minute: minute.usage.total_tokens / 1000,
    "prompt_tokens": lambda minute: minute.usage.prompt_tokens,
    "completion_tokens": lambda minute: minute.usage.completion_tokens,
    "total_tokens": lambda minute: minute.usage.total_tokens,
    "ttft": lambda minute: minute.ttft_ms,
    "tpot": lambda minute: minute.tpot_ms,
    "latency_avg": lambda minute: minute.latency_ms,
    "req_count_4xx": lambda minute: minute.usage.errors - minute.usage.errors_5xx,
    "req_count_5xx": lambda minute: minute.usage.errors_5xx,
    "req_error_rate": lambda minute: minute.usage.errors / minute.usage.requests * 100,
}
PLAIN = SimulatedModels()
FIRST, SECOND, THIRD = PLAIN.ids()
KEY = PLAIN.key_ids(FIRST)[0]
EVERY_SERIES = [(model, key) for model in PLAIN.ids() for key in (None, *PLAIN.key_ids(model))]
BUSIEST = NOW_MS - 10 * HOUR
"""10:00 UTC+8 on a Monday."""
Points = List[Tuple[int, float]]


def emulator(models: Optional[SimulatedModels] = None, now: float = NOW) -> Emulator:
    return Emulator({AK: SK}, now=lambda: now, models=models, requests_per_minute=10**9)


def send_list(account: Emulator, path: str = LIST, **query: str) -> Reply:
    request = sign_request("GET", f"https://ces.example{path}", Credentials(AK, SK), account.now(), list(query.items()))
    return account.answer("GET", request.url[len("https://ces.example") :], request.headers, b"")


def list_all(account: Emulator, limit: int = 1000) -> List[Dict[str, Any]]:
    """List all metrics, page by page, as the exporter does."""
    found: List[Dict[str, Any]] = []
    query = {"namespace": "SYS.MaaS", "limit": str(limit)}
    while True:
        page = json.loads(send_list(account, **query).body)
        assert page["meta_data"]["count"] == len(page["metrics"]) <= limit
        if not page["metrics"]:
            assert page["meta_data"]["marker"] == ""
            return found
        found += page["metrics"]
        query["start"] = page["meta_data"]["marker"]


def series_of(metric: Dict[str, Any]) -> Dict[str, str]:
    return {dimension["name"]: dimension["value"] for dimension in metric["dimensions"]}


def metric(name: str = "rpm", model: str = FIRST, key: Optional[str] = None) -> Dict[str, Any]:
    dimensions = [{"name": "maas_api_id", "value": model}]
    if key is not None:
        dimensions.append({"name": "maas_key_id", "value": key})
    return {"namespace": "SYS.MaaS", "metric_name": name, "dimensions": dimensions}


def data_query(*metrics: Dict[str, Any], **other: Any) -> Dict[str, Any]:
    usual = {"from": BUSIEST, "to": BUSIEST + 10 * MINUTE, "period": "1", "filter": "average"}
    return {"metrics": list(metrics) or [metric()], **usual, **other}


def send_query(account: Emulator, body: Any, path: str = DATA) -> Reply:
    request = sign_request("POST", f"https://ces.example{path}", Credentials(AK, SK), account.now(), body=body)
    return account.answer("POST", path, request.headers, request.body)


def data(account: Emulator, *metrics: Dict[str, Any], **other: Any) -> List[Dict[str, Any]]:
    reply = send_query(account, data_query(*metrics, **other))
    assert reply.status == 200
    answered: List[Dict[str, Any]] = json.loads(reply.body)["metrics"]
    return answered


def points(account: Emulator, one: Dict[str, Any], **other: Any) -> Points:
    statistic = other.get("filter", "average")
    return [(point["timestamp"], point[statistic]) for point in data(account, one, **other)[0]["datapoints"]]


def raw_values(
    name: str, series: Sequence[Optional[str]], start: int, end: int, models: SimulatedModels = PLAIN
) -> Points:
    """Return the values of the minutes that begin in `[start, end)`, available or not."""
    model, key = series
    assert model
    minutes = ((at, models.minute(model, key, at)) for at in range(start, end, MINUTE))
    values = ((at, RAW[name](minute)) for at, minute in minutes if minute)
    return [(at, value) for at, value in values if value is not None]


def refusal(reply: Reply) -> Tuple[int, str]:
    """Return status and code of a refusal, which has Cloud Eye's error format."""
    body = json.loads(reply.body)
    assert (set(body), set(body["message"])) == ({"http_code", "message"}, {"code", "details"})
    assert type(body["message"]["details"]) is str
    assert reply.status == body["http_code"]
    return reply.status, body["message"]["code"]


def test_list() -> None:
    """Every series is listed with its metrics, and with undocumented ones that a client must ignore."""
    account = emulator()
    found = list_all(account)
    assert all(set(m) == {"namespace", "metric_name", "unit", "dimensions"} for m in found)
    assert {m["namespace"] for m in found} == {"SYS.MaaS"}
    units = {(m["metric_name"], *series_of(m).values()): m["unit"] for m in found}
    for model, key in EVERY_SERIES:
        series = (model, key) if key else (model,)
        assert {name: units[(name, *series)] for name in UNITS} == UNITS
    assert {m["metric_name"] for m in found} - set(UNITS) == UNDOCUMENTED
    other = [m for m in found if not set(series_of(m)) <= {"maas_api_id", "maas_key_id"}]
    assert [tuple(series_of(m)) for m in other] == [("maas_service_name",)] * 3
    assert len(found) == len(EVERY_SERIES) * 13 + 3
    undocumented = [one for one in found if one.pop("unit") and (one in other or one["metric_name"] in UNDOCUMENTED)]
    assert all(one["datapoints"] for one in data(account, *undocumented, to=BUSIEST + HOUR))


@pytest.mark.parametrize("limit", [158, 159, 160])
def test_pages(limit: int) -> None:
    """The pages together are the whole list without duplicates."""
    found = list_all(emulator(), limit)
    assert len({json.dumps(one, sort_keys=True) for one in found}) == len(found) == 159


def test_page_size() -> None:
    """A page has 1000 metrics by default and reports the total."""
    account = emulator(SimulatedModels(10, 10, Traffic(load=10)))
    page = json.loads(send_list(account, namespace="SYS.MaaS").body)
    assert (len(page["metrics"]), page["meta_data"]["total"]) == (1000, 10 * 11 * 13 + 10)
    other = json.loads(send_list(account, namespace="SYS.ECS", limit="10").body)
    assert other == {"metrics": [], "meta_data": {"count": 0, "total": 0, "marker": ""}}


def test_silent_series() -> None:
    """A series is listed while it has reported a minute in the last 3 hours."""
    models = SimulatedModels(busy=lambda model, start: model != SECOND or start < BUSIEST)
    last = raw_values("rpm", (SECOND, None), BUSIEST - HOUR, BUSIEST, models)[-1][0]
    for now in (last + 3 * HOUR - 1, last + 3 * HOUR, NOW_MS - 18 * HOUR):
        found = [series_of(one) for one in list_all(emulator(models, now / 1000))]
        minutes = range((now - 3 * HOUR) // MINUTE * MINUTE + MINUTE, now // MINUTE * MINUTE - MINUTE)
        assert {(one["maas_api_id"], one.get("maas_key_id")) for one in found if "maas_api_id" in one} == {
            series for series in EVERY_SERIES if raw_values("rpm", series, minutes.start, minutes.stop, models)
        }


@pytest.mark.parametrize(
    "query",
    [
        {}, {"namespace": "MaaS"}, {"limit": "0"}, {"limit": "1001"}, {"limit": "\u0661"}, {"start": ""},
        {"start": "SYS.ECS.cpu_util.instance_id:1"}, {"surprise": "1"},
    ],
)  # fmt: skip
def test_invalid_list(query: Dict[str, str]) -> None:
    """An invalid list request is refused in Cloud Eye's error format."""
    reply = send_list(emulator(), **({"namespace": "SYS.MaaS", **query} if query else {}))
    assert refusal(reply) == (400, "ces.0014")


def test_duplicate_parameter() -> None:
    account, query = emulator(), [("namespace", "SYS.MaaS"), ("namespace", "SYS.ECS")]
    request = sign_request("GET", f"https://x{LIST}", Credentials(AK, SK), NOW, query)
    assert account.answer("GET", request.url[len("https://x") :], request.headers, b"").status == 400


@given(
    st.lists(st.tuples(st.sampled_from(sorted(UNITS)), st.sampled_from(EVERY_SERIES)), min_size=1, max_size=5),
    st.integers(0, 300),
    st.integers(1, 60),
    st.integers(0, MINUTE - 1),
    st.booleans(),
)
def test_raw_data(
    requested: List[Tuple[str, Tuple[str, Optional[str]]]], begins: int, length: int, beside: int, inclusive: bool
) -> None:
    """Raw values are those of the minutes from the one that contains `from` to the end."""
    account = emulator(SimulatedModels(inclusive_end=inclusive))
    start = BUSIEST + begins * MINUTE
    end = start + length * MINUTE
    metrics = [metric(name, *series) for name, series in requested]
    answered = data(account, *metrics, **{"from": start + beside, "to": end})
    for (name, series), wanted, one in zip(requested, metrics, answered):
        expected = raw_values(name, series, start, end + MINUTE if inclusive else end)
        assert {**one, "datapoints": []} == {**wanted, "unit": UNITS[name], "datapoints": []}
        made = [{"average": pytest.approx(value), "timestamp": at} for at, value in expected]
        assert one["datapoints"] == made


def test_order_of_metrics() -> None:
    """500 metrics are answered in the order of the query, duplicates included; dimensions may be in any order."""
    one = metric("rpm", FIRST, KEY)
    requested = [metric("tpm", SECOND), one, {**one, "dimensions": one["dimensions"][::-1]}, one] * 125
    answered = data(emulator(), *requested)
    assert [{k: each[k] for k in one} for each in answered] == requested
    assert answered[1]["datapoints"] == answered[2]["datapoints"] == answered[3]["datapoints"] != []


@pytest.mark.parametrize(
    ("wanted", "unit"),
    [
        (metric("rpm", "0" * 32), "Count"),
        (metric("latency_avg", FIRST, "nobody"), "ms"),
        (metric("surprise"), ""),
        ({**metric("rpm"), "namespace": "SYS.ECS"}, ""),
        ({**metric("rpm"), "dimensions": [{"name": "maas_key_id", "value": KEY}]}, "Count"),
        ({**metric("rpm"), "dimensions": [{"name": "maas_service_name", "value": "x"}]}, "Count"),
    ],
)
def test_unknown_metric(wanted: Dict[str, Any], unit: str) -> None:
    """An unknown metric has no values."""
    assert data(emulator(), wanted, metric())[0] == {**wanted, "unit": unit, "datapoints": []}


def test_delay() -> None:
    """A minute is answered from one minute after its end."""
    (newest, _), *_ = raw_values("rpm", (FIRST, None), BUSIEST, BUSIEST + HOUR)
    for now, is_available in ((newest + 2 * MINUTE - 1, False), (newest + 2 * MINUTE, True)):
        found = dict(points(emulator(now=now / 1000), metric(), **{"from": newest, "to": newest + MINUTE}))
        assert (newest in found) is is_available


@pytest.mark.parametrize(
    ("period", "statistic", "step", "reach"), [("1", "average", MINUTE, 4 * HOUR), ("3600", "sum", HOUR, 10 * DAY)]
)
def test_reach_of_a_period(period: str, statistic: str, step: int, reach: int) -> None:
    """A `from` before the reach of the period is moved up silently."""
    to = NOW_MS - 5 * MINUTE
    requested = {"to": to, "period": period, "filter": statistic}
    found = [at for at, _ in points(emulator(), metric(), **{"from": 0, **requested})]
    assert 0 <= found[0] - (to - reach) // step * step < 10 * step
    assert found == [at for at, _ in points(emulator(), metric(), **{"from": to - reach, **requested})]


@given(st.sampled_from(sorted(UNITS)), st.sampled_from(EVERY_SERIES), st.integers(0, 200), st.booleans())
def test_hours(name: str, series: Tuple[str, Optional[str]], back: int, inclusive: bool) -> None:
    """An hour of a count is the sum of its minutes."""
    start = NOW_MS // HOUR * HOUR - (back + 5) * HOUR
    end = start + 3 * HOUR
    requested = {"from": start + 1, "to": end, "period": "3600", "filter": "sum"}
    found = points(emulator(SimulatedModels(inclusive_end=inclusive)), metric(name, *series), **requested)
    hours = ((at, raw_values(name, series, at, at + HOUR)) for at in range(start, end + inclusive, HOUR))
    expected = [(at, pytest.approx(sum(value for _, value in minutes))) for at, minutes in hours if minutes]
    assert found == (expected if UNITS[name] == "Count" else [])


def test_max_points() -> None:
    """With more than 3,000 metrics x periods `from` is moved up silently: the oldest points are missing."""
    models, to = SimulatedModels(traffic=Traffic(load=10)), BUSIEST + 30 * MINUTE
    for metrics, lost in ((100, 0), (103, 0), (104, 1), (500, 24)):  # `from` is rounded down to its minute
        expected = [at for at, _ in raw_values("rpm", (FIRST, None), BUSIEST + lost * MINUTE, to + MINUTE, models)]
        for one in data(emulator(models), *[metric()] * metrics, to=to):
            assert [point["timestamp"] for point in one["datapoints"]] == expected
        assert expected[0] == BUSIEST + lost * MINUTE


@pytest.mark.parametrize(("size", "is_accepted"), [(2**19 - 1, True), (2**19, True), (2**19 + 1, False)])
def test_max_body(size: int, is_accepted: bool) -> None:
    """A body of more than 512 KB is refused."""
    length = size - len(json.dumps(data_query(metric(model="")), separators=(",", ":")))
    reply = send_query(emulator(), data_query(metric(model="x" * length)))
    assert reply.status == 200 if is_accepted else refusal(reply) == (400, "ces.0014")


@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1}, {"metrics": []}, {"metrics": [metric()] * 501}, {"metrics": {}}, {"metrics": [1]},
        {"from": BUSIEST + 10 * MINUTE}, {"from": str(BUSIEST)}, {"from": True}, {"from": -1}, {"to": None},
        {"period": 1}, {"period": []}, {"filter": "avg"}, {"period": "3600"},
        {"metrics": [{**metric(), "unit": "Count"}]}, {"metrics": [{**metric(), "metric_name": ""}]},
        {"metrics": [{**metric(), "namespace": 1}]}, {"metrics": [{**metric(), "dimensions": []}]},
        {"metrics": [{**metric(), "dimensions": {}}]}, {"metrics": [{**metric(), "dimensions": [{"name": "x"}]}]},
        {"metrics": [{**metric(), "dimensions": metric()["dimensions"] * 2}]},
    ],
)  # fmt: skip
def test_invalid_query(change: Dict[str, Any]) -> None:
    """A query that Cloud Eye does not accept is refused in its error format."""
    assert refusal(send_query(emulator(), {**data_query(), **change})) == (400, "ces.0014")


@pytest.mark.parametrize("field", data_query())
def test_required_fields(field: str) -> None:
    """Every field of a query is required."""
    body = data_query()
    del body[field]
    assert refusal(send_query(emulator(), body)) == (400, "ces.0014")


@pytest.mark.parametrize(
    ("permission", "refused"), [("ces:metrics:list", (403, 200)), ("ces:metricData:list", (200, 403))]
)
def test_missing_permission(permission: str, refused: Tuple[int, int]) -> None:
    """A missing permission refuses only its own call."""
    account = emulator()
    account.denied_permissions = {permission}
    replies = send_list(account, namespace="SYS.MaaS"), send_query(account, data_query())
    assert tuple(reply.status for reply in replies) == refused
    body = json.loads(next(reply.body for reply in replies if reply.status == 403))
    assert body["http_code"] == 403
    assert body["message"]["details"] == f"policy doesn't allow {permission} to be performed."


def test_foreign_project_and_method() -> None:
    """Another account's project and another method are refused."""
    account, other = emulator(), "0" * 32
    assert send_list(account, LIST.replace(PROJECT_ID, other), namespace="SYS.MaaS").status == 403
    reply = send_query(account, data_query(), DATA.replace(PROJECT_ID, other))
    assert (reply.status, json.loads(reply.body)["http_code"]) == (403, 403)
    assert send_query(account, data_query(), LIST).status == 404
    assert send_list(account, DATA).status == 404
