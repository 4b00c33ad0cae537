"""Write the queries of panels in InfluxQL, for InfluxDB 1.x."""

from __future__ import annotations

from typing import List, Optional, Sequence

from maas_usage_check.metrics import API, BUDGET, MODEL, USAGE

from .panel_queries import (
    FILTERS,
    OF_BUDGETS,
    OF_MODELS,
    SERVICES,
    VARIABLES,
    Budget,
    Coverage,
    HourOfDay,
    Incomplete,
    Minute,
    PanelQuery,
    Rest,
    Source,
    State,
    Used,
)

HELD = "2h"
HOLD = f"{HELD}, now()"
"""Steps that end now, instead of fill(previous): InfluxDB mixes up the steps of filled series when it adds them up."""
ZONE = " tz('$timezone')"


def influxql(query: PanelQuery, over_time: bool) -> Optional[str]:
    """Write a query: over time, a value per step of the panel; else one value for its whole range.

    None where InfluxQL has no such query.
    """
    if isinstance(query, Rest):  # InfluxQL cannot subtract one measurement from another
        return None
    if isinstance(query, Used):
        if query.share:  # nor divide groups by their sum
            return None
        fields = [query.field, *([query.over] if query.over else [])]
        value = " / ".join(f'sum("{field}")' for field in fields)
        steps = ["time($__interval)"] if over_time else []
        text = _select(value, _hours(query.source, fields), group=[*steps, *_tags(query.by)])
        return f"{text} fill(none){ZONE}" if over_time else text
    if isinstance(query, HourOfDay):
        return _hour_of_day(query.hour)
    if isinstance(query, Minute):
        return _minute(query.field, over_time)
    if isinstance(query, State):
        step = "$__interval" if over_time else HOLD
        inner = _select(
            f'last("{query.field}") AS "v"', f'"{API}"', ['"region" =~ /^$region$/'], [f"time({step})", "*"]
        )
        group = [f"time({step})", *_tags(("region", "project_id"))]
        return _select(f'{query.how}("v"){query.then}', f"({inner})", group=group) + " fill(none)"
    if isinstance(query, Incomplete):
        return _select('"result_code"', f'"{API}"', ['"region" =~ /^$region$/', '"result_code" > 0'])
    if isinstance(query, Coverage):
        return (
            _select('min("coverage_ratio")', f'"{USAGE}"', _chosen(FILTERS), [f"time({HOLD})", '"range"'])
            + " fill(none)"
        )
    if isinstance(query, Budget):
        return _budget(query)
    return _total(query.span)


def named(query: str, column: str) -> str:
    """Name the column of a query's values."""
    value, source = query.split(" FROM ", 1)
    return f'{value} AS "{column}" FROM {source}'


def _hour_of_day(hour: int) -> str:
    """Write the tokens of one hour of each day, at the beginning of the day."""
    known = _select('sum("total_tokens") AS "v"', _hours(SERVICES, ["total_tokens"]), group=["time(1h)"])
    first = _select('first("v") AS "v"', f"({known} fill(-1))", group=[f"time(1d, {hour}h)"])
    return _select('max("v")', f"({first}{ZONE})", ['"v" >= 0'], ["time(1d)"]) + f" fill(none){ZONE}"


def _minute(field: str, over_time: bool) -> str:
    tags = _tags(OF_MODELS)
    if over_time:
        group = ["time($__interval)", *tags]
        return _select(f'max("{field}")', f'"{MODEL}"', _chosen(OF_MODELS), group) + " fill(none)"
    return _select(f'last("{field}")', f'"{MODEL}"', _chosen(OF_MODELS), tags, "time > now() - 20m")


def _budget(query: Budget) -> str:
    pinned = [f"\"{name}\" {operator} '{value}'" for name, operator, value in query.where]
    where, during = [*pinned, *_chosen(OF_BUDGETS)], f"time > now() - {HELD}"
    lasts = _select(f'last("{query.field}") AS "v"', f'"{BUDGET}"', where, ["*"], during)
    return _select(f'{query.how}("v"){query.then}', f"({lasts})", group=_tags(query.by), during=during)


def _total(span: str) -> str:
    step = f"time({HOLD})"
    lasts = _select(
        'last("total_tokens") AS "v"', f'"{USAGE}"', [f"\"range\" = '{span}'", *_chosen(FILTERS)], [step, "*"]
    )
    ones = _select('max("v") AS "v"', f"({lasts})", group=[step, *_tags(FILTERS)])
    return _select('sum("v")', f"({ones})", group=[step]) + " fill(none)"


def _hours(source: Source, fields: Sequence[str]) -> str:
    """Write the hours of a source's series; series that differ only in user tags count as one, the largest."""
    largest = ", ".join(f'max("{field}") AS "{field}"' for field in fields)
    group = ["time(1h)", *_tags(source.same)]
    return f"({_select(largest, _quoted(source.hours), _chosen(source.same), group)} fill(none))"


def _select(
    what: str, source: str, where: Sequence[str] = (), group: Sequence[str] = (), during: str = "$timeFilter"
) -> str:
    grouping = f" GROUP BY {', '.join(group)}" if group else ""
    # S608: no part of the query is user input.
    return f"SELECT {what} FROM {source} WHERE {' AND '.join([*where, during])}{grouping}"  # noqa: S608


def _chosen(same: Sequence[str]) -> List[str]:
    return [f'"{name}" =~ /^${name}$/' for name in same if name in VARIABLES]


def _tags(names: Sequence[str]) -> List[str]:
    return [_quoted(name) for name in names]


def _quoted(name: str) -> str:
    return f'"{name}"'
