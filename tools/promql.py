"""Write the queries of panels in PromQL."""

from __future__ import annotations

from typing import Sequence, Tuple

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

HOLD = "2h"
"""Ranges and budgets keep their last value this long after a failure: longer than MaasCollectionPartial takes."""
KNOWN = "1d"
"""Largest age of the last sample before a step: usage of a gap between scrapes is in the next step."""


def promql(query: PanelQuery, over_time: bool) -> str:
    """Write a query: over time, a value per step of the panel; else one value for its whole range."""
    if isinstance(query, Used):
        return _used(query, over_time)
    if isinstance(query, Rest):
        whole, parts = (_used(Used(source, query.field, query.by), over_time) for source in (query.whole, query.parts))
        return f"{whole} - {parts}"
    if isinstance(query, HourOfDay):
        end, start = f" offset -{query.hour + 1}h", f" offset -{query.hour}h" if query.hour else ""
        return f"sum ({_grown(SERVICES, 'tokens', '1h', end, start)})"
    if isinstance(query, Minute):
        name = f"{MODEL}_{query.field}{_chosen(OF_MODELS)}"
        if over_time:
            return f"{_one(OF_MODELS)} (max_over_time({name}[$__interval]))"
        return f"sort_desc({_one(OF_MODELS)} ({name}))"
    if isinstance(query, State):
        return f'{query.how} by (region, project_id) ({API}_{query.field}{{region=~"$region"}}){query.then}'
    if isinstance(query, Incomplete):
        return f'max by (region) ({API}_result_code{{region=~"$region"}}) > 0'
    if isinstance(query, Coverage):
        return f"min by (range) (last_over_time({USAGE}_coverage_ratio{_chosen(FILTERS)}[{HOLD}]))"
    if isinstance(query, Budget):
        name = f"{BUDGET}_{query.field}{_chosen(OF_BUDGETS, *query.where)}"
        return f"{query.how} by ({', '.join(query.by)}) (last_over_time({name}[{HOLD}])){query.then}"
    name = f"{USAGE}_total_tokens{_chosen(FILTERS, ('range', '=', query.span))}"
    return f"sum ({_one(FILTERS)} (last_over_time({name}[{HOLD}])))"


def _used(query: Used, over_time: bool) -> str:
    step = "$__interval" if over_time else "$__range"
    end, start = (" offset -$__interval", "") if over_time else ("", " offset $__range")
    by = f" by ({', '.join(query.by)})" if query.by else ""

    def of(field: str) -> str:
        return f"sum{by} ({_grown(query.source, 'tokens' if field == 'total_tokens' else field, step, end, start)})"

    if query.share:
        return f"{of(query.field)} / scalar(sum ({of(query.field)}))"
    return of(query.field) + (f" / {of(query.over)}" if query.over else "")


def _grown(source: Source, field: str, step: str, end: str, start: str) -> str:
    """Write the increase of counters: exact to the token; where they begin or reset, as `increase` estimates it."""
    name, one = f"{source.counts}_{field}_total{_chosen(source.same)}", _one(source.same)
    return (
        f"{one} (last_over_time({name}[{step}]{end})) - {one} (last_over_time({name}[{KNOWN}]{start})) >= 0 "
        f"unless {one} (resets({name}[{step}]{end})) > 0 or {one} (increase({name}[{step}]{end}))"
    )


def _one(same: Sequence[str]) -> str:
    return f"max by ({', '.join(same)})"


def _chosen(same: Sequence[str], *where: Tuple[str, str, str]) -> str:
    pinned = [f'{name}{operator}"{value}"' for name, operator, value in where]
    return "{" + ",".join([*pinned, *(f'{name}=~"${name}"' for name in same if name in VARIABLES)]) + "}"
