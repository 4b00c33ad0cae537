"""What a Zabbix server makes of the master item's text with our template: discovery, then a value for each item.

Written after Zabbix's manual (Prometheus checks, low-level discovery); JSONPath is a library's.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Iterator, List, Tuple

from jsonpath_ng import parse
from prometheus_client.parser import text_string_to_metric_families

PATTERN = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})?$", re.DOTALL)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)",?', re.DOTALL)
HOW = {"min": min, "max": max, "sum": sum}
Samples = List[Tuple[str, Dict[str, str], float]]


def samples(text: str) -> Samples:
    return [
        (one.name, one.labels, one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
    ]  # fmt: skip


def select(text: str, pattern: str) -> Samples:
    """Find what a Prometheus pattern matches."""
    found = PATTERN.match(pattern)
    assert found, pattern
    wanted = {name: json.loads(f'"{value}"') for name, value in LABEL.findall(found["labels"] or "")}
    return [
        (name, labels, value)
        for name, labels, value in samples(text)
        if name == found["name"] and wanted.items() <= labels.items()
    ]


def discover(rule: Dict[str, Any], text: str) -> Iterator[Dict[str, str]]:
    """Give the macros of each row that a rule finds."""
    (step,) = rule["preprocessing"]
    assert step["type"] == "PROMETHEUS_TO_JSON"
    for name, labels, value in select(text, *step["parameters"]):
        row = {"name": name, "value": str(value), "labels": labels}
        yield {
            path["lld_macro"]: parse(path["path"].replace("'", '"')).find(row)[0].value
            for path in rule["lld_macro_paths"]
        }


def values(template: Dict[str, Any], text: str) -> Dict[str, float]:
    """Give each discovered item's value by its key; a value that does not come is left out."""
    got: Dict[str, float] = {}
    for rule in template["discovery_rules"]:
        for macros in discover(rule, text):
            escaped = {name: json.dumps(value, ensure_ascii=False)[1:-1] for name, value in macros.items()}
            for item in rule["item_prototypes"]:
                if item["type"] != "DEPENDENT":
                    continue
                (step,) = item["preprocessing"]
                pattern, request, how = step["parameters"]
                assert (step["type"], request) == ("PROMETHEUS_PATTERN", "function")
                found = select(text, _put(pattern, escaped))
                if found:
                    got[_put(item["key"], macros)] = HOW[how](value for _, _, value in found)
                else:
                    assert step["error_handler"] == "DISCARD_VALUE"
    return got


def _put(text: str, macros: Dict[str, str]) -> str:
    for name, value in macros.items():
        text = text.replace(name, value)
    assert "{#" not in text, text
    return text
