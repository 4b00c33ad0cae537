"""The page beside the metrics of `serve`: methods, `--no-page`, reloads, TLS, and the extra."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Iterator

import pytest
from werkzeug.test import Client

from maas_usage_check.commands.serve.exporter_pages import make_application
from maas_usage_check.commands.serve.snapshot import Snapshot

from ..conftest import Cloud, FixedClock, Program, wait_for
from ..program import only_line
from .exporter import Authority, running_exporter
from .served_pages import ServedPages, access_key

__all__ = ["access_key"]
PATHS = ("/", "/usage.csv", "/usage.json")


@pytest.fixture
def pages(cloud: Cloud, program: Program, clock: FixedClock, tmp_path: Path, access_key: None) -> Iterator[ServedPages]:
    yield ServedPages(program, program.cloud_config(cloud, f"hourly: true\nstate_dir: {tmp_path}"), clock.clock)
    assert not cloud.requests


@pytest.fixture
def client(pages: ServedPages) -> Client:
    return Client(make_application(pages.snapshot, pages.pages))


def config(program: Program, cloud: Cloud, count: int) -> str:
    """Write a configuration of so many instances."""
    instances = [{**cloud.entry(), "tags": [f"number:{number}"]} for number in range(1, count + 1)]
    return program.config(json.dumps({"instances": instances}))


@pytest.mark.parametrize("path", PATHS)
def test_methods(client: Client, path: str) -> None:
    """HEAD has the headers of GET and no body; other methods are refused."""
    response, head = client.get(path), client.head(path)
    assert (response.status_code, head.status_code, head.data) == (200, 200, b"")
    assert list(head.headers) == list(response.headers)
    assert response.data
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        refused = client.open(path, method=method)
        assert (refused.status_code, refused.text) == (405, "only GET and HEAD\n")


def test_head_of_an_error(client: Client) -> None:
    head = client.head("/?period=x")
    assert (head.status_code, head.data) == (400, b"")


def test_other_paths(client: Client) -> None:
    """The page takes nothing from the other paths, and has no paths of its own but the downloads."""
    assert client.get("/-/ready").text == "the first cycle has not ended\n"
    for path in ("/index.html", "/usage.xml", "//", "/usage.csv/", "/focus.CSV", "/..", "/%2e%2e/conf.yaml", "/%00"):
        assert client.get(path).status_code == 404
    assert client.get("/focus.csv").text == (
        "focus.csv: needs `prices` in the configuration, with `models: true` and `hourly: true`\n"
    )


def test_language(client: Client) -> None:
    assert '<html lang="zh' in client.get("/", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text
    assert '<html lang="en' in client.get("/?lang=en", headers={"Accept-Language": "zh-CN"}).text


def test_index(clock: FixedClock) -> None:
    """Without the page, `/` has three links, and there are no downloads."""
    client = Client(make_application(Snapshot(clock.clock)))
    for path in ("/metrics", "/-/ready", "/-/healthy"):
        assert f'<a href="{path}">' in client.get("/?period=x").text
    assert [client.get(path).status_code for path in ("/usage.csv", "/usage.json", "/focus.csv")] == [404] * 3


def test_reload(cloud: Cloud, program: Program, pages: ServedPages) -> None:
    """A page follows a reload: instances come and go, and with them what may be asked for."""
    for count in (2, 3, 1):
        pages.load(config(program, cloud, count))
        statuses = [pages.get(query=f"instance={number}").status[:3] for number in range(1, 5)]
        assert statuses == [*["200"] * count, *["400"] * (4 - count)]
        assert [f"number:{number}" in pages.text() for number in (2, 3)] == [count > 1, count > 2]


def test_reload_with_signal(cloud: Cloud, program: Program) -> None:
    """SIGHUP, in a process of its own."""
    with running_exporter(program, config(program, cloud, 1)) as exporter:
        exporter.wait_until_ready()
        assert exporter.get("/?instance=2").status == 400
        config(program, cloud, 2)
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "I! configuration reloaded" in exporter.log, "the reload")
        assert exporter.get("/?instance=2").status == 200
        assert exporter.stop() == 0


def test_tls(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    """Who may not read the metrics may not read the page either."""
    authority = Authority(tmp_path / "tls")
    options = (*authority.issue(), "--tls-client-ca", authority.file)
    config_path = program.cloud_config(cloud, f"hourly: true\nstate_dir: {tmp_path}")
    with running_exporter(program, config_path, *options, context=authority.client()) as exporter:
        assert exporter.url.startswith("https://")
        exporter.wait_until_ready()
        for path in (*PATHS, "/metrics"):
            assert exporter.get(path).status == 200
        exporter.context = authority.client(with_certificate=False)
        for path in (*PATHS, "/metrics"):
            with pytest.raises(OSError, match=r"(?i)certificate required|reset|EOF|closed|broken pipe"):
                exporter.get(path)


def without(program: Program, module: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; from maas_usage_check.cli import run; run()"
    program.command = [sys.executable, "-c", code]


@pytest.mark.parametrize("module", ["jinja2", "prometheus_client"])
def test_missing_extra(cloud: Cloud, program: Program, module: str) -> None:
    without(program, module)
    line = only_line(program.process("serve", "--config", program.cloud_config(cloud)), 2)
    assert line == "E! serve: needs the extra `serve`: pip install 'maas-usage-check[serve]'"


def test_no_page_without_jinja(cloud: Cloud, program: Program) -> None:
    """Without the page Jinja2 is not needed; `/` has the links."""
    without(program, "jinja2")
    with running_exporter(program, program.cloud_config(cloud), "--no-page") as exporter:
        assert '<a href="/metrics">' in exporter.get("/").text
        assert exporter.get("/usage.csv").status == 404
