"""Cloud Eye: the requests, and which answers are accepted."""

from __future__ import annotations

import contextlib
import json
from fractions import Fraction
from typing import Any, Callable, Dict, List, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud.cloud_eye import METRICS, CloudEye, DataQuery, Dimensions, Listing, ListQuery, MetricData
from maas_usage_check.cloud.cloud_eye.known_metrics import check_value_count
from maas_usage_check.cloud.cloud_eye.metric_data import HOUR, MINUTE, max_metrics_per_query
from maas_usage_check.cloud.cloud_eye.metric_list import add_page
from maas_usage_check.cloud.source import Call
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.ledger.model_list import ListedModel, ModelList

MODEL, KEY = Dimensions("model-1"), Dimensions("model-1", "key-1")
START = 1_795_435_200_000
OTHER = Dimensions("other")
QUERY = DataQuery(((MODEL, "rpm"), (MODEL, "total_tokens"), (OTHER, "rpm")), START, START + 15 * MINUTE, MINUTE)


def metric(name: str = "rpm", unit: Optional[str] = "Count", points: Any = ((0, 2.0),), **more: Any) -> Dict[str, Any]:
    """Build one metric of an answer; a point is its minute and value."""
    datapoints = [{"average": value, "timestamp": START + int(minute * MINUTE)} for minute, value in points]
    fields = {"namespace": "SYS.MaaS", "metric_name": name, "datapoints": datapoints}
    dimensions = [{"name": "maas_api_id", "value": "model-1"}]
    return {**fields, "dimensions": dimensions, **({} if unit is None else {"unit": unit}), **more}


def model_metric(name: str, points: Any = (), **more: Any) -> Dict[str, Any]:
    return metric(points=points, dimensions=[{"name": "maas_api_id", "value": name}], **more)


def fetch(*metrics: Any, query: DataQuery = QUERY) -> MetricData:
    """Fetch an answer with these metrics of MODEL, and a valid one without points of OTHER."""
    answer = {"metrics": [*metrics, *([model_metric("other")] if (OTHER, "rpm") in query.metrics else [])]}
    data: MetricData = CloudEye().ask(query, lambda call: json.dumps(answer).encode())
    return data


def test_request_of_minutes() -> None:
    """A query of minutes has the documented format."""
    calls: List[Call] = []
    dimensions = [{"name": "maas_api_id", "value": "model-1"}, {"name": "maas_key_id", "value": "key-1"}]
    answer = json.dumps({"metrics": [metric(dimensions=dimensions)]}).encode()
    CloudEye().ask(DataQuery(((KEY, "rpm"),), START, START + MINUTE, MINUTE), lambda call: _record(calls, call, answer))
    assert calls[0].path == "/V1.0/{project_id}/batch-query-metric-data"
    assert calls[0].body == {
        "metrics": [{"namespace": "SYS.MaaS", "metric_name": "rpm", "dimensions": dimensions}],
        "from": START, "to": START + MINUTE - 1, "period": "1", "filter": "average",
    }  # fmt: skip


def test_values() -> None:
    data = fetch(metric(points=((0, 2.0), (14, 3.0))), metric("total_tokens", points=((0, 1.5),)))
    assert data.values == {
        MODEL: {START: {"rpm": 2.0, "total_tokens": 1.5}, START + 14 * MINUTE: {"rpm": 3.0}},
        OTHER: {},
    }
    assert not data.warnings


def test_extra_points() -> None:
    """An extra point at either end of the window is dropped silently."""
    data = fetch(metric(points=((-1, 9.0), (0, 2.0), (15, 9.0))), metric("total_tokens", points=()))
    assert data.values[MODEL] == {START: {"rpm": 2.0}}
    assert not data.warnings


@pytest.mark.parametrize(
    ("invalid", "warning"),
    [
        (metric(unit="Byte"), "has the unit `Byte`, expected `Count`"),
        (metric(unit=None), "has no unit, expected `Count`"),
        (metric(points=((0, 1.0), (0.5, 2.0))), "two values for one minute"),
        (metric(points=((-2, 1.0),)), "outside the queried window"),
        (metric(points=((16, 1.0),)), "outside the queried window"),
        (metric(points=((0, -1.0),)), "an invalid value (-1.0)"),
        (metric(points=((0, None),)), "an invalid value (None)"),
        (metric(points=((0, "2"),)), "not as documented"),
        (metric("rps"), "`rps` was not queried"),
        (model_metric("a third"), "was not queried"),
        (metric(dimensions=[]), "was not queried"),
        ("rpm", "not as documented"),
    ],
)
def test_invalid_metric(invalid: Any, warning: str) -> None:
    """An invalid metric is named in a warning; the other metrics are used."""
    data = fetch(invalid, metric("total_tokens"))
    assert (data.values[MODEL], data.invalid) == ({START: {"total_tokens": 2.0}}, {MODEL})
    assert warning in data.warnings[0]


