"""Every fault of the table, through a `collect` of its own, through one `execd`, and through the Agent's check."""

from __future__ import annotations

import json
import select
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.errors import Result
from maas_usage_check.standin.emulator import PROJECT_ID

from ..conftest import AK, SK, Program
from .server import Server
from .table import FOLDED, TABLE, Row, markdown

NAMES = [f"{row.title}: {row.variant}" for row in TABLE]
# A process for each takes its time: of the rows that differ by a field's name alone, every fifth.
SOME = [i for i, row in enumerate(TABLE) if row.title != FOLDED[0] or i % 5 == 0]
DOCUMENT = Path(__file__).parents[2] / "README.md"
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


def configure(program: Program, server: Server, row_looked_up: bool, name: str = "conf.yaml") -> str:
    project = "" if row_looked_up else f"    project_id: {PROJECT_ID}\n"
    options = "".join(f"    {line}\n" for line in OPTIONS.splitlines())
    return program.config(
        f"instances:\n  - endpoint: {server.url}\n    iam_endpoint: {server.url}\n{project}"
        f"    credentials: {{source: file, path: {program.folder / 'key'}}}\n{options}",
        name,
    )


def check_points(row: Row, lines: List[Dict[str, Any]]) -> None:
    *usage, api = lines
    assert [line["measurement"] for line in usage] == ["huawei_maas_usage"] * row.points
    fields = api["fields"]
    assert (fields["up"], Result(fields["result_code"])) == (row.up, row.code)
    assert (fields["queries"], fields["failed_queries"]) == (2, 2 - row.points)


def check_line(row: Row, line: str) -> None:
    assert line.startswith(f"{row.level}! ")
    assert row.matches(line[3:]), f"{line}\nis not\n{row.line}"
    assert len(line.encode()) <= 512, "Telegraf cuts what is longer"


@pytest.mark.parametrize("row", [TABLE[i] for i in SOME], ids=[NAMES[i] for i in SOME])
def test_collect(row: Row, server: Server, program: Program) -> None:
    put_key(row, program.folder / "key")
    prepare(row, server)
    done = program("collect", "--config", configure(program, server, row.looked_up))
    assert done.returncode == row.exit_code
    check_points(row, [parse_line(line) for line in done.stdout.splitlines()])
    check_line(row, done.stderr.splitlines()[0])


@pytest.mark.parametrize("looked_up", [False, True])
def test_execd(looked_up: bool, server: Server, program: Program) -> None:
    """One daemon lives through all of them. Each comes with a key of its own, for waits belong to a key."""
    process = program.start("execd", "--config", configure(program, server, looked_up))
    server.emulator.requests_per_minute = 100_000
    wrong: List[str] = []
    try:
        for i, row in enumerate(row for row in TABLE if row.looked_up == looked_up):
            for ak, broken in ((f"{AK}{i}", True), (f"{AK}{i}again", False)):
                server.emulator.keys[ak] = SK
                put_key(row if broken else TABLE[-1], program.folder / "key", ak)
                prepare(row, server)
                if not broken:
                    server.restore()
                lines = ask(process, 2 if not broken else row.points)
                try:
                    if broken:
                        check_points(row, lines)
                        check_line(row, said(process))
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
    }
    check = agent(entry)
    report = check.run()
    usage = aggregator.metrics("huawei_maas.usage.total_tokens")
    assert len(usage) == row.points
    values = {name: [metric.value for metric in aggregator.metrics(f"huawei_maas.api.{name}")]
              for name in ("up", "result_code")}  # fmt: skip
    assert values == {"up": [row.up], "result_code": [row.code]}
    texts = [json.loads(report)[0]["message"]] if report else check.get_warnings()
    assert bool(report) == (not row.up)
    assert row.matches(texts[0]), f"{texts[0]}\nis not\n{row.line}"


def test_the_readmes_troubleshooting_table_is_made_from_the_table() -> None:
    assert markdown() in DOCUMENT.read_text(encoding="utf-8")
