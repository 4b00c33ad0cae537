from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud.statistics.totals import BATCH_COUNTS, COUNTS, TOKENS, read_usage
from maas_usage_check.cloud.usage import Usage
from maas_usage_check.errors import QueryError, Result

SAMPLE = {
    "total_request_count": 67188, "total_error_count": 8002, "total_token": 2482084.98,
    "total_prompt_token": 2456504.362, "total_completion_token": 24872.928, "total_completion_tasks": 0,
    "total_infer_count": 0,
}  # fmt: skip


def test_documented_sample() -> None:
    assert read_usage(json.dumps(SAMPLE).encode()) == Usage(2_482_084_980, 2_456_504_362, 24_872_928, 67188, 8002, 0, 0)


def test_missing_batch_counts() -> None:
    without = {key: value for key, value in SAMPLE.items() if key not in BATCH_COUNTS.values()}
    for answer in (without, {**SAMPLE, **dict.fromkeys(BATCH_COUNTS.values())}):
        usage = read_usage(json.dumps(answer).encode())
        assert (usage.completed_batch_tasks, usage.inferences) == (None, None)


@given(st.integers(0, 10**14 - 1), st.integers(0, 9))
def test_thousands(tokens: int, tenth: int) -> None:
    """A token field with three decimals is exact, and a fourth is rounded to the nearest."""
    text = f"{tokens // 1000}.{tokens % 1000:03d}{tenth}"
    body = json.dumps({**SAMPLE, "total_token": 0}).replace('"total_token": 0', f'"total_token": {text}')
    assert read_usage(body.encode()).total_tokens == int(Fraction(text) * 1000 + Fraction(1, 2))


@pytest.mark.parametrize("value", '-1 NaN Infinity 1e400 1e999999999 "12" true [] {} -1e-9 9223372036854775808'.split())
def test_invalid_number(value: str) -> None:
    """An invalid number is rejected, and the error names its field."""
    for key in (*TOKENS.values(), *COUNTS.values(), *BATCH_COUNTS.values()):
        body = json.dumps({**SAMPLE, key: "@"}).replace('"@"', value)
        with pytest.raises(QueryError, match=f"{key}|not JSON") as refused:
            read_usage(body.encode())
        assert refused.value.result == Result.BAD_ANSWER


@pytest.mark.parametrize("key", [*TOKENS.values(), *COUNTS.values()])
def test_missing_number(key: str) -> None:
    answer = {name: value for name, value in SAMPLE.items() if name != key}
    for body, reason in ((answer, "is missing"), ({**SAMPLE, key: None}, "is not a number")):
        with pytest.raises(QueryError, match=f"`{key}` {reason}"):
            read_usage(json.dumps(body).encode())


def test_fractional_count() -> None:
    with pytest.raises(QueryError, match="not a whole number"):
        read_usage(json.dumps({**SAMPLE, "total_request_count": 1.5}).encode())


@pytest.mark.parametrize("body", [b'{"a":', b"\xff\xfe", b'{"total_token": ' + b"9" * 200_000 + b"}"])
def test_not_json(body: bytes) -> None:
    with pytest.raises(QueryError) as refused:
        read_usage(body)
    assert refused.value.result == Result.BAD_ANSWER
    assert "\n" not in str(refused.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=3
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(SAMPLE, json_values)))
def test_any_answer(answer: Any) -> None:
    """Any answer is a complete Usage or BAD_ANSWER."""
    try:
        usage = read_usage(json.dumps(answer).encode())
    except QueryError as refused:
        assert refused.result == Result.BAD_ANSWER
    else:
        assert all(0 <= value < 2**63 for value in (usage.total_tokens, usage.requests, usage.errors))


def test_more_errors_than_requests() -> None:
    """More errors than requests are accepted, without an error ratio."""
    usage = read_usage(json.dumps({**SAMPLE, "total_request_count": 2, "total_error_count": 3}).encode())
    assert (usage.requests, usage.errors, usage.error_ratio) == (2, 3, None)


@pytest.mark.parametrize(("name", "thousands"), [("total_token", 1000), ("total_request_count", 1)])
def test_largest_number_of_a_window(name: str, thousands: int) -> None:
    """A year of hours of it fits into 64 bits, and so do two windows of a range."""
    largest = 10**14 // thousands
    for accepted in (largest - 1, largest):
        usage = read_usage(json.dumps({**SAMPLE, name: accepted}).encode())
        number = max(usage.total_tokens, usage.requests)
        assert number == accepted * thousands
        assert 8784 * number < 2**63
    with pytest.raises(QueryError, match="too large"):
        read_usage(json.dumps({**SAMPLE, name: largest + 1}).encode())


def test_sum() -> None:
    total = Usage(10, 6, 4, 8, 2) + Usage(1, 1, 0, 0, 0, 3, None)
    assert total == Usage(11, 7, 4, 8, 2, 3, None)
    assert total.error_ratio == 0.25
    assert Usage(0, 0, 0, 0, 0).error_ratio == 0.0