def test_duplicate_metric() -> None:
    """Of a metric that comes twice, the second is dropped with a warning."""
    data = fetch(metric(), metric(points=((0, 7.0),)))
    assert data.values[MODEL] == {START: {"rpm": 2.0}}
    assert "comes twice" in data.warnings[0]


@pytest.mark.parametrize("query", [QUERY, ListQuery()])
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b" <html>", "is not JSON but HTML; a proxy or another server answered instead of the cloud"),
        (b"", "is not JSON but an empty body"),
        (b'"\xff"', "is not JSON but a broken body"),
        (b"[" * 99_999, "is not JSON but a broken body"),
        (b"[]", "invalid answer from the cloud: it is not a JSON object"),
        (b"{}", "not as documented"),
        (b'{"metrics": 7}', "not as documented"),
    ],
)
def test_invalid_answer(query: Union[DataQuery, ListQuery], body: bytes, text: str) -> None:
    with pytest.raises(QueryError) as refused:
        CloudEye().ask(query, lambda call: body)
    assert refused.value.result == Result.BAD_ANSWER
    assert "\n" not in str(refused.value)
    assert text in str(refused.value)


def test_metric_of_a_stored_list() -> None:
    """One that is queried no more is left out of the answer, without a warning."""
    query = DataQuery(((MODEL, "rpm"), (MODEL, "tpm")), START, START + MINUTE, MINUTE)
    data = fetch(metric(), metric("tpm"), query=query)
    assert (data.values, data.warnings) == ({MODEL: {START: {"rpm": 2.0}}}, [])


def test_missing_metric() -> None:
    """A missing metric is unknown, with a warning; one without points was not used."""
    data = fetch(metric("total_tokens", points=()))
    assert (data.invalid, data.warnings) == (
        {MODEL}, ["1 of the 3 queried metrics are missing, such as `rpm` of model-1"]
    )  # fmt: skip
    assert not fetch(metric(points=()), metric("total_tokens", points=())).warnings


@pytest.mark.parametrize("metrics", [(), (model_metric("other", unit="Byte"),)])
def test_no_valid_model(metrics: Any) -> None:
    """An answer without any valid model is rejected."""
    with pytest.raises(QueryError, match=r"are missing|has the unit") as refused:
        CloudEye().ask(QUERY, lambda call: json.dumps({"metrics": metrics}).encode())
    assert refused.value.result == Result.BAD_ANSWER


@pytest.mark.parametrize(
    ("total", "valid"), [(29.0, False), (30.0, True), (31.0, True), (None, False), (30.3, True), (30.299, False)]
)
def test_total_below_its_parts(total: Optional[float], valid: bool) -> None:
    """Only that hour of the model is invalid; a missing total is 0."""
    prompt, completion = (10.1, 20.2) if total and total % 1 else (10.0, 20.0)
    parts = {"total_tokens": total, "prompt_tokens": prompt, "completion_tokens": completion}
    query = DataQuery(tuple((MODEL, name) for name in parts), START, START + 2 * HOUR, HOUR)
    metrics = [
        metric(name, datapoints=[
            {"sum": value, "timestamp": at} for at, value in ((START, value), (START + HOUR, 0.0)) if value is not None
        ])
        for name, value in parts.items()
    ]  # fmt: skip
    data = fetch(*metrics, query=query)
    assert data.invalid_hours == (set() if valid else {(MODEL, START)})
    assert bool(data.warnings) != valid
    assert not data.invalid


