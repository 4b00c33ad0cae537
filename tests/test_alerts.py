"""The alert rules keep the house rules, and docs/alerts.md says what they and the monitors are."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List

import yaml

from maas_usage_check.metrics import KEY_USAGE, USAGE

from .agents.programs import ROOT

ASSETS = ROOT / "maas_usage_check" / "assets"
PAGE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
ROWS: List[List[str]] = [
    [cell.strip(" `") for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")
]
RULES: List[Dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ASSETS / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
FUNCTIONS = set(
    "days_in_month day_of_month count_values sum_over_time avg_over_time max_over_time last_over_time".split()
)
FUNCTIONS |= {"absent_over_time", "label_replace"}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
MONITORS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))["definition"]
    for path in (ASSETS / "datadog" / "monitors").glob("*.json")
}
TESTS = [ROOT / "examples" / "prometheus" / "alerts_test.yml", ROOT / "tests" / "agents" / "test_alert_rules.py"]
SAME = {"region", "project_id", "service_type", "infer_type"}
TOTALS = re.compile(rf"\b({USAGE}|{KEY_USAGE})_(?!coverage)\w+")
ONE = re.compile(
    rf'max by \(([^)]*)\) \((?:last_over_time\()?{TOTALS.pattern}{{range="\w+"}}(?:\[2h\]\)| offset 1d)?\)'
)
"""The totals of one range, of those with the same tags the largest."""


def test_the_table_names_every_alert_and_monitor_with_its_time_and_severity() -> None:
    assert {name: (rule["for"], rule["labels"]["severity"]) for name, rule in ALERTS.items()} == {
        row[0]: (row[3], row[4]) for row in ROWS
    }
    assert {row[1] for row in ROWS if row[1]} == set(MONITORS)
    for _, monitor, _, _, severity, _ in ROWS:
        assert not monitor or MONITORS[monitor]["priority"] == {"critical": 2, "warning": 3}[severity]


def test_the_readme_counts_them_right() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"| {len(MONITORS)} monitors in `datadog/monitors/` |" in readme
    assert f"| {len(ALERTS)} rules in `prometheus/alerts.yml` |" in readme


def test_every_alert_says_what_happened_and_what_to_do_in_words_of_its_own() -> None:
    for name, rule in ALERTS.items():
        said = rule["annotations"]
        assert set(said) == {"summary", "description"}, name
        assert len(said["description"]) > 100, name
    assert len({rule["annotations"]["description"] for rule in ALERTS.values()}) == len(ALERTS)


def test_every_alert_has_a_test_of_its_own() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in TESTS)
    assert not [name for name in ALERTS if f'"{name}"' not in tests]


def test_no_rule_counts_a_token_twice_and_a_budget_holds_through_a_partial_failure() -> None:
    asking = [rule["expr"] for rule in RULES if TOTALS.search(rule["expr"])]
    assert len(asking) == 3
    for expression in asking:
        found = ONE.findall(expression)
        assert not TOTALS.search(ONE.sub("", expression)), "of each range apart"
        keys = {USAGE: SAME, KEY_USAGE: SAME | {"api_key_label"}}
        assert [set(tags.split(", ")) for tags, _ in found] == [keys[measurement] for _, measurement in found]
        assert expression.count("[2h]") == expression.count(f"{USAGE}_")


def test_every_label_that_a_text_names_is_one_that_the_alert_keeps() -> None:
    for name, rule in ALERTS.items():
        named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        # What an alert groups by, or all that the series has where it does not group.
        grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", _in_full(rule["expr"])))))
        assert not grouped or named <= grouped, name


def test_no_rule_needs_what_another_program_measures() -> None:
    for rule in RULES:
        bare = re.sub(r'"[^"]*"|\b(?:by|on|group_left) ?\([^)]*\)', "", rule["expr"])
        metrics = [name for name in re.findall(r"[a-z][\w:]+", bare) if "_" in name and name not in FUNCTIONS]
        assert all(name.startswith("huawei_maas") for name in metrics), metrics


def _in_full(expression: str) -> str:
    """Write a rule with the recorded ones that it reads, and those that they read."""
    for _ in range(3):
        for rule in RULES:
            expression = expression.replace(rule.get("record", expression), f"({rule['expr']})")
    return expression
