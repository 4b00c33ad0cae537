from __future__ import annotations

import re
import signal
import urllib.request

from line_protocol_parser import parse_line

from .conftest import Program


def test_demo_shows_a_report_and_a_collect_without_an_account_or_the_network(program: Program) -> None:
    done = program("demo", HW_ACCESS_KEY=None, HW_SECRET_KEY=None, HTTPS_PROXY="http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (0, "")
    assert "$ maas-usage-check report" in done.stdout
    assert "Total Tokens" in done.stdout
    lines = [parse_line(line) for line in done.stdout.splitlines() if line.startswith("huawei_maas")]
    assert [line["measurement"] for line in lines] == ["huawei_maas_usage"] * 3 + ["huawei_maas_api"]
    assert all(line["fields"]["total_tokens"] > 0 for line in lines[:3])


def test_demo_serve_stays_up_for_an_agent_until_it_is_told_to_stop(program: Program) -> None:
    process = program.start("demo", "--serve")
    assert process.stdout
    lines = [process.stdout.readline().decode() for _ in range(3)]
    config = lines[2].split()[-1]
    exported = dict(re.findall(r"(HW_\w+)=(\S+)", lines[1]))
    assert "not-real" in exported["HW_SECRET_KEY"]
    assert program("collect", "--config", config, **exported).returncode == 0
    url = re.findall(r"http://[0-9.:]+", lines[0])[0]
    try:
        urllib.request.urlopen(url, timeout=5)
    except urllib.error.HTTPError as error:
        assert error.code == 401
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
