"""Check numbers and tables on pages against the code, the alert rules, the monitors and the examples."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Iterable, Iterator, List

import yaml

from maas_usage_check.commands.arguments import LISTEN
from maas_usage_check.commands.serve.collection_loop import GRACE
from maas_usage_check.commands.serve.server import CONNECTION_TIMEOUT, MAX_CONNECTIONS

from ..datadog_monitors import MONITORS
from .pages import Pages, Problem

RULES = "maas_usage_check/assets/prometheus/alerts.yml"
PRIORITIES = {"critical": 2, "warning": 3}
STATISTICS = ["modelarts:monitoring:get"]
ALLOWED = [STATISTICS, [*STATISTICS, "ces:metrics:list", "ces:metricData:list"], ["iam:projects:get"]]
"""The actions of the policies in docs/permissions.md: for the statistics, with models, for the project id."""
PORT = LISTEN.rpartition(":")[2]


def alerts(pages: Pages) -> Iterator[Problem]:
    """Report alerts and monitors that differ in the table of docs/alerts.md or in the README's count."""
    groups: List[Dict[str, Any]] = yaml.safe_load(pages.source(RULES))["groups"]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}
    page, shown = pages.read("docs/alerts.md"), set()
    for line, cells in page.tables():
        if not cells[0].startswith("`"):
            continue
        name, listed, _, time, severity, _ = (cell.strip("`") for cell in cells)
        monitors = re.findall(r"\w+", listed)
        shown |= {name, *monitors}
        if name not in rules:
            yield page.problem(f"{RULES} has no alert {name}", line)
        elif (rules[name].get("for", ""), rules[name]["labels"]["severity"]) != (time, severity):
            yield page.problem(f"{name} has another time or severity in {RULES}", line)
        for monitor in monitors:
            if monitor not in MONITORS or MONITORS[monitor].priority != PRIORITIES[severity]:
                yield page.problem(f"there is no monitor {monitor} of this severity", line)
    for name in sorted({*rules, *MONITORS} - shown):
        yield page.problem(f"no row of the table has {name}")
    counts = (
        f"| {len(MONITORS)} monitors in `datadog/monitors/` |",
        f"| {len(rules)} rules in `prometheus/alerts.yml` |",
    )
    yield from _missing(pages, "README.md", counts)


def exporter(pages: Pages) -> Iterator[Problem]:
    """Report an address, limit or scrape configuration of `serve` that differs from the program or the example."""
    example = pages.source("examples/prometheus/scrape.yml")
    config = example[example.index("scrape_configs:") :].partition("    # Where it listens")[0]
    shown = "".join(line for line in config.splitlines(keepends=True) if not line.lstrip().startswith("#"))
    limits = (f"{MAX_CONNECTIONS} connections", f"{CONNECTION_TIMEOUT:g} seconds", f"plus {GRACE:g} seconds")
    yield from _missing(pages, "docs/prometheus.md", (shown, LISTEN, *limits))
    for page in pages:
        for line, port in page.matches(r'targets\b.*"127\.0\.0\.1:(\d+)"'):
            if port != PORT:
                yield page.problem(f"serve listens on {PORT}, not on {port}", line)


def collector(pages: Pages) -> Iterator[Problem]:
    """Report pipelines of the OpenTelemetry Collector with names that are not in their configuration."""
    page = pages.read("docs/other-agents.md")
    for section in page.sections:
        for _, text in section.blocks:
            if "receivers:" in text:
                document = yaml.safe_load(text)
                for pipeline in document["service"]["pipelines"].values():
                    for kind, names in pipeline.items():
                        for name in set(names) - set(document.get(kind, ())):
                            yield page.problem(f"{kind} has no {name}", section.line)


def policies(pages: Pages) -> Iterator[Problem]:
    """Report policies that are not JSON, or whose actions are not exactly the required ones."""
    page, allowed = pages.read("docs/permissions.md"), []
    for section in page.sections:
        for language, text in section.blocks:
            if language == "json":
                try:
                    statements = json.loads(text)["Statement"]
                    allowed.append([action for statement in statements for action in statement["Action"]])
                except (ValueError, LookupError) as error:
                    yield page.problem(f"no policy: {error!r}", section.line)
    if allowed != ALLOWED:
        yield page.problem(f"the policies allow {allowed}, needed are {ALLOWED}")


def _missing(pages: Pages, name: str, texts: Iterable[str]) -> Iterator[Problem]:
    page = pages.read(name)
    for text in texts:
        if text not in page.text:
            yield page.problem(f"lacks {text!r}")
