"""What must never be on a page, and what is escaped on it."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

from maas_usage_check.errors import Problem

from ..conftest import AK, SK, Cloud, FixedClock, Program
from .served_pages import ServedPages, access_key

__all__ = ["access_key"]
PATHS = ("/", "/usage.csv", "/usage.json")
KEYS = """
hourly: true
ips: [203.0.113.7]
proxy: {https: "http://user:pass-word@127.0.0.1:1"}
api_keys: [label-one]
"""


def served(cloud: Cloud, program: Program, clock: FixedClock, more: str = "") -> ServedPages:
    return ServedPages(program, program.cloud_config(cloud, f"{KEYS}{more}\n"), clock.clock)


@pytest.mark.parametrize("query", ["", "lang=zh", "period=today", "by=service"])
def test_no_secrets(
    cloud: Cloud, program: Program, clock: FixedClock, tmp_path: Path, access_key: None, query: str
) -> None:
    """Neither the access key, nor paths, hosts and filters of the configuration; a filter by label is one too."""
    pages = served(cloud, program, clock, f"state_dir: {tmp_path}")
    for path in PATHS:
        text = pages.text(path, query)
        for secret in (AK, SK, "203.0.113.7", "pass-word", "label-one", str(tmp_path), "127.0.0.1"):
            assert secret not in text


@pytest.mark.parametrize("path", PATHS)
def test_labels(cloud: Cloud, program: Program, clock: FixedClock, access_key: None, path: str) -> None:
    """Labels that have a series are names of keys, and shown."""
    assert "label-one" in served(cloud, program, clock, "per_api_key: true").text(path, "by=key")


def test_no_credentials(cloud: Cloud, program: Program, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the page works from the ledger."""
    monkeypatch.delenv("HW_ACCESS_KEY", raising=False)
    assert "First collection is running" in served(cloud, program, clock).text()


def test_problems_are_escaped(cloud: Cloud, program: Program, clock: FixedClock, access_key: None) -> None:
    """The line of a problem may have a text of the cloud."""
    pages, hostile = served(cloud, program, clock), "refused: <script>alert('1')</script> {{ 7 * 7 }} & \"x\""
    pages.complete_cycle(problems=[Problem("W", hostile, "")])
    text = pages.text()
    assert "<script" not in text
    assert hostile in html.unescape(text)
