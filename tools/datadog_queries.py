"""Queries of Datadog. A query aggregates only once, so a formula adds up the results of several."""

from __future__ import annotations

import itertools
import re
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, Union

from maas_usage_check.config.instance import INFER_TYPES, ServiceType
from maas_usage_check.metrics import CONSUMED, MODEL, USAGE
from maas_usage_check.metrics.datadog import metric_name

PROJECT = ("region", "project_id")
SERIES = (*PROJECT, "service_type", "infer_type")
ZONE = "Asia/Shanghai"
PER_HOUR, PER_DAY = ".rollup(sum, 3600)", f".rollup(sum, daily, 12am, '{ZONE}')"
SCOPE = "$region,$project_id,$service_type"
HOLD = 7200
"""Seconds for which a series keeps its value after a failed query: longer than the monitor collection_partial takes."""


class Sum(NamedTuple):
    """A field of usage, of one range or by range, added up over the kinds of calls that are not in `by`."""

    field: str
    by: Tuple[str, ...] = PROJECT
    span: str = ""
    measurement: str = USAGE

    def queries(self, scope: str = "") -> List[str]:
        """Write a query per kind of calls, and a last one of all kinds, which has no value if none of them has."""
        kinds = [[f"infer_type:{kind}" for kind in INFER_TYPES]]
        if "service_type" not in self.by:
            kinds.insert(0, [f"service_type:{kind.name}" for kind in ServiceType])
        return [largest(self, ",".join(part), scope) for part in (*itertools.product(*kinds), ())]


class Each(NamedTuple):
    """A field of usage of each series, of one range, without adding up."""

    field: str
    span: str
    by: Tuple[str, ...] = SERIES
    measurement: str = USAGE

    def queries(self, scope: str = "") -> List[str]:
        """Write the one query."""
        return [largest(self, "", scope)]


DatadogQuery = Union[Sum, Each, str]


def largest(asked: Union[Sum, Each], *filters: str) -> str:
    """Write a query for the largest of the series that differ only in user tags."""
    where = ",".join(filter(None, [asked.span and f"range:{asked.span}", *filters])) or "*"
    return f"max:{metric_name(asked.measurement, asked.field)}{{{where}}} by {{{','.join(asked.by)}}}"


def added(parts: List[str], hold: bool = False) -> str:
    """Write the formula of a sum's queries, or of their names.

    A kind of calls that is not collected counts as zero, but only if another has a value: a failure of all is no zero.
    """
    zeros = [f"default_zero({part})" for part in parts[:-1]]
    return " + ".join(
        [*(f"moving_rollup({zero}, {HOLD}, 'max')" if hold else zero for zero in zeros), f"0 * {parts[-1]}"]
    )


def earlier(formula: str, days: int) -> str:
    """Write the value of a formula some days earlier."""
    return f"timeshift({formula}, -{days * 86_400})"


def request(kind: str, formula: str, **asked: DatadogQuery) -> Dict[str, Any]:
    """Build a widget's request, `timeseries` or `scalar`; the formula refers to the queries by name.

    A scalar adds up counts over its time, and takes the largest value of a range: after a failed query the last value
    could miss a series.
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


def _single(asked: DatadogQuery) -> str:
    if not isinstance(asked, str):
        return "max"
    return "sum" if ".as_count()" in asked else "last"


def counted(measurement: str, field: str, by: Sequence[str] = (), rollup: str = "") -> str:
    """Write a query for a count. Each unit is submitted once, so adding up over time is right."""
    scope = ",".join(("$region", "$project_id", "$model" if measurement.startswith(MODEL) else "$service_type"))
    groups = f" by {{{','.join(by)}}}" if by else ""
    return f"sum:{metric_name(measurement, field)}{{{scope}}}{groups}.as_count(){rollup}"


def services(field: str = "tokens", rollup: str = "", by: Sequence[str] = ("service_type",)) -> str:
    """Write a query for the counts of services."""
    return counted(CONSUMED, field, by, rollup)
