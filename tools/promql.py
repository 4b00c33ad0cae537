"""Write what panels ask in PromQL."""

from __future__ import annotations

from typing import Sequence

from maas_usage_check.metrics import API, MODEL, USAGE

from .asks import (
    FILTERS,
    OF_MODELS,
    SERVICES,
    VARIABLES,
    Ask,
    Coverage,
    Forecast,
    HourOfDay,
    Minute,
    Rest,
    Source,
    State,
    Trouble,
    Used,
)

HOLD = "2h"
"""How long a range that got no answer keeps its last value: until well after the alert MaasCollectionPartial."""
KNOWN = "1d"
"""How far back the last sample before a step may lie: what came while nothing was scraped is in the next step."""


def promql(ask: Ask, over_time: bool) -> str:
    """Write a query, of each step of the panel or of its whole range."""
    if isinstance(ask, Used):
        return _used(ask, over_time)
    if isinstance(ask, Rest):
        return f"{_used(Used(ask.whole), over_time)} - {_used(Used(ask.parts), over_time)}"
    if isinstance(ask, HourOfDay):
        end, start = f" offset -{ask.hour + 1}h", f" offset -{ask.hour}h" if ask.hour else ""
        return f"sum ({_grown(SERVICES, 'tokens', '1h', end, start)})"
    if isinstance(ask, Minute):
        name = f"{MODEL}_{ask.field}{_chosen(OF_MODELS)}"
        if over_time:
            return f"{_one(OF_MODELS)} (max_over_time({name}[$__interval]))"
        return f"sort_desc({_one(OF_MODELS)} ({name}))"
    if isinstance(ask, State):
        return f'{ask.how} by (region, project_id) ({API}_{ask.field}{{region=~"$region"}}){ask.then}'
    if isinstance(ask, Trouble):
        return f'max by (region) ({API}_result_code{{region=~"$region"}}) > 0'
    if isinstance(ask, Coverage):
        return f"min by (range) (last_over_time({USAGE}_coverage_ratio{_chosen(FILTERS)}[{HOLD}]))"
    if isinstance(ask, Forecast):
        clock = "vector(time() + $utc_offset * 3600)"
        left = f"scalar(days_in_month({clock}) - day_of_month({clock}) + 1 - {clock} % 86400 / 86400)"
        return f"({_total('this_month')} + {_total('last_7d')} / 7 * {left}){ask.then}"
    return _total(ask.span) + ask.then


def _used(ask: Used, over_time: bool) -> str:
    step = "$__interval" if over_time else "$__range"
    end, start = (" offset -$__interval", "") if over_time else ("", " offset $__range")
    by = f" by ({', '.join(ask.by)})" if ask.by else ""

    def of(field: str) -> str:
        return f"sum{by} ({_grown(ask.source, 'tokens' if field == 'total_tokens' else field, step, end, start)})"

    return of(ask.field) + (f" / {of(ask.over)}" if ask.over else "") + ask.then


def _grown(source: Source, field: str, step: str, end: str, start: str) -> str:
    """Write by how much counters grew: to the token; where they begin, or began anew, as `increase` does."""
    name, one = f"{source.counts}_{field}_total{_chosen(source.same)}", _one(source.same)
    return (
        f"{one} (last_over_time({name}[{step}]{end})) - {one} (last_over_time({name}[{KNOWN}]{start})) >= 0 "
        f"unless {one} (resets({name}[{step}]{end})) > 0 or {one} (increase({name}[{step}]{end}))"
    )


def _total(span: str) -> str:
    return f"sum ({_one(FILTERS)} (last_over_time({USAGE}_total_tokens{_chosen(FILTERS, span)}[{HOLD}])))"


def _one(same: Sequence[str]) -> str:
    return f"max by ({', '.join(same)})"


def _chosen(same: Sequence[str], span: str = "") -> str:
    pinned = [f'range="{span}"'] if span else []
    return "{" + ",".join([*pinned, *(f'{name}=~"${name}"' for name in same if name in VARIABLES)]) + "}"
