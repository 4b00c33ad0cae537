"""Arbitrary input: configurations, credentials files and answers lead to documented errors only."""

from __future__ import annotations

import json
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from maas_usage_check.cloud import Response
from maas_usage_check.cloud.credentials import Credentials, from_file
from maas_usage_check.collection import Collector, run_cycle
from maas_usage_check.config import load, load_file
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import ConfigError, QueryError, Result
from maas_usage_check.metrics import find_encoder
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import Store

from ..conftest import AK, NOW, SK, FixedClock

YAML_PARTS = (
    "instances:|- region:|ranges: [|last_7d|]|{|}|&a|*a|!!python/object|tags:|\n| |'|\"|>|---|2026-02-30|0x|1e400|"
    "credentials: {source: file}|\t|#|?|: |~"
).split("|")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("total_token", "total_prompt_token", "total_completion_token", "total_request_count", "total_error_count",
          "projects", "error", "error_code", "error_msg", "id", "name")  # fmt: skip
bodies = st.binary(max_size=300) | st.one_of(
    json_values, st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=11)
).map(lambda value: json.dumps(value).encode())
headers = st.dictionaries(
    st.sampled_from(["Date", "Retry-After", "X-Request-Id", "Content-Type", "Location"]), st.text(max_size=40)
)
statuses = st.sampled_from([200, 200, 200, 204, 302, 400, 401, 403, 404, 429, 500, 504, 600])
responses = st.builds(Response, statuses, headers, bodies)


@given(
    st.text(max_size=200) | st.lists(st.sampled_from(YAML_PARTS), max_size=25).map("".join) | st.binary(max_size=200)
)
def test_any_configuration(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    """Any file is a configuration or an error of one line."""
    path = tmp_path_factory.mktemp("yaml") / "conf.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    try:
        load_file(str(path), NOW)
    except ConfigError as error:
        assert str(error).isprintable()


@given(st.binary(max_size=300))
def test_any_credentials_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Any credentials file is a key or an error of one line that shows none of its content."""
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_bytes(b"planted" + content)
    try:
        assert from_file(str(path)).ak
    except QueryError as error:
        assert error.result == Result.NO_CREDENTIALS
        assert "planted" not in str(error)


@given(st.lists(responses, min_size=6, max_size=6), st.booleans())
def test_any_answer(answers: Any, needs_lookup: bool) -> None:
    """Any answer of the cloud becomes a point or a documented failure."""
    entry: Dict[str, Any] = {"ranges": ["last_7d"], "max_concurrency": 1}
    if not needs_lookup:
        entry["project_id"] = PROJECT_ID
    (instance,) = load({"instances": [entry]}, NOW)
    clock = FixedClock(NOW).clock
    schedulers = Schedulers(Store(), clock)
    transport = lambda request, timeout: answers.pop()  # noqa: E731
    batch = run_cycle([Collector(instance, lambda: Credentials(AK, SK), transport, schedulers, clock)])[0]
    assert batch.result != Result.INTERNAL, batch.problems
    assert all(str(problem).isprintable() for problem in batch.problems)
    assert all(parse_line(line) for line in find_encoder("influx")(batch.points).splitlines())
    assert batch.collected == (len(batch.points) == 2)
