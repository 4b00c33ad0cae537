"""Write the Zabbix template from the catalogue of metrics: `python -m tools.zabbix`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import yaml

from maas_usage_check.errors import Result
from maas_usage_check.metrics import CATALOGUE, catalogue
from maas_usage_check.metrics.catalogue import API, COUNT, Field

from .zabbix_triggers import TRIGGERS, Trigger

FILE = Path(__file__).parent.parent / "examples" / "zabbix" / "template.yaml"
TEMPLATE = "Huawei Cloud MaaS usage by Zabbix agent active"
APPLICATIONS = {"uuid": "a571c0d144b14fd4a87a9d9b2aa9fcd6", "name": "Templates/Applications"}
"""A group that every Zabbix has, under its own id."""
MASTER = "maas.collect"
OF_PROJECT = ("region", "project_id")
SERIES = ("service_type", "infer_type", *OF_PROJECT)
OF_MODEL = ("model", "maas_api_id", *OF_PROJECT)
RULES: Dict[str, Tuple[str, Tuple[str, ...]]] = {
    "ranges": (catalogue.USAGE, ("range", *SERIES)),
    "keys of ranges": (catalogue.KEY_USAGE, ("range", "api_key_label", *SERIES)),
    "services": (catalogue.CONSUMED, SERIES),
    "keys": (catalogue.KEY_CONSUMED, ("api_key_label", *SERIES)),
    "models now": (catalogue.MODEL, OF_MODEL),
    "models": (catalogue.MODEL_CONSUMED, OF_MODEL),
    "costs of models": (catalogue.MODEL_COST_CONSUMED, ("currency", *OF_MODEL)),
    "budgets": (catalogue.BUDGET, ("unit", *OF_PROJECT)),
    "budgets of teams": (catalogue.BUDGET, ("team", "unit", *OF_PROJECT)),
    "collections": (API, ("region",)),
}
"""The measurement of each discovery rule, and the labels that identify its series."""
ONLY = {"budgets": 'scope="all"', "budgets of teams": 'scope="team"'}
"""Only such series. A label without a value would leave its macro unresolved, so teams have a rule of their own."""
OF_SEVERAL = {"up": "min", "last_success_timestamp_seconds": "min", "newest_usage_timestamp_seconds": "min"}
"""The value for several series that differ only in user tags; for other fields the largest."""
UNITS = {"second": "s", "token": "!tokens", "request": "!requests", "error": "!errors"}
"""`!` keeps Zabbix from writing K and M."""
MACROS = (
    ("{$MAAS.ERROR_RATIO.MAX}", "1", "Limit of the share of failed calls (0 to 1) per range (context); 1: no limit."),
    ('{$MAAS.ERROR_RATIO.MAX:"last_7d"}', "0.1", "Limit of the share of failed calls in the last 7 days."),
)


class Plain(yaml.SafeDumper):
    """Write repeated values in full: not every reader of YAML supports anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True for all data."""
        return True


def document() -> Dict[str, Any]:
    """Build the template as an export that Zabbix 6.0 and later can import."""
    template = {
        "uuid": _uuid(TEMPLATE),
        "template": TEMPLATE,
        "name": TEMPLATE,
        "description": "One item runs maas-usage-check per interval; all other items depend on it. "
        "Ranges overlap: never add up over `range`.",
        "groups": [{"name": APPLICATIONS["name"]}],
        "items": [_master()],
        "discovery_rules": [_rule(title, *found) for title, found in RULES.items()],
        "macros": [{"macro": name, "value": value, "description": text} for name, value, text in MACROS],
        "valuemaps": [
            _valuemap("MaaS up", {0: "down", 1: "up"}),
            _valuemap("MaaS result", {code.value: code.name.lower().replace("_", " ") for code in Result}),
        ],
    }
    return {"zabbix_export": {"version": "6.0", "groups": [APPLICATIONS], "templates": [template]}}


def text() -> str:
    """Return the template as YAML."""
    head = "# Made by `python -m tools.zabbix` from the catalogue of metrics. Zabbix 6.0 and later import it.\n"
    return head + yaml.dump(document(), Dumper=Plain, sort_keys=False, allow_unicode=True, width=1000)


def _master() -> Dict[str, Any]:
    # Active, so that the server's own Timeout, 3 seconds by default, does not apply.
    return {
        "uuid": _uuid(MASTER), "name": "MaaS usage: collect", "type": "ZABBIX_ACTIVE", "key": MASTER, "delay": "5m",
        "history": "0", "trends": "0", "value_type": "TEXT", "tags": [{"tag": "component", "value": "raw"}],
    }  # fmt: skip


def _rule(title: str, measurement: str, labels: Tuple[str, ...]) -> Dict[str, Any]:
    fields = CATALOGUE[measurement]
    key, only = f"maas.discovery.{title.replace(' ', '_')}", f"{{{ONLY[title]}}}" if title in ONLY else ""
    return {
        "uuid": _uuid(key), "name": f"MaaS {title}", "type": "DEPENDENT", "key": key, "delay": "0",
        "item_prototypes": list(_prototypes(title, measurement, labels)),
        "trigger_prototypes": [_trigger(trigger, labels) for trigger in TRIGGERS if trigger.rule == title],
        "master_item": {"key": MASTER},
        "lld_macro_paths": [{"lld_macro": _macro(label), "path": f"$.labels['{label}']"} for label in labels],
        "preprocessing": [{"type": "PROMETHEUS_TO_JSON", "parameters": [f"{_metric(measurement, fields[0])}{only}"]}],
    }  # fmt: skip


def _prototypes(title: str, measurement: str, labels: Tuple[str, ...]) -> Iterator[Dict[str, Any]]:
    who = " ".join(_macro(label) for label in labels if label not in ("project_id", "maas_api_id"))
    tags = [{"tag": "component", "value": title}, *({"tag": label, "value": _macro(label)} for label in labels)]
    only = [ONLY[title]] if title in ONLY else []
    matchers = ",".join([*only, *(f'{label}="{_macro(label)}"' for label in labels)])
    for field in CATALOGUE[measurement]:
        key, name = _key(measurement, field.name, labels), f"MaaS {who}: {field.name.replace('_', ' ')}"
        yield {
            "uuid": _uuid(key), "name": name, "type": "DEPENDENT", "key": key, "delay": "0",
            "value_type": "FLOAT" if field.kind is float else "UNSIGNED", **_shown(field),
            "description": field.description,
            "preprocessing": [{
                "type": "PROMETHEUS_PATTERN",
                "parameters": [
                    f"{_metric(measurement, field)}{{{matchers}}}", "function", OF_SEVERAL.get(field.name, "max"),
                ],
                "error_handler": "DISCARD_VALUE",  # a missing value is neither a zero nor an error of the item
            }],
            "master_item": {"key": MASTER}, "tags": tags,
        }  # fmt: skip
        if field.nature == COUNT:
            hour = f"{key.split('[')[0]}.hour[{key.split('[')[1]}"
            yield {
                "uuid": _uuid(hour), "name": f"{name} in the last hour", "type": "CALCULATED", "key": hour,
                "delay": "5m", "value_type": "FLOAT", "params": f"rate(//{key},1h)*3600", **_shown(field),
                "description": "Increase of the count in an hour. It follows the usage by up to 3 hours.",
                "tags": tags,
            }  # fmt: skip


def _trigger(trigger: Trigger, labels: Tuple[str, ...]) -> Dict[str, Any]:
    measurement = RULES[trigger.rule][0]

    def filled(expression: str) -> str:
        for field in CATALOGUE[measurement]:
            expression = expression.replace(f"<{field.name}>", f"/{TEMPLATE}/{_key(measurement, field.name, labels)}")
        return expression

    recovery = {"recovery_mode": "RECOVERY_EXPRESSION", "recovery_expression": filled(trigger.recovery)}
    name = f"{trigger.name}: {{#REGION}}"
    return {
        "uuid": _uuid(name), "expression": filled(trigger.expression), "name": name,
        **(recovery if trigger.recovery else {}),
        # The meaning of the result code, from the value map of the first item in the expression.
        **({"event_name": f"{name}: {{ITEM.LASTVALUE1}}"} if "last(<result_code>)" in trigger.expression else {}),
        "priority": trigger.priority, "description": trigger.remedy,
    }  # fmt: skip


def _shown(field: Field) -> Dict[str, Any]:
    valuemaps = {"up": "MaaS up", "result_code": "MaaS result"}
    if field.name in valuemaps:
        return {"valuemap": {"name": valuemaps[field.name]}}
    if field.name.endswith("timestamp_seconds"):
        return {"units": "unixtime"}
    return {"units": UNITS[field.unit]} if field.unit in UNITS else {}


def _valuemap(name: str, mappings: Dict[int, str]) -> Dict[str, Any]:
    values: List[Dict[str, str]] = [{"value": str(value), "newvalue": word} for value, word in mappings.items()]
    return {"uuid": _uuid(name), "name": name, "mappings": values}


def _metric(measurement: str, field: Field) -> str:
    return f"{measurement}_{field.name}{'_total' if field.nature == COUNT else ''}"


def _key(measurement: str, field: str, labels: Tuple[str, ...]) -> str:
    return f"{measurement.replace('huawei_maas_', 'maas.')}.{field}[{','.join(map(_macro, labels))}]"


def _macro(label: str) -> str:
    return f"{{#{label.upper()}}}"


def _uuid(name: str) -> str:
    """Derive a stable id from a name, in the form of a random UUID, which Zabbix requires."""
    digest = hashlib.sha256(f"maas-usage-check {name}".encode()).hexdigest()[:32]
    return f"{digest[:12]}4{digest[13:16]}8{digest[17:]}"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
