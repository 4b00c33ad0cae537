"""The assets for Datadog, checked against the catalogue and the models of Datadog's own client."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

import maas_usage_check
from maas_usage_check.metrics import CATALOGUE, HOUR_TIMESTAMPED
from maas_usage_check.metrics.datadog import metric_name

from ..conftest import Program
from ..program import only_line
from .conftest import need_library

ASSETS = Path(maas_usage_check.__file__).parent / "assets"
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
DASHBOARD = ASSETS / "datadog" / "dashboards" / "maas_usage.json"
MONITORS = sorted((ASSETS / "datadog" / "monitors").glob("*.json"))
SUBMITTED = {name: fields for name, fields in CATALOGUE.items() if name not in HOUR_TIMESTAMPED}
KNOWN = {metric_name(measurement, field.name) for measurement, fields in SUBMITTED.items() for field in fields}
TAGS = set(
    "range service_type infer_type region project_id api_key_label maas_api_id model currency api_key team cost_center "
    "scope unit".split()
)


def read(path: Path) -> Dict[str, Any]:
    document: Dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def strings(value: Any) -> Iterator[str]:
    """Yield all strings of a document."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(inner)


def unparsed(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths that Datadog's client could not parse."""
    from datadog_api_client.model_utils import OpenApiModel, UnparsedObject

    if isinstance(value, UnparsedObject) or getattr(value, "_unparsed", False) is True:
        yield path
    if isinstance(value, OpenApiModel):
        value = getattr(value, "_data_store", {})
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from unparsed(inner, f"{path}.{key}")


def parse(document: Dict[str, Any], model: Any) -> Any:
    from datadog_api_client import Configuration
    from datadog_api_client.model_utils import validate_and_convert_types

    return validate_and_convert_types(document, (model,), ["document"], True, True, Configuration())


@pytest.mark.parametrize("path", [DASHBOARD, *MONITORS], ids=lambda path: path.stem)
def test_queries(path: Path) -> None:
    """Every metric and tag of an asset's queries exists."""
    queries = [text for text in strings(read(path)) if re.search(r":huawei_maas\.\w+\.\w+\{", text)]
    assert queries
    for query in queries:
        for metric, scope, _, by in re.findall(r"(huawei_maas\.\w+\.\w+)\{([^}]*)\}( by \{([^}]*)\})?", query):
            assert metric in KNOWN
            filters = [part.split(":")[0] for part in scope.split(",") if part != "*" and not part.startswith("$")]
            assert {*filters, *(by.split(",") if by else [])} <= TAGS


def test_dashboard_metrics() -> None:
    """The dashboard shows every metric that is meant for people."""
    text = DASHBOARD.read_text(encoding="utf-8")
    shown = {name for name in KNOWN if f":{name}{{" in text}
    unread = {  # sliding totals answer no question of the dashboard; parts of shown values are for queries
        name
        for name in KNOWN
        for _, measurement, field in [name.split(".")]
        if measurement in ("usage", "key_usage", "model_key")
        or field in ("prompt_tokens", "completion_tokens", "total_tokens", "time_per_output_token_seconds")
        or field in ("prompt_tokens_per_minute", "completion_tokens_per_minute")
        or (measurement in ("key_consumed", "model_key_consumed") and field != "tokens")
        or (measurement == "model_consumed" and field == "errors")
        or (measurement == "model_key_cost_consumed" and field != "cost")
    }
    assert KNOWN - shown == unread - {"huawei_maas.usage.total_tokens", "huawei_maas.usage.coverage_ratio"}


def test_dashboard_variables() -> None:
    """The dashboard uses its variables, and they filter by tags that exist."""
    variables = {variable["name"]: variable["prefix"] for variable in read(DASHBOARD)["template_variables"]}
    assert set(variables.values()) == {"region", "project_id", "service_type", "model"}
    used = {name for text in strings(read(DASHBOARD)) for name in re.findall(r"\$(\w+)", text)}
    assert used == set(variables)


@pytest.mark.parametrize("path", [DASHBOARD, *MONITORS], ids=lambda path: path.stem)
def test_client_parses(path: Path) -> None:
    """Datadog's own client parses the asset."""
    need_library("datadog_api_client")
    from datadog_api_client.v1.model.dashboard import Dashboard
    from datadog_api_client.v1.model.monitor import Monitor

    document = read(path)
    if path == DASHBOARD:
        assert list(unparsed(parse(document, Dashboard))) == []
        assert sum(len(group["definition"]["widgets"]) for group in document["widgets"]) > 25
    else:
        assert list(unparsed(parse(document["definition"], Monitor))) == []
        assert (document["version"], {"title", "description", "tags"} <= set(document)) == (2, True)


@pytest.mark.parametrize("path", MONITORS, ids=lambda path: path.stem)
def test_monitor(path: Path) -> None:
    """A monitor's query and threshold agree, and its message says what to do."""
    definition = read(path)["definition"]
    limit = float(re.search(r"[<>]=? ([0-9.]+)$", definition["query"])[1])  # type: ignore[index]
    assert limit == definition["options"]["thresholds"]["critical"]
    assert "What to do: " in definition["message"]
    grouped = set(re.findall(r"by \{([^}]*)\}", definition["query"])[0].split(","))
    assert set(re.findall(r"\{\{(\w+)\.name\}\}", definition["message"] + definition["name"])) <= grouped


def test_example_configuration() -> None:
    """The validator of the Agent's integrations accepts conf.yaml.example."""
    validator = need_library("datadog_checks.dev.tooling.config_validator.validator")
    example = (ASSETS / "conf.yaml.example").read_text(encoding="utf-8")
    assert [str(error) for error in validator.validate_config(example)] == []
    for name in re.findall("## @param ([a-z_]+) ", example):
        (error,) = validator.validate_config(example.replace(f"## @param {name} - ", f"## @param {name} - odd "))
        assert "is not accepted" in str(error)


def test_assets_command(program: Program, tmp_path: Path) -> None:
    """The command `assets` writes the whole tree, prints each file, and changes no other file."""
    folder = tmp_path / "new" / "folder"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "mine.json").write_text("{}")
    done = program("assets", str(folder))
    linked = {Path("examples") / path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("*") if path.is_file()}
    ours = {path.relative_to(ASSETS) for path in ASSETS.rglob("*") if path.is_file()} | linked
    assert {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} == {*ours, Path("mine.json")}
    assert sorted(done.stdout.split()) == sorted(str(folder / path) for path in ours)
    assert all((folder / path).read_bytes() == (ASSETS / path).read_bytes() for path in ours)
    assert ((folder / "mine.json").read_text(), stat.S_IMODE(folder.stat().st_mode)) == ("{}", 0o700)
    assert program("assets", str(tmp_path / "made" / "anew")).returncode == 0


def test_assets_into_a_file(program: Program, tmp_path: Path) -> None:
    """The command `assets` reports a target that is no folder in one line."""
    (tmp_path / "file").write_text("")
    line = only_line(program("assets", str(tmp_path / "file")), 2)
    assert (line[:3], "cannot be written" in line) == ("E! ", True)
