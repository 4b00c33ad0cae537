"""What Datadog is asked: a query there aggregates once, so that a formula adds up what the queries took one for one."""

from __future__ import annotations

import itertools
import re
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, Union

from maas_usage_check.config.instance import INFER_TYPES, ServiceType
from maas_usage_check.metrics import MODEL, USAGE
from maas_usage_check.metrics.datadog import metric_name

PROJECT = ("region", "project_id")
SERIES = (*PROJECT, "service_type", "infer_type")
SCOPE = "$region,$project_id,$service_type"
HOLD = 7200
"""Seconds that a series without an answer keeps its value: until well after the monitor collection_partial."""


class Sum(NamedTuple):
    """Ask for a field of usage, of one range or by it, added up over the kinds of calls that `by` does not name."""

    field: str
    by: Tuple[str, ...] = PROJECT
    span: str = ""
    measurement: str = USAGE

    def queries(self, scope: str = "") -> List[str]:
        """Write a query per kind of calls, and at last one of all kinds, which is silent where all are."""
        kinds = [[f"infer_type:{kind}" for kind in INFER_TYPES]]
        if "service_type" not in self.by:
            kinds.insert(0, [f"service_type:{kind.name}" for kind in ServiceType])
        return [largest(self, ",".join(part), scope) for part in (*itertools.product(*kinds), ())]


class Each(NamedTuple):
    """Ask for a field of usage of each series, of one range, without adding up."""

    field: str
    span: str
    by: Tuple[str, ...] = SERIES
    measurement: str = USAGE

    def queries(self, scope: str = "") -> List[str]:
        """Write the one query."""
        return [largest(self, "", scope)]


Asked = Union[Sum, Each, str]


def largest(asked: Union[Sum, Each], *filters: str) -> str:
    """Write a query for the largest of the series that differ in no tag but the user's."""
    where = ",".join(filter(None, [asked.span and f"range:{asked.span}", *filters])) or "*"
    return f"max:{metric_name(asked.measurement, asked.field)}{{{where}}} by {{{','.join(asked.by)}}}"


def added(parts: List[str], hold: bool = False) -> str:
    """Write the formula of a sum's queries, or of their names.

    What was never asked for counts as zero, but only where anything came: the failure of all is no zero.
    """
    zeros = [f"default_zero({part})" for part in parts[:-1]]
    return " + ".join(
        [*(f"moving_rollup({zero}, {HOLD}, 'max')" if hold else zero for zero in zeros), f"0 * {parts[-1]}"]
    )


def earlier(formula: str, days: int) -> str:
    """Write what a formula's value was so many days before."""
    return f"timeshift({formula}, -{days * 86_400})"


def request(kind: str, formula: str, **asked: Asked) -> Dict[str, Any]:
    """Make a widget's request, `timeseries` or `scalar`; the formula calls what is asked by its name.

    As a scalar counts are added up over its time, and a range is the largest in it: the last could be without a series
    that got no answer.
    """
    queries: List[Dict[str, str]] = []
    for name, one in asked.items():
        texts = [one] if isinstance(one, str) else one.queries(SCOPE)
        names = [f"{name}{number}" for number in range(len(texts))] if isinstance(one, Sum) else [name]
        aggregator = {"aggregator": _single(one)} if kind == "scalar" else {}
        queries += [
            {"data_source": "metrics", "name": called, "query": text, **aggregator}
            for called, text in zip(names, texts)
        ]
        if isinstance(one, Sum):
            formula = re.sub(rf"\b{name}\b", f"({added(names, hold=kind == 'timeseries')})", formula)
    return {"response_format": kind, "queries": queries, "formulas": [{"formula": formula}]}


def _single(asked: Asked) -> str:
    if not isinstance(asked, str):
        return "max"
    return "sum" if ".as_count()" in asked else "last"


def counted(measurement: str, field: str, by: Sequence[str] = (), rollup: str = "") -> str:
    """Write a query of what was counted; each unit was submitted once, so that adding up over time is right."""
    scope = ",".join(("$region", "$project_id", "$model" if measurement.startswith(MODEL) else "$service_type"))
    groups = f" by {{{','.join(by)}}}" if by else ""
    return f"sum:{metric_name(measurement, field)}{{{scope}}}{groups}.as_count(){rollup}"
