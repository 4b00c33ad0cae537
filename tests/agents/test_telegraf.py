"""A real Telegraf runs the shipped examples; its output is compared with the emulator's answers."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Callable, Dict, List, Optional

import pytest
from line_protocol_parser import parse_line
from werkzeug import Request, Response

from ..conftest import Cloud, Program, wait_for
from .programs import INSTALLED, ROOT, replaced

every_example = pytest.mark.parametrize(
    "example", ["exec.conf", "exec-1.31.conf", "exec-before-1.31.conf", "execd.conf"]
)
EXAMPLES = ROOT / "examples" / "telegraf"
AGENT = """\
[agent]
  interval = "1s"
  flush_interval = "200ms"
  omit_hostname = true
[[outputs.file]]
  files = ["{output}"]
  data_format = "influx"
"""


class Telegraf:
    """Telegraf with one of the examples, its paths and its interval replaced."""

    def __init__(self, binary: str, program: Program, command: str) -> None:
        self.binary, self.command = binary, command
        self.program = program
        self.output = program.folder / "telegraf.out"
        self.log = program.folder / "telegraf.log"
        self.log_before_the_end = ""
        self.places: Dict[str, str] = {}

    def run(self, example: str, config: str, enough: Callable[[List[Dict[str, Any]]], bool], **environ: str) -> None:
        """Run until `enough` is true of the points, then stop as systemd would."""
        text = (EXAMPLES / example).read_text(encoding="utf-8")
        places = {INSTALLED: self.command, "/etc/maas-usage-check/conf.yaml": config, '"5m"': '"1s"', **self.places}
        path = self.program.folder / "telegraf.conf"
        path.write_text(AGENT.format(output=self.output) + replaced(text, places))
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [self.binary, "--config", str(path)], stdout=log, stderr=log, env={**self.program.environ, **environ}
            )
            try:
                wait_for(lambda: enough(self.points()) or process.poll() is not None, "points", 50.0)
            finally:
                self.log_before_the_end = self.logged()
                process.terminate()
                assert process.wait(30) == 0
        assert enough(self.points()), self.logged()

    def points(self) -> List[Dict[str, Any]]:
        if not self.output.exists():
            return []
        return [parse_line(line) for line in self.output.read_text().splitlines()]

    def logged(self) -> str:
        return self.log.read_text()


@pytest.fixture
def telegraf(need: Callable[[str], str], program: Program, command: str) -> Telegraf:
    return Telegraf(need("telegraf"), program, command)


def ranges(points: List[Dict[str, Any]]) -> List[str]:
    return [point["tags"]["range"] for point in points if point["measurement"] == "huawei_maas_usage"]


def two_batches(points: List[Dict[str, Any]]) -> bool:
    return sum(point["measurement"] == "huawei_maas_api" for point in points) >= 2


def is_a_week(query: Dict[str, Any]) -> bool:
    return bool(query["end_time"] - query["start_time"] == 7 * 86_400_000)


@every_example
def test_default_ranges(cloud: Cloud, program: Program, telegraf: Telegraf, example: str) -> None:
    # max_concurrency 1, so that the answers come in the order of the queries.
    """Every shipped example collects the three default ranges."""
    telegraf.run(example, program.cloud_config(cloud, "max_concurrency: 1"), two_batches)
    points = telegraf.points()
    assert set(ranges(points)) == {"last_7d", "last_14d", "last_30d"}
    answers, queries = [answer for answer in cloud.responses if "total_token" in answer], cloud.statistics()
    (tokens,) = {round(answer["total_token"] * 1000) for body, answer in zip(queries, answers) if is_a_week(body)}
    for week in (point for point in points if point["tags"].get("range") == "last_7d"):
        assert (week["tags"]["service_type"], week["fields"]["total_tokens"]) == ("preset", tokens)
        assert type(week["fields"]["total_tokens"]) is int
        # Telegraf rounds a time to its interval.
        assert min(abs(week["time"] / 1e6 - body["end_time"]) for body in queries) <= 1000
    # While it stops, Telegraf may log that it could not read a pipe that it closed itself.
    assert " E! " not in telegraf.log_before_the_end


@every_example
def test_refused_key(cloud: Cloud, program: Program, telegraf: Telegraf, example: str) -> None:
    """A refused key is an api point without usage."""
    telegraf.run(example, program.cloud_config(cloud), two_batches, HW_SECRET_KEY="wrong")
    points = telegraf.points()
    assert ranges(points) == []
    assert [(point["fields"]["up"], point["fields"]["result_code"]) for point in points][:2] == [(0, 3), (0, 3)]
    if example in ("exec.conf", "execd.conf"):
        assert "the signature was refused" in telegraf.logged()
    assert len(cloud.requests) == 1


@pytest.mark.parametrize("example", ["exec.conf", "execd.conf"])
def test_partial_cycle(cloud: Cloud, program: Program, telegraf: Telegraf, example: str) -> None:
    """A partial cycle is logged as a warning."""

    def refuse_a_week(request: Request) -> Optional[Response]:
        refused = request.method == "POST" and is_a_week(json.loads(request.get_data()))
        return Response(b'{"error_msg": "no such week"}', 400) if refused else None

    cloud.responder = refuse_a_week
    telegraf.run(example, program.cloud_config(cloud, "max_concurrency: 1"), two_batches)
    assert set(ranges(telegraf.points())) == {"last_14d", "last_30d"}
    assert " W! " in telegraf.logged()
    assert "no such week" in telegraf.logged()


def test_no_credentials(cloud: Cloud, program: Program, telegraf: Telegraf) -> None:
    """Telegraf starts without credentials."""
    for name in ("HW_ACCESS_KEY", "HW_SECRET_KEY"):
        program.environ.pop(name)
    telegraf.run("execd.conf", program.cloud_config(cloud), two_batches)
    assert telegraf.points()[0]["fields"]["result_code"] == 2
    assert telegraf.logged().count("not set in the environment") == 1


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_signals(cloud: Cloud, program: Program, telegraf: Telegraf, name: str) -> None:
    """Telegraf may send a signal in place of the newline."""
    telegraf.places['"STDIN"'] = f'"{name}"'
    telegraf.run("execd.conf", program.cloud_config(cloud), two_batches)


def test_encoding(cloud: Cloud, program: Program, telegraf: Telegraf) -> None:
    """Tags in any script and tiny ratios arrive unchanged."""
    body = (
        b'{"total_request_count": 90000000000000, "total_error_count": 1, "total_token": 99999999999.999,'
        b'"total_prompt_token": 0.001, "total_completion_token": 0}'
    )
    cloud.responder = lambda request: Response(body) if request.method == "POST" else None
    tags = 'tags: ["team:平台 a,b=c", "slash:a\\\\b", "quote:it\'s \\"x\\""]\nranges: [last_1d]'
    telegraf.run("execd.conf", program.cloud_config(cloud, tags), two_batches)
    point = next(point for point in telegraf.points() if point["measurement"] == "huawei_maas_usage")
    assert (point["tags"]["team"], point["tags"]["slash"]) == ("平台 a,b=c", "a\\b")
    assert point["fields"]["total_tokens"] == 99999999999999
    assert point["fields"]["error_ratio"] == 1 / 90000000000000
