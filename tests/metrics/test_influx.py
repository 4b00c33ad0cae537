from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from maas_usage_check.metrics import Point
from maas_usage_check.metrics.influx import encode

texts = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1)
counts = st.integers(0, 2**63 - 1)
times = st.integers(0, 2**62)
plain = st.text("abcXYZ0189 ,=é中", min_size=1)


def test_line() -> None:
    """A point is one line with sorted tags, integers and nanoseconds."""
    point = Point("m", {"b": "2", "a": "x y"}, {"n": 3, "r": 0.5}, 1_700_000_000_000_000_000)
    assert encode([point, point]) == "m,a=x\\ y,b=2 n=3i,r=0.5 1700000000000000000\n" * 2


@given(st.dictionaries(texts, texts, max_size=4), counts, counts, st.floats(0, 1, allow_subnormal=False), times)
def test_numbers_are_exact(tags: dict, tokens: int, requests: int, coverage: float, time: int) -> None:
    """A parser accepts every line, and returns exact numbers."""
    fields = {"total_tokens": tokens, "requests": requests, "coverage_ratio": coverage}
    point = Point("huawei_maas_usage", tags, fields, time)
    line, end = encode([point]).split("\n")
    assert end == ""
    read = parse_line(line)
    assert read["fields"] == point.fields
    assert {name: type(value) for name, value in read["fields"].items()} == {
        name: type(value) for name, value in point.fields.items()
    }
    assert read["time"] == time


@given(st.dictionaries(plain, plain, max_size=4))
def test_tags_are_exact(tags: dict) -> None:
    """Tags of ordinary text are parsed back exactly."""
    assert parse_line(encode([Point("m", tags, {"n": 1}, 1)]).rstrip("\n"))["tags"] == tags


def test_invalid_characters_are_percent_encoded() -> None:
    """Characters that the grammar cannot represent are percent-encoded; an empty tag is dropped."""
    tags = {"a": "end\\", "b": "\\", "c": "", "d": "\0\n", "e": r"C:\x 50% %5C"}
    assert encode([Point("m", tags, {"n": 1}, 1)]) == r"m,a=end%5C,b=%5C,d=%00%0A,e=C:\x\ 50%\ %255C n=1i 1" + "\n"


@pytest.mark.parametrize("escape", [re.compile(r'\\([," =])'), re.compile(r'\\([\\," =])')], ids=["one", "two"])
@given(st.sets(st.text('a\\"n\n\t\0 ,=%5C2', max_size=5), min_size=2))
def test_tags_remain_different(escape: re.Pattern[str], values: set) -> None:
    """Two values are never read as one, by Telegraf's parser or by one that also unescapes a backslash."""
    lines = encode([Point("m", {"a": value}, {"n": 1}, 1) for value in values])
    assert len({escape.sub(r"\1", line) for line in lines.splitlines()}) == len(values)


def test_no_points() -> None:
    assert encode([]) == ""
