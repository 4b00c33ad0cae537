"""Every fault of the table: through a `collect` of its own, `report`, `execd` without end, and the Agent's check."""

from __future__ import annotations

import json
import select
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.errors import Result
from maas_usage_check.standin.emulator import PROJECT_ID

from ..conftest import AK, SK, Program
from .server import Server
from .table import CUT_OFF, FOLDED, TABLE, Row, markdown, told_apart

NAMES = [f"{row.title}: {row.variant}" for row in TABLE]
# A process for each takes its time: of the rows that differ by a field's name alone, every fifth.
SOME = [i for i, row in enumerate(TABLE) if row.title != FOLDED[0] or i % 5 == 0]
# A report goes the way of `collect`: one of each that reads otherwise, and of what the status alone must tell, all.
READ = {id(row) for row in told_apart()}
REPORTED = [i for i, row in enumerate(TABLE) if id(row) in READ or row.title == CUT_OFF]
DOCUMENT = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
OPTIONS = "ranges: [last_1d, last_7d]\ntimeout: 0.3\ndeadline: 8\ntags: [n:1]\n"


def put_key(row: Row, path: Path, ak: str = AK) -> None:
    path.unlink(missing_ok=True)
    if row.key != "missing":
        path.write_text(f"{ak},{SK}" if row.key == "right" else "")
        path.chmod(0o600)


def prepare(row: Row, server: Server) -> None:
    server.restore()
    server.fault = row.fault
    if not row.listening:
        server.refuse()


def configure(program: Program, server: Server, looked_up: bool, labels: Sequence[str], name: str = "conf.yaml") -> str:
    project = "" if looked_up else f"    project_id: {PROJECT_ID}\n"
    options = "".join(f"    {line}\n" for line in OPTIONS.splitlines())
    options += f"    api_keys: {json.dumps(labels)}\n" if labels else ""
    return program.config(
        f"instances:\n  - endpoint: {server.url}\n    iam_endpoint: {server.url}\n{project}"
        f"    credentials: {{source: file, path: {program.folder / 'key'}}}\n{options}",
        name,
    )


def check_points(row: Row, lines: List[Dict[str, Any]]) -> None:
    *usage, api = lines
    assert [line["measurement"] for line in usage] == ["huawei_maas_usage"] * row.points
    assert all(("error_ratio" in line["fields"]) == bool(row.result) for line in usage)
    fields = api["fields"]
    assert (fields["up"], Result(fields["result_code"])) == (row.up, row.code)
    assert (fields["queries"], fields["failed_queries"]) == (2, 2 - row.points)


def check_requests(row: Row, requests: int) -> None:
    assert row.most_requests is None or requests <= row.most_requests, "a refusal was tried again"


def check_line(row: Row, line: str) -> None:
    assert line.startswith(f"{row.level}! ")
    assert row.matches(line[3:]), f"{line}\nis not\n{row.line}"
    assert len(line.encode()) <= 512, "Telegraf cuts what is longer"


@pytest.mark.parametrize("row", [TABLE[i] for i in SOME], ids=[NAMES[i] for i in SOME])
def test_collect(row: Row, server: Server, program: Program) -> None:
    put_key(row, program.folder / "key")
    prepare(row, server)
    done = program("collect", "--config", configure(program, server, row.looked_up, row.labels))
    assert done.returncode == row.exit_code
    check_points(row, [parse_line(line) for line in done.stdout.splitlines()])
    check_line(row, done.stderr.splitlines()[0])
    check_requests(row, len(server.requests))


