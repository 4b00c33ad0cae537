"""Cloud Eye's errors, limits and field types, through the command line."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional

import pytest
from line_protocol_parser import parse_line
from werkzeug import Request, Response

from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.traffic import Traffic

from ..agents.expected_models import expected_minute, series_from_tags
from ..cloud.test_error_responses import SHAPES
from ..conftest import Cloud, FixedClock, Program

LIST, DATA = "/metrics", "/batch-query-metric-data"
HOUR = 3_600_000
REACH = {"1": (60_000, 4 * HOUR), "3600": (HOUR, 240 * HOUR)}
"""The length of a period, and how far before `to` it reaches, in milliseconds."""
CONFIG = "hourly: true\nbackfill_days: 10\nmodels: true\nmax_requests_per_minute: 80000\ntimezone: UTC\n"


@pytest.fixture
def cloud(cloud: Cloud) -> Cloud:
    cloud.emulator.requests_per_minute = 10**6
    return cloud


def refuse(cloud: Cloud, path: str, status: int, body: bytes) -> None:
    """Answer the requests of a path with an error."""

    def respond(request: Request) -> Optional[Response]:
        return Response(body, status) if request.path.endswith(path) else None

    cloud.responder = respond


def queries(cloud: Cloud) -> List[Request]:
    return [request for request in cloud.requests if request.path.endswith((LIST, DATA))]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("status", "code"), [
    (400, "ces.0429"), (401, "APIGW.0308"), (403, "APIG.0308"), (429, "ces.0014"), (500, "ces.0429"),
])  # fmt: skip
def test_throttled(cloud: Cloud, program: Program, clock: FixedClock, status: int, code: str, shape: str) -> None:
    """A throttling code is a 429 whatever its status: it is tried once, and again a minute later."""
    config = program.cloud_config(cloud, "models: true\nranges: [last_7d]\n")
    refuse(cloud, LIST, status, SHAPES[shape](code, "too many"))
    sent = []
    for seconds in (0, 59, 2):
        clock.at += seconds
        cloud.requests.clear()
        done = program("collect", "--config", config)
        sent.append(len(queries(cloud)))
        assert re.match("W! cn-southwest-2: Cloud Eye: the cloud's (request|rate) limit was reached", done.stderr)
        assert "huawei_maas_usage," in done.stdout
    assert sent == [1, 0, 1]


@pytest.mark.parametrize(("path", "permission"), [(LIST, "ces:metrics:list"), (DATA, "ces:metricData:list")])
def test_missing_permission(cloud: Cloud, program: Program, path: str, permission: str) -> None:
    """The line names the permission, and when a new one takes effect."""
    refuse(cloud, path, 403, SHAPES["Cloud Eye"]("ces.0015", f"policy doesn't allow {permission} to be performed."))
    done = program("collect", "--config", program.cloud_config(cloud, "models: true\n"))
    line = done.stderr.splitlines()[0]
    assert f"lacks a permission: allow `{permission}` in an IAM policy" in line
    assert "a new permission takes effect after 15 to 30 minutes [403 ces.0015]" in line
    assert len(line) < 400  # Telegraf shows 512 bytes


def test_rejected(cloud: Cloud, program: Program) -> None:
    """Details and code of Cloud Eye's own error format are shown."""
    refuse(cloud, DATA, 400, SHAPES["Cloud Eye"]("ces.0014", "period is invalid"))
    done = program("collect", "--config", program.cloud_config(cloud, "models: true\n"))
    assert "the cloud rejected the request (`period is invalid`): check the configuration [400 ces.0014]" in done.stderr


@pytest.mark.parametrize(("models", "keys"), [(1, 0), (2, 8), (3, 8), (10, 9)])
def test_limits(cloud: Cloud, program: Program, clock: FixedClock, models: int, keys: int) -> None:
    """No query exceeds a limit, so none of its oldest points is lost: at first, after a pause, in a report."""
    cloud.emulator.models = SimulatedModels(models, keys, Traffic(load=20))
    config = program.cloud_config(cloud, CONFIG + "ranges: [last_7d]\n")
    for seconds in (0, 300, 17_000):
        clock.at += seconds
        assert program("collect", "--config", config).returncode == 0
    assert program("report", "--by", "model", "--last", "10d", "--config", config).returncode == 0
    bodies = [request.get_data() for request in cloud.requests if request.path.endswith(DATA)]
    assert {json.loads(body)["period"] for body in bodies} == set(REACH)
    for body in bodies:
        query: Dict[str, Any] = json.loads(body)
        period, reach = REACH[query["period"]]
        length = query["to"] - query["from"]
        assert 1 <= len(query["metrics"]) <= 500
        assert len(body) <= 512 * 1024
        assert 0 < length <= reach
        assert len(query["metrics"]) * length <= 3000 * period
        assert "tpm" not in [metric["metric_name"] for metric in query["metrics"]]


def test_minutes_after_a_pause(cloud: Cloud, program: Program, clock: FixedClock) -> None:
    """Every minute since the last cycle comes, also the oldest, with the tokens of `total_tokens`."""
    models = cloud.emulator.models = SimulatedModels(2, 8, Traffic(load=20))
    config = program.cloud_config(cloud, "models: true\nranges: [last_7d]\nmax_requests_per_minute: 80000\n")
    program("collect", "--config", config)
    clock.at += 4 * 3600
    done = program("collect", "--config", config)
    assert "tpm" not in done.stderr
    points = [parse_line(line) for line in done.stdout.splitlines()]
    found = {
        (series_from_tags(point["tags"]), point["time"] // 1_000_000): point["fields"]
        for point in points
        if point["measurement"] in ("huawei_maas_model", "huawei_maas_model_key")
    }
    newest = int(clock.at * 1000) // 60_000 * 60_000 - 6 * 60_000
    minutes = range(newest - 239 * 60_000, newest + 60_000, 60_000)
    series = [(model, key) for model in models.ids() for key in ("", *models.key_ids(model))]
    expected = {(each, at): expected_minute(models, each, at) for each in series for at in minutes}
    assert found == {each: fields for each, fields in expected.items() if fields}


def test_one_type_per_field(cloud: Cloud, program: Program) -> None:
    """A field has one type in all measurements: with Telegraf's `name_override` all are one."""
    prices = f"prices: {{currency: CNY, models: {{{cloud.emulator.models.ids()[0]}: {{prompt: 2, completion: 8}}}}}}\n"
    done = program("collect", "--config", program.cloud_config(cloud, CONFIG + prices + """\
        infer_types: [real_time, batch]
        api_keys: [team-search]
        per_api_key: true
        """.replace("        ", "")))  # fmt: skip
    assert done.returncode == 0
    kinds: Dict[str, Dict[type, str]] = {}
    for point in (parse_line(line) for line in done.stdout.splitlines()):
        for name, value in point["fields"].items():
            kinds.setdefault(name, {})[type(value)] = point["measurement"]
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}
    minutes = [line for line in done.stdout.splitlines() if re.match("huawei_maas_model(_key)?,", line)]
    assert minutes
    assert not [line for line in minutes if re.search(r"[ ,](total|prompt|completion)_tokens=", line)]
