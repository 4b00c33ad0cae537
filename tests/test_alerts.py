"""Conventions of the alert rules; promtool runs the rules in tests/agents."""

from __future__ import annotations

import re
from typing import Any, Dict, List

import yaml

from maas_usage_check.metrics import KEY_USAGE, USAGE

from .agents.programs import ROOT

FILE = ROOT / "maas_usage_check" / "assets" / "prometheus" / "alerts.yml"
RULES: List[Dict[str, Any]] = [
    rule for group in yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]
FUNCTIONS = set(
    "days_in_month day_of_month count_values sum_over_time avg_over_time max_over_time last_over_time "
    "absent_over_time label_replace".split()
)
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
TESTS = [FILE.with_name("alerts_test.yml"), ROOT / "tests" / "agents" / "test_alert_rules.py"]
SAME = {"region", "project_id", "service_type", "infer_type"}
TOTALS = re.compile(rf"\b({USAGE}|{KEY_USAGE})_(?!coverage)\w+")
ONE = re.compile(
    rf'max by \(([^)]*)\) \((?:last_over_time\()?{TOTALS.pattern}{{range="\w+"}}(?:\[2h\]\)| offset 1d)?\)'
)
"""The totals of one range: the largest of the series with the same tags."""


def test_annotations() -> None:
    """Every alert has a summary, and a unique description that is long enough to contain the remedy."""
    for name, rule in ALERTS.items():
        assert set(rule["annotations"]) == {"summary", "description"}, name
        assert len(rule["annotations"]["description"]) > 100, name
    assert len({rule["annotations"]["description"] for rule in ALERTS.values()}) == len(ALERTS)


def test_every_alert_has_a_promtool_test() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in TESTS)
    assert not [name for name in ALERTS if f'"{name}"' not in tests]


def test_totals() -> None:
    """No rule counts a token twice, and budgets survive a partial failure."""
    expressions = [rule["expr"] for rule in RULES if TOTALS.search(rule["expr"])]
    assert len(expressions) == 3
    for expression in expressions:
        found = ONE.findall(expression)
        assert not TOTALS.search(ONE.sub("", expression)), "each range separately"
        keys = {USAGE: SAME, KEY_USAGE: SAME | {"api_key_label"}}
        assert [set(tags.split(", ")) for tags, _ in found] == [keys[measurement] for _, measurement in found]
        assert expression.count("[2h]") == expression.count(f"{USAGE}_")


def test_labels_in_annotations() -> None:
    """The labels in the annotations of an alert are among those that its expression groups by."""
    for name, rule in ALERTS.items():
        named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        # Empty without grouping: then all labels of the series are there.
        grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", _expand(rule["expr"])))))
        assert not grouped or named <= grouped, name


def test_metrics_of_rules() -> None:
    for rule in RULES:
        bare = re.sub(r'"[^"]*"|\b(?:by|on|group_left) ?\([^)]*\)', "", rule["expr"])
        metrics = [name for name in re.findall(r"[a-z][\w:]+", bare) if "_" in name and name not in FUNCTIONS]
        assert all(name.startswith("huawei_maas") for name in metrics), metrics


def _expand(expression: str) -> str:
    """Replace the recorded rules that an expression reads by their expressions, recursively."""
    recorded = {rule["record"]: f"({rule['expr']})" for rule in RULES if "record" in rule}
    for _ in range(3):
        expression = re.sub(r"huawei_maas:[\w:]+", lambda name: recorded[name[0]], expression)
    return expression