@pytest.mark.parametrize("row", [TABLE[i] for i in REPORTED], ids=[NAMES[i] for i in REPORTED])
def test_report(row: Row, server: Server, program: Program) -> None:
    put_key(row, program.folder / "key")
    prepare(row, server)
    done = program("report", "--format", "json", "--config", configure(program, server, row.looked_up, row.labels))
    assert done.returncode == row.exit_code
    records = json.loads(done.stdout)
    assert [record["range"] for record in records] == ["last_1d", "last_7d"]
    assert sum(record["total_tokens"] is not None for record in records) == row.points
    assert sum(record["error_ratio"] is not None for record in records) == (row.points if row.result else 0)
    check_line(row, done.stderr.splitlines()[0])
    check_requests(row, len(server.requests))


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("looked_up", "labels"), sorted({(row.looked_up, row.labels) for row in TABLE}))
def test_execd(looked_up: bool, labels: Tuple[str, ...], server: Server, program: Program) -> None:
    """One daemon lives through all of them. Each comes with a key of its own, for waits belong to a key."""
    process = program.start("execd", "--config", configure(program, server, looked_up, labels))
    server.emulator.requests_per_minute = 100_000
    wrong: List[str] = []
    try:
        for i, row in enumerate(row for row in TABLE if (row.looked_up, row.labels) == (looked_up, labels)):
            for ak, broken in ((f"{AK}{i}", True), (f"{AK}{i}again", False)):
                server.emulator.keys[ak] = SK
                put_key(row if broken else TABLE[-1], program.folder / "key", ak)
                prepare(row, server)
                if not broken:
                    server.restore()
                before = len(server.requests)
                lines = ask(process, 2 if not broken else row.points)
                try:
                    if broken:
                        check_points(row, lines)
                        check_line(row, said(process))
                        check_requests(row, len(server.requests) - before)
                    else:
                        assert lines[-1]["fields"]["result_code"] == 0
                        assert said(process).endswith(": recovered")
                except AssertionError as error:
                    wrong.append(f"{row.title}, {row.variant}: {error}")
        assert not wrong, "\n".join(wrong)
    finally:
        process.kill()
        process.communicate()


def ask(process: subprocess.Popen[bytes], points: int) -> List[Dict[str, Any]]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"\n")
    lines: List[Dict[str, Any]] = []
    while not lines or lines[-1]["measurement"] != "huawei_maas_api":
        assert select.select([process.stdout], [], [], 20)[0], "no batch came"
        lines.append(parse_line(process.stdout.readline().decode().rstrip("\n")))
    return lines


def said(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr
    assert select.select([process.stderr], [], [], 5)[0], "nothing was said"
    return process.stderr.readline().decode().rstrip("\n")


@pytest.mark.parametrize("row", TABLE, ids=NAMES)
def test_the_agents_check(row: Row, server: Server, agent: Callable[..., Any], aggregator: Any, tmp_path: Path) -> None:
    put_key(row, tmp_path / "key")
    prepare(row, server)
    entry = {
        "endpoint": server.url,
        "iam_endpoint": server.url,
        "credentials": {"source": "file", "path": f"{tmp_path}/key"},
        "ranges": ["last_1d", "last_7d"],
        "timeout": 0.3,
        "deadline": 8,
        "tags": ["n:1"],
        **({} if row.looked_up else {"project_id": PROJECT_ID}),
        **({"api_keys": list(row.labels)} if row.labels else {}),
    }
    check = agent(entry)
    report = check.run()
    usage = aggregator.metrics("huawei_maas.usage.total_tokens")
    assert len(usage) == row.points
    assert len(aggregator.metrics("huawei_maas.usage.error_ratio")) == (row.points if row.result else 0)
    values = {name: [metric.value for metric in aggregator.metrics(f"huawei_maas.api.{name}")]
              for name in ("up", "result_code")}  # fmt: skip
    assert values == {"up": [row.up], "result_code": [row.code]}
    texts = [json.loads(report)[0]["message"]] if report else check.get_warnings()
    assert bool(report) == (not row.up)
    assert row.matches(texts[0]), f"{texts[0]}\nis not\n{row.line}"
    check_requests(row, len(server.requests))


def test_the_troubleshooting_table_of_the_docs_is_made_from_the_table() -> None:
    assert markdown() in DOCUMENT.read_text(encoding="utf-8")
