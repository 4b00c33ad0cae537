"""What the documentation says is what the plugin does."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Tuple

import pytest

from maas_usage_check.cloud import Statistics
from maas_usage_check.cloud.cloud_eye import HOURLY_METRICS, METRICS, Dimensions
from maas_usage_check.cloud.cloud_eye.data import most_metrics
from maas_usage_check.cloud.cloud_eye.listing import PAGE as LISTED_AT_ONCE
from maas_usage_check.config import doubts, load_file, load_instance
from maas_usage_check.history.models.hours import LAST, ROUNDS
from maas_usage_check.history.models.remembered import Listed
from maas_usage_check.history.models.series import packed
from maas_usage_check.metrics import CATALOGUE
from tools import metrics_reference

from .agents.programs import ROOT
from .conftest import NOW, Program

DOCS = ROOT / "docs"
MAY = 1_778_414_400.0
"""2026-05-10 12:00:00 UTC: the dates of the page are days of that May."""
SECTION = re.compile(
    r"^## (.+?)$.*?```yaml\n(.+?)```.*?```yaml\n(.+?)```.*?```text\n(.+?)\n```", re.MULTILINE | re.DOTALL
)
PAGE = (DOCS / "configuration-right-and-wrong.md").read_text(encoding="utf-8")
SECTIONS: List[Tuple[str, ...]] = SECTION.findall(PAGE)
LABELS = {"per_api_key": True, "api_keys": ["a", "b", "c", ""]}
TYPES = {"service_types": ["my_service", "preset", "custom_endpoint"]}
FOUR = {"ranges": ["last_7d", "last_14d", "last_30d", "today"], "timezone": "UTC"}


def test_the_reference_of_metrics_is_what_the_catalogue_makes() -> None:
    for page in metrics_reference.PAGES:
        text = page.file.read_text(encoding="utf-8")
        assert text == metrics_reference.text(page), "run python -m tools.metrics_reference"


def test_the_reference_says_of_each_field_whether_it_is_a_gauge_or_a_count() -> None:
    for page in metrics_reference.PAGES:
        text = page.file.read_text(encoding="utf-8")
        for measurement, fields in CATALOGUE.items():
            section = text.split(f"\n## {measurement}\n")[1].split("\n## ")[0]
            for field in fields:
                assert f"| `{field.name}` | {field.kind.__name__} | {field.nature} |" in section


def test_every_section_of_right_and_wrong_has_both_and_the_error() -> None:
    assert len(SECTIONS) == PAGE.count("\n## ") > 10


@pytest.mark.parametrize(("title", "wrong", "right", "said"), SECTIONS, ids=[section[0] for section in SECTIONS])
def test_the_wrong_configuration_gets_the_error_that_is_shown(
    program: Program, title: str, wrong: str, right: str, said: str
) -> None:
    config = program.config(wrong)
    done = program("collect", "--config", config, HW_ACCESS_KEY=None, HW_SECRET_KEY=None)
    assert said in done.stderr.replace(config, "conf.yaml").splitlines()
    assert done.returncode == (2 if said.startswith("E! conf.yaml") else 1)


@pytest.mark.parametrize("right", [section[2] for section in SECTIONS], ids=[section[0] for section in SECTIONS])
def test_the_right_configuration_asks_for_each_of_its_series_and_is_in_no_doubt(program: Program, right: str) -> None:
    instances = load_file(program.config(right), MAY)
    for instance in instances:
        plan = Statistics().plan(instance, int(MAY * 1000))
        kinds = len(instance.ranges) * len(instance.service_types) * len(instance.infer_types)
        labels = len(instance.api_keys or ()) if instance.per_api_key else 0
        assert len(plan.series) == kinds * (1 + labels)
        assert all(series.queries for series in plan.series)
        assert not plan.expired
    assert list(doubts(instances, MAY)) == []


@pytest.mark.parametrize(
    ("entry", "calls"),
    [({}, 4), (FOUR, 5), ({**FOUR, **TYPES}, 15), ({**FOUR, **TYPES, **LABELS}, 75)],
    ids=["default", "today", "service types", "labels"],
)
def test_polling_costs_what_the_page_says(entry: Dict[str, Any], calls: int) -> None:
    instance = load_instance(entry, {}, "instances[0]", NOW)
    assert len(Statistics().plan(instance, int(NOW * 1000)).queries) == calls
    row = f"| {calls} | {calls * 288:,} | {calls * 96:,} | {calls * 24:,} |"
    assert row in (DOCS / "freshness-and-cost.md").read_text(encoding="utf-8")


def test_models_cost_what_the_page_says() -> None:
    page = (DOCS / "freshness-and-cost.md").read_text(encoding="utf-8")
    rows = [
        line.strip("| ").split(" | ") for line in page.split("With `models: true` Cloud Eye is asked")[1].splitlines()
    ]
    shown = {row[0]: row[-2:] for row in rows if len(row) > 2}

    def calls(models: int, keys: int) -> List[int]:
        series = [Listed(Dimensions(str(i)), sorted(METRICS), 0, 0) for i in range(models * (1 + keys))]
        minutes = len(list(packed(series, most_metrics(15))))
        pages = -(-len(series) * len(METRICS) // LISTED_AT_ONCE) + 1
        of_hours = [hours for hours, _ in ROUNDS.values()]
        last, healing, past = (
            len(list(packed(series, most_metrics(hours), HOURLY_METRICS))) for hours in (LAST, *of_hours)
        )
        live = 288 * minutes + 24 * pages
        return [minutes, pages, last, healing, past, live, live + 288 * last + 24 * healing + past]

    columns = zip(*(map("{:,}".format, calls(*account)) for account in ((3, 8), (30, 20))))
    assert [list(row) for row in columns] == list(shown.values())[1:]


def test_the_policies_are_json_that_allows_reading_alone() -> None:
    page = (DOCS / "permissions.md").read_text(encoding="utf-8")
    policies = [json.loads(block) for block in re.findall(r"```json\n(.+?)```", page, re.DOTALL)]
    allowed = [[action for statement in policy["Statement"] for action in statement["Action"]] for policy in policies]
    statistics, models, project = allowed
    assert statistics == ["modelarts:monitoring:get"]
    assert models == [*statistics, "ces:metrics:list", "ces:metricData:list"]
    assert project == ["iam:projects:get"]
