"""What docs/models.md says of models: which format gives what, and what the queries to paste ask for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Set

import pytest

from maas_usage_check.metrics import CATALOGUE
from maas_usage_check.metrics.catalogue import AT_THEIR_HOUR, COUNT
from maas_usage_check.metrics.datadog import metric_name

from .conftest import Cloud, Program

PAGE = (Path(__file__).parent.parent / "docs" / "models.md").read_text(encoding="utf-8")
QUERIES = PAGE.split("\n## Queries\n")[1].split("\n## ")[0]
ROWS: Dict[str, str] = {
    cells[0]: cells[1]
    for cells in ([cell.strip() for cell in row.split("|")[1:-1]] for row in PAGE.splitlines() if row.startswith("|"))
}
OF_MODELS = {name: fields for name, fields in CATALOGUE.items() if name.startswith("huawei_maas_model")}
IN_PROMETHEUS = {
    f"{name}_{field.name}{'_total' if field.nature == COUNT else ''}"
    for name, fields in OF_MODELS.items()
    if name not in AT_THEIR_HOUR
    for field in fields
}
CONFIG = """\
ranges: [last_7d]
models: true
hourly: true
backfill_days: 1
max_requests_per_minute: 6000
prices: {{currency: CNY, models: {{{model}: {{prompt: 2.0, completion: 8.0}}}}}}
"""


def named(surface: str) -> Set[str]:
    """List what the rows of a surface name."""
    return {name for row, cell in ROWS.items() if surface in row for name in re.findall(r"`(huawei_maas[\w.]+)`", cell)}


def block(language: str) -> List[str]:
    """List the queries of a language, without what is said of them."""
    (text,) = re.findall(rf"```{language}\n(.+?)```", QUERIES, re.DOTALL)
    return [line for line in text.splitlines() if line and not line.startswith(("#", "--"))]


@pytest.mark.parametrize(("form", "row"), [("influx", "Telegraf"), ("json", "Telegraf"), ("prometheus", "Prometheus")])
def test_each_format_gives_what_the_table_says_of_models_and_nothing_of_the_others(
    cloud: Cloud, program: Program, form: str, row: str
) -> None:
    cloud.emulator.requests_per_minute = 100_000
    config = program.for_cloud(cloud, CONFIG.format(model=f'"{cloud.emulator.models.ids()[0]}"'))
    done = program("collect", "--config", config, "--format", form)
    assert done.returncode == 0
    given = set(re.findall(r"huawei_maas_\w+", done.stdout))
    assert named(row)
    assert (named("Telegraf") | named("Prometheus")) & given == named(row)


def test_the_table_names_every_measurement_of_models() -> None:
    assert named("Telegraf") | {name for name in OF_MODELS if any(name in one for one in named("Prometheus"))} == set(
        OF_MODELS
    )
    assert named("Prometheus") <= IN_PROMETHEUS
    assert named("Datadog") <= {metric_name(name, field.name) for name, fields in OF_MODELS.items() for field in fields}


def test_the_queries_ask_for_what_there_is() -> None:
    asked = re.findall(r"huawei_maas_model\w+", " ".join(block("promql")))
    assert len(asked) == 3
    assert set(asked) <= IN_PROMETHEUS
    influx = re.findall(r'\w+\("(\w+)"\) FROM "(\w+)"', " ".join(block("sql")))
    assert len(influx) == 3
    assert all(field in {each.name for each in OF_MODELS[name]} for field, name in influx)
    samples = {metric_name(name, each.name): each.nature for name, fields in OF_MODELS.items() for each in fields}
    for query in block("text"):
        (metric,) = re.findall(r"huawei_maas\.[\w.]+(?=\{)", query)
        assert query.endswith(".as_count()") == (samples[metric] == COUNT)


@pytest.mark.parametrize("permission", ["ces:metrics:list", "ces:metricData:list"])
def test_without_a_permission_ranges_and_hours_go_on_and_the_line_names_it(
    cloud: Cloud, program: Program, permission: str
) -> None:
    assert f"`{permission}`" in PAGE
    cloud.emulator.refused.add(permission)
    done = program(
        "collect", "--config", program.for_cloud(cloud, CONFIG.replace("prices", "# prices").format(model=""))
    )
    assert f"allow `{permission}` in an IAM policy" in done.stderr.splitlines()[0]
    given = {line.split(",")[0] for line in done.stdout.splitlines()}
    assert given == {"huawei_maas_usage", "huawei_maas_hourly", "huawei_maas_api"}
    assert " up=1i,result_code=1i," in done.stdout