def test_more_metrics_than_queried() -> None:
    """An answer with more metrics, or far more values, than queried is rejected as a whole."""
    with pytest.raises(QueryError, match="4 metrics, but 3 were queried"):
        fetch(metric(), metric("total_tokens"), model_metric("a third"))
    with pytest.raises(QueryError, match="1,001 metrics, but 1,000 were queried"):
        CloudEye().ask(ListQuery(), lambda call: page(*[metric()] * 1001))
    CloudEye().ask(ListQuery(), lambda call: page(*[metric()] * 1000))
    for query in (QUERY, ListQuery()):
        with pytest.raises(QueryError, match="far more values than"):
            CloudEye().ask(query, lambda call: b'{"metrics": [' + b"0," * 100_000 + b"0]}")


@pytest.mark.parametrize(("metrics", "points", "limit"), [(1, 0, 64), (3, 2, 224)])
def test_value_count(metrics: int, points: int, limit: int) -> None:
    for count in (limit - 1, limit):
        check_value_count(b"," * count, metrics, points)
    with pytest.raises(QueryError, match="far more values"):
        check_value_count(b"," * (limit + 1), metrics, points)


@pytest.mark.parametrize("length", [127, 128, 129])
@pytest.mark.parametrize("long", [
    lambda name: metric(name), model_metric, lambda name: metric(dimensions=[{"name": name, "value": "model-1"}]),
])  # fmt: skip
def test_long_names(long: Callable[[str], Any], length: int) -> None:
    """A page with a name of more than 128 characters is rejected as a whole."""
    with contextlib.ExitStack() as refused:
        if length > 128:
            refused.enter_context(pytest.raises(QueryError, match="a name in it has 129 characters"))
        CloudEye().ask(ListQuery(), lambda call: page(metric(), long("x" * length)))


@pytest.mark.parametrize(("share", "valid"), [(100.0, True), (100.5, False)])
def test_error_rate_above_100(share: float, valid: bool) -> None:
    query = DataQuery(((MODEL, "req_error_rate"), (OTHER, "rpm")), START, START + MINUTE, MINUTE)
    data = fetch(metric("req_error_rate", "%", ((0, share),)), query=query)
    assert bool(data.values[MODEL]) == valid
    assert data.invalid == (set() if valid else {MODEL})


def test_infinite_value() -> None:
    answer = json.dumps({"metrics": [metric(points=((0, 77.0),)), model_metric("other")]})
    body = answer.replace("77.0", "1e999").encode()
    assert not CloudEye().ask(QUERY, lambda call: body).values.get(MODEL)


@pytest.mark.parametrize(
    ("metrics", "periods", "period_ms", "is_complete"),
    [
        (200, 15, MINUTE, True), (201, 15, MINUTE, False), (428, 7, MINUTE, True), (429, 7, MINUTE, False),
        (12, 240, MINUTE, True), (13, 240, MINUTE, False), (1, 240, MINUTE, True), (1, 241, MINUTE, False),
        (12, 240, HOUR, True), (13, 240, HOUR, False), (1, 240, HOUR, True), (1, 241, HOUR, False),
    ],
)  # fmt: skip
def test_incomplete_answer(metrics: int, periods: int, period_ms: int, is_complete: bool) -> None:
    """The cloud omits the oldest points of a query beyond its limits, whatever it answers: that is not no use."""
    names = [f"m{i}" for i in range(metrics)]
    query = DataQuery(tuple((Dimensions(name), "rpm") for name in names), START, START + periods * period_ms, period_ms)
    with contextlib.ExitStack() as refused:
        if not is_complete:
            refused.enter_context(pytest.raises(QueryError, match=rf"oldest points .* {metrics} metrics x {periods} "))
        fetch(*map(model_metric, names), query=query)


@pytest.mark.parametrize("letter", ["a", '"', "模", "😀"])
def test_body_size(letter: str) -> None:
    """A body is at most 512 KB, whatever the names of models and keys are; each metric is queried once."""
    listed = [ListedModel(Dimensions(f"{i:03d}".ljust(128, letter), letter * 128), [*METRICS], 0, 0) for i in range(90)]
    calls: List[Call] = []
    for query, _ in CloudEye().data_queries(listed, START, START + 3 * HOUR, HOUR):
        with contextlib.suppress(QueryError):
            CloudEye().ask(query, lambda call: _record(calls, call))
    bodies = [json.dumps(call.body) for call in calls]
    assert max(map(len, bodies)) <= 512_000
    assert sum(body.count("metric_name") for body in bodies) == 90 * 6
    assert len(bodies) == (4 if letter == "😀" else 2)


