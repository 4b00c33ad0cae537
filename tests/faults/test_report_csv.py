"""A text in the CSV of a report is never a spreadsheet's formula."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, List

import pytest

from ..conftest import Cloud, Program

NAMES = {
    "=1+1": "'=1+1", '=HYPERLINK("http://x","y")': '\'=HYPERLINK("http://x","y")', "+1": "'+1", "-1": "'-1",
    "@SUM(1)": "'@SUM(1)", "a=b": "a=b", "'=1": "'=1", "qwen-3": "qwen-3",
}  # fmt: skip


def read_rows(program: Program, config: str, form: str, *options: str) -> List[Any]:
    done = program("report", "--last", "2d", "--format", form, "--config", config, *options)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout))) if form == "csv" else json.loads(done.stdout)["rows"]


@pytest.mark.parametrize("name", NAMES)
def test_names(cloud: Cloud, program: Program, name: str) -> None:
    """Names of models and the user's tags get a leading `'`; numbers stay, and so does JSON."""
    model = cloud.emulator.models.ids()[0]
    tags = json.dumps([f"{name}:x"]) if name[0] in "=+@" and name.isascii() and '"' not in name else "[]"
    config = program.cloud_config(cloud, f"models: true\nmodel_names: {{{model}: {json.dumps(name)}}}\ntags: {tags}\n")
    (text,) = [row for row in read_rows(program, config, "csv", "--by", "model") if row["maas_api_id"] == model]
    (plain,) = [row for row in read_rows(program, config, "json", "--by", "model") if row["maas_api_id"] == model]
    assert (text["model"], plain["model"]) == (NAMES[name], name)
    assert text["tags"] == ("'" if plain["tags"] else "") + plain["tags"]
    for column in ("total_tokens", "requests", "errors", "share", "covered_ratio"):
        assert float(text[column]) == plain[column]


def test_labels(cloud: Cloud, program: Program) -> None:
    config = program.cloud_config(cloud, "api_keys: ['-1', team-search]\n")
    for form, label in (("csv", "'-1"), ("json", "-1")):
        assert label in [row["api_key_label"] for row in read_rows(program, config, form, "--by", "key")]
