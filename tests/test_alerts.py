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
    "sum_over_time avg_over_time min_over_time max_over_time last_over_time absent_over_time label_replace".split()
)
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
TESTS = [FILE.with_name("alerts_test.yml"), ROOT / "tests" / "agents" / "test_alert_rules.py"]
TOTALS = re.compile(rf"\b({USAGE}|{KEY_USAGE})_(?!coverage)\w+")
ONE = re.compile(rf'max by \(([^)]*)\) \({TOTALS.pattern}{{range="\w+"}}(?: offset 1d)?\)')
"""The totals of one range: the largest of the series with the same tags."""
BUDGETS = re.compile(
    r"max by \(region, project_id, scope, team, unit\) \(last_over_time\(huawei_maas_budget_\w+\[(?:2h|15m)\]\)\)"
)


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
    """No rule counts a token twice."""
    (expression,) = (rule["expr"] for rule in RULES if TOTALS.search(rule["expr"]))
    assert not TOTALS.search(ONE.sub("", expression)), "each range separately"
    assert ONE.findall(expression) == [("region, project_id, service_type, infer_type, api_key_label", KEY_USAGE)] * 2


def test_budgets() -> None:
    """Budgets survive a partial failure, and count once where several hosts collect them."""
    for rule in RULES:
        assert "huawei_maas_budget" not in BUDGETS.sub("", rule["expr"])


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
    """Replace the recorded rules that an expression reads by their expressions."""
    recorded = {rule["record"]: f"({rule['expr']})" for rule in RULES if "record" in rule}
    return re.sub(r"huawei_maas:[\w:]+", lambda name: recorded[name[0]], expression)
