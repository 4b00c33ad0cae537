"""Run the alert rules over synthetic weeks in the real promtool; each case is a region of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Callable, Collection, Dict, List, Optional, Tuple

import yaml

from .programs import PROMETHEUS, ROOT, find, run

RULES = ROOT / "examples" / "prometheus" / "alerts.yml"
HOUR, DAY = 3600, 24 * 3600
Value = Callable[[int], Optional[float]]
"""The value of a series at a time, seconds since 1970, when these weeks begin; None: no sample."""
Expected = Tuple[int, int, Collection[str]]
"""Start, end, and the cases in which, and only in which, the alert fired at some time between them."""


def series(name: str, value: Value, case: str, **labels: str) -> Tuple[str, Value]:
    """Return the name and value of a series of a case."""
    written = ",".join(f'{key}="{text}"' for key, text in {"region": case, "project_id": "p", **labels}.items())
    return f"{name}{{{written}}}", value


def collection(
    case: str, is_up: Callable[[int], bool] = lambda at: True, runs: Callable[[int], bool] = lambda at: True
) -> List[Tuple[str, Value]]:
    """Make the api series of a case. `is_up`: queries succeed; `runs`: the process runs."""
    newest = 0

    def last_success(at: int) -> Optional[float]:
        nonlocal newest
        newest = at if is_up(at) and runs(at) else newest
        return newest if runs(at) else None

    return [
        series("huawei_maas_api_up", lambda at: float(is_up(at)) if runs(at) else None, case),
        series("huawei_maas_api_result_code", lambda at: (0 if is_up(at) else 14) if runs(at) else None, case),
        series("huawei_maas_api_last_success_timestamp_seconds", last_success, case),
    ]


def counter(rate: Value, exists: Callable[[int], bool] = lambda at: True) -> Value:
    """Make a counter that grows by `rate(at)` per second; it must be called in the order of time."""
    total, before = 0.0, 0

    def value(at: int) -> Optional[float]:
        nonlocal total, before
        total, before = total + (rate(at) or 0.0) * (at - before), at
        return total if exists(at) else None

    return value


def check(
    folder: Path,
    alert: str,
    input_series: List[Tuple[str, Value]],
    *expected: Expected,
    step: int = 300,
) -> None:
    """Fail with promtool's output unless the alert fired as expected.

    Other alerts are removed from the rules, to save time.

    Args:
        folder: for promtool's files.
        alert: the name of the alert.
        input_series: names and values.
        expected: when it fires, and for which cases.
        step: seconds between samples and between evaluations; above 300, rules must read at the time of a sample.
    """
    groups = [
        {"name": group["name"], "rules": [rule for rule in group["rules"] if rule.get("alert", alert) == alert]}
        for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
        if any(rule.get("alert") == alert for rule in group["rules"])
    ]
    last = max(end for _, end, _ in expected)
    firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    test = {
        "interval": f"{step}s",
        "input_series": [{"series": name, "values": _written(value, last, step)} for name, value in input_series],
        "promql_expr_test": [
            {
                "expr": f"group by (region) (last_over_time({firing}[{end - start}s]))",
                "eval_time": f"{end}s",
                "exp_samples": [{"labels": f'{{region="{case}"}}', "value": 1} for case in cases],
            }
            for start, end, cases in expected
        ],
    }
    tests = {"rule_files": ["alerts.yml"], "evaluation_interval": f"{step}s", "tests": [test]}
    (folder / "alerts.yml").write_text(json.dumps({"groups": groups}))
    (folder / "test.yml").write_text(json.dumps(tests))
    tested = run([find("promtool", PROMETHEUS), "test", "rules", "test.yml"], folder)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def causes(folder: Path, alert: str, codes: Collection[int]) -> Dict[int, str]:
    """Return the cause in an alert's summary, the text after its colon, for each result code."""
    (rule,) = [
        rule
        for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if rule.get("alert") == alert
    ]
    api = [(f'huawei_maas_api_{name}{{region="{code}"}}', f"{value}x40") for code in codes for name, value in
           (("up", 0), ("result_code", code))]  # fmt: skip
    series = [{"series": name, "values": values} for name, values in api]
    wanted = {"eval_time": "30m", "alertname": alert, "exp_alerts": []}
    tests = [{"interval": "1m", "input_series": series, "alert_rule_test": [wanted]}]
    (folder / "alerts.yml").write_text(json.dumps({"groups": [{"name": "one", "rules": [rule]}]}))
    (folder / "test.yml").write_text(json.dumps({"rule_files": ["alerts.yml"], "tests": tests}))
    done = run([find("promtool", PROMETHEUS), "test", "rules", "test.yml"], folder)
    found = re.findall('summary="[^"]*?([0-9]+)[^"]*?: (.*)"', done.stdout + done.stderr)
    return {int(region): cause for region, cause in found}


def _written(value: Value, end: int, step: int) -> str:
    values = [value(at) for at in range(0, end + step, step)]
    return " ".join("_" if one is None else repr(round(one, 3)) for one in values)