@given(st.integers(1, 3000))
def test_max_metrics_per_query(periods: int) -> None:
    """A query stays below 3,000 points, also with an extra point per metric."""
    limit = max_metrics_per_query(periods)
    assert limit <= 500
    assert limit * (periods + 1) < 3000
    assert limit == 500 or (limit + 1) * (periods + 1) >= 3000


@given(st.decimals(0, 10**9, places=3), st.sampled_from(sorted(METRICS)))
def test_unit_conversion(value: Any, name: str) -> None:
    """Units are converted without binary rounding errors."""
    factors = {"ttft": Fraction(1, 1000), "tpot": Fraction(1, 1000), "latency_avg": Fraction(1, 1000)}
    exact = Fraction(value) * factors.get(name, Fraction(1, 100) if name == "req_error_rate" else 1)
    assert METRICS[name].convert(float(value)) == float(exact)


def page(*metrics: Any, marker: Optional[str] = "next") -> bytes:
    return json.dumps({"metrics": metrics, "meta_data": {"count": len(metrics), "marker": marker, "total": 9}}).encode()


def test_pages() -> None:
    """The list is fetched page by page until a page is empty."""
    calls: List[Call] = []
    first = CloudEye().ask(ListQuery(), lambda call: _record(calls, call, page(metric())))
    last = CloudEye().ask(ListQuery(first.marker), lambda call: _record(calls, call, page()))
    assert [dict(call.query or ()).get("start") for call in calls] == [None, "next"]
    assert (first.marker, last.marker) == ("next", None)


def test_repeated_marker() -> None:
    with pytest.raises(QueryError, match="repeats its marker"):
        CloudEye().ask(ListQuery("next"), lambda call: page(metric()))


@pytest.mark.parametrize("length", [1023, 1024, 1025])
def test_long_marker(length: int) -> None:
    with contextlib.ExitStack() as refused:
        if length > 1024:
            refused.enter_context(pytest.raises(QueryError, match="a marker of 1,025 characters"))
        CloudEye().ask(ListQuery(), lambda call: page(metric(), marker="x" * length))


def test_endless_list() -> None:
    listing = Listing()
    for _ in range(100):
        add_page(listing, CloudEye().ask(ListQuery(), lambda call: page(metric())))
    with pytest.raises(QueryError, match="more than 100 pages"):
        add_page(listing, CloudEye().ask(ListQuery(), lambda call: page(metric())))


def test_unknown_metrics() -> None:
    """Unknown metrics of the list are dropped and named once."""
    both = [{"name": "maas_key_id", "value": "key-1"}, {"name": "maas_api_id", "value": "model-1"}]
    other = [{"name": "maas_service_name", "value": "model-1"}]
    unprintable = [{"name": "maas_api_id", "value": "a\nb"}]
    listing = Listing()
    add_page(
        listing,
        CloudEye().ask(
            ListQuery(),
            lambda call: page(
                metric(), metric("total_tokens", dimensions=both), metric("ttft_p99"),
                metric("ttft_p99", dimensions=both), metric(dimensions=other), metric(dimensions=unprintable),
                metric(dimensions=[*both, *other]),
                metric(dimensions=[{"name": "maas_api_id", "value": " "}]), metric("tpm"),
            ),
        ),
    )  # fmt: skip
    assert listing.metrics == {MODEL: ["rpm"], KEY: ["total_tokens"]}
    assert listing.unknown[0] == "ttft_p99"
    assert listing.unknown[1] == "rpm by maas_service_name"
    assert len(listing.unknown) == len(set(listing.unknown)) == 4


@pytest.mark.parametrize(("names", "remembered"), [(99, 99), (100, 100), (101, 100)])
def test_unknown_names(names: int, remembered: int) -> None:
    """At most 100 are remembered over all lists, and each is reported once."""
    listing, models = Listing(), ModelList()
    add_page(listing, CloudEye().ask(ListQuery(), lambda call: page(*(metric(f"m{i}") for i in range(names)))))
    assert len(listing.unknown) == remembered
    assert [len(models.update(each, START + i)) for i, each in enumerate([listing, Listing({}, ["one more"])])] == [
        remembered, int(remembered < 100),
    ]  # fmt: skip


def _record(calls: List[Call], call: Call, answer: bytes = b'{"metrics": []}') -> bytes:
    calls.append(call)
    return answer
