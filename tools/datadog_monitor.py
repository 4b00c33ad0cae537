"""A Datadog monitor and its file."""

from __future__ import annotations

import re
from typing import Any, Dict, NamedTuple, Tuple

from maas_usage_check.metrics.datadog import metric_name

CREATED = "2026-11-23"
UPDATED = "2026-11-30"
CRITICAL, WARNING = 2, 3
"""Datadog's priorities, of which 1 is the highest."""


class Monitor(NamedTuple):
    """The texts and thresholds of one monitor. Texts name tags in Datadog's form: {{region.name}}.

    `limit` is a whole comparison, such as `> 0.1`; `missing` is its state without data.
    """

    title: str
    description: str
    name: str
    query: str
    limit: str
    alert: str
    recovery: str
    advice: str
    change: str
    priority: int = WARNING
    warning: float = 0.0
    missing: str = "default"
    no_data: str = ""
    renotify: bool = False
    new_group_delay: int = 0


def gauge(measurement: str, field: str, *by: str) -> str:
    """Write a query for the largest of a gauge's series in each group."""
    return f"max:{metric_name(measurement, field)}{{*}} by {{{','.join(by)}}}"


def count(measurement: str, field: str, *by: str) -> str:
    """Write a query for a count in each group."""
    return f"sum:{metric_name(measurement, field)}{{*}} by {{{','.join(by)}}}.as_count()"


def where(condition: str) -> str:
    """Write the end of a formula that gives no value if the condition, a cut-off query, has none."""
    return f" + 0 * {condition}"


def document(monitor: Monitor) -> Dict[str, Any]:
    """Build a monitor's file in the format of Datadog's integrations."""
    limit = float(re.sub("[<>]=? ", "", monitor.limit))
    thresholds = {"critical": _number(limit)}
    if monitor.warning:
        thresholds["warning"] = _number(monitor.warning)
    options: Dict[str, Any] = {
        "thresholds": thresholds,
        "include_tags": True,
        "notify_audit": False,
        "on_missing_data": monitor.missing,
        "require_full_window": False,
        "new_group_delay": monitor.new_group_delay,
        "timeout_h": 0,
        "escalation_message": "",
    }
    if monitor.renotify:
        options.update({"renotify_interval": 1440, "renotify_statuses": ["alert"]})
    return {
        "version": 2,
        "created_at": CREATED,
        "last_updated_at": UPDATED,
        "title": monitor.title,
        "description": monitor.description,
        "definition": {
            "name": f"[Huawei MaaS] {monitor.name}",
            "type": "query alert",
            "query": f"{monitor.query} {monitor.limit}",
            "message": "\n\n".join(_message(monitor)),
            "priority": monitor.priority,
            "tags": ["integration:huawei_maas"],
            "options": options,
        },
        "tags": ["integration:huawei_maas"],
    }


def _message(monitor: Monitor) -> Tuple[str, ...]:
    parts = [("is_alert", monitor.alert), ("is_no_data", monitor.no_data), ("is_recovery", monitor.recovery)]
    when = "\n".join(f"{{{{#{name}}}}}\n{said}\n{{{{/{name}}}}}" for name, said in parts if said)
    return (when, f"What to do: {monitor.advice}", monitor.change)


def _number(value: float) -> float:
    return int(value) if value == int(value) else value
