"""Cloud Eye: the list of metrics, and their values, as strict about what is asked as its pages.

What it assumes beyond them: a value stands at the beginning of its minute; the period that is under way is answered
as far as it is known; a value that nobody reported is left out, not answered as 0; an unknown field is an error.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from .arrivals import HOUR
from .metric_values import NAMESPACE, OVER, UNITS, values
from .simulated_models import SimulatedModels
from .usage_by_minute import MINUTE
from .wire import Asked, Refusal, read_object

MOST_METRICS = 500
MOST_POINTS = 3_000
LONGEST_PAGE = 1_000
PERIODS = {
    "1": (MINUTE, 4 * HOUR),
    "300": (5 * MINUTE, 24 * HOUR),
    "1200": (20 * MINUTE, 3 * 24 * HOUR),
    "3600": (HOUR, 10 * 24 * HOUR),
    "14400": (4 * HOUR, 30 * 24 * HOUR),
    "86400": (24 * HOUR, 180 * 24 * HOUR),
}
"""How long each period is, and how far before `to` it reaches, milliseconds."""
LISTED_FOR = 3 * HOUR
Series = Tuple[str, Optional[str]]
Metric = Tuple[str, str, Tuple[Tuple[str, str], ...]]
"""The marker by which a page begins, the metric's id, and its dimensions."""


def words(status: int, code: str, details: str) -> Dict[str, Any]:
    """Word an error as Cloud Eye does."""
    return {"http_code": status, "message": {"code": code, "details": details}}


def list_metrics(models: SimulatedModels, asked: Asked, now: int) -> Dict[str, Any]:
    """Answer a page of the list at a moment, milliseconds."""
    question = dict(asked.query)
    if len(question) < len(asked.query) or set(question) - {"namespace", "limit", "start"}:
        raise _invalid("a query parameter is unknown or given twice")
    namespace, limit, start = (question.get(*one) for one in (("namespace", ""), ("limit", "1000"), ("start", "")))
    if not re.fullmatch(r"[A-Za-z]\w*\.[A-Za-z]\w*", namespace, re.ASCII):
        raise _invalid("namespace must be in the format of service.item")
    if not re.fullmatch("[0-9]{1,4}", limit) or not 1 <= int(limit) <= LONGEST_PAGE:
        raise _invalid(f"limit must be 1 to {LONGEST_PAGE}")
    if "start" in question and not re.fullmatch(re.escape(namespace) + r"\.\w+\.[\w-]+:[\w,:-]+", start, re.ASCII):
        raise _invalid("start must be the marker of a page")
    known = sorted(_listed(models, now)) if namespace == NAMESPACE else []
    first = bisect_right([marker for marker, _, _ in known], start)
    page = known[first : first + int(limit)]
    return {
        "metrics": [_described(namespace, name, dimensions) for _, name, dimensions in page],
        "meta_data": {"count": len(page), "total": len(known), "marker": page[-1][0] if page else ""},
    }


def list_metric_data(models: SimulatedModels, asked: Asked, now: int) -> Dict[str, Any]:
    """Answer the values of several metrics at a moment, milliseconds: as many as one answer holds."""
    try:
        question = read_object(asked)
        _check(question)
    except ValueError as why:
        raise _invalid(str(why)) from None
    step, reach = PERIODS[question["period"]]
    to, statistic = question["to"], question["filter"]
    starts = range(max(question["from"], to - reach) // step * step, to + models.inclusive_end, step)
    room = MOST_POINTS
    answered = []
    for metric in question["metrics"]:
        dimensions = tuple((dimension["name"], dimension["value"]) for dimension in metric["dimensions"])
        described = _described(metric["namespace"], metric["metric_name"], dimensions)
        series = _series(models, metric["namespace"], metric["metric_name"], dict(dimensions))
        points: List[Dict[str, Any]] = []
        if series and room:
            found = values(models, series, metric["metric_name"], statistic, starts, now)
            points = [{statistic: value, "timestamp": at} for at, value in itertools.islice(found, room)]
        room -= len(points)
        answered.append({**described, "datapoints": points})
    return {"metrics": answered}


def _listed(models: SimulatedModels, now: int) -> Iterator[Metric]:
    """Go through the metrics of every series that reported anything of late."""
    for model in models.ids():
        for key in (None, *models.key_ids(model)):
            if not models.reported(model, key, now - LISTED_FOR, now):
                continue
            dimensions = (("maas_api_id", model), *((("maas_key_id", key),) if key is not None else ()))
            for name in UNITS:
                yield _marker(name, dimensions), name, dimensions
            if key is None:
                service = (("maas_service_name", _service(model)),)
                yield _marker("total_tokens", service), "total_tokens", service


def _series(models: SimulatedModels, namespace: str, name: str, dimensions: Dict[str, str]) -> Optional[Series]:
    """Find out whose values a metric's are; None for what is unknown."""
    names = set(dimensions)
    if namespace != NAMESPACE or name not in UNITS:
        return None
    if names == {"maas_service_name"} and name == "total_tokens":
        model = next((model for model in models.ids() if _service(model) == dimensions["maas_service_name"]), None)
        return (model, None) if model else None
    if names not in ({"maas_api_id"}, {"maas_api_id", "maas_key_id"}):
        return None
    return dimensions["maas_api_id"], dimensions.get("maas_key_id")


def _service(model: str) -> str:
    return f"service-{model[:8]}"


def _marker(name: str, dimensions: Iterable[Tuple[str, str]]) -> str:
    return f"{NAMESPACE}.{name}." + ",".join(f"{dimension}:{value}" for dimension, value in dimensions)


def _described(namespace: str, name: str, dimensions: Iterable[Tuple[str, str]]) -> Dict[str, Any]:
    return {
        "namespace": namespace,
        "metric_name": name,
        "unit": UNITS.get(name, "") if namespace == NAMESPACE else "",
        "dimensions": [{"name": dimension, "value": value} for dimension, value in dimensions],
    }


def _check(question: Dict[str, Any]) -> None:
    if set(question) != {"metrics", "from", "to", "period", "filter"}:
        raise ValueError("metrics, from, to, period and filter must be given, and nothing else")
    metrics, start, to = question["metrics"], question["from"], question["to"]
    if not isinstance(metrics, list) or not 1 <= len(metrics) <= MOST_METRICS:
        raise ValueError(f"metrics must be 1 to {MOST_METRICS}")
    if type(start) is not int or type(to) is not int or not 0 <= start < to:
        raise ValueError("from and to must be milliseconds, and from < to")
    for name, allowed in (("period", list(PERIODS)), ("filter", list(OVER))):
        if question[name] not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}")
    for metric in metrics:
        if not _strings(metric, {"namespace", "metric_name"}, besides={"dimensions"}):
            raise ValueError("a metric must have namespace, metric_name and dimensions, and nothing else")
        dimensions = metric["dimensions"]
        if not isinstance(dimensions, list) or not all(_strings(one, {"name", "value"}) for one in dimensions):
            raise ValueError("dimensions must be a list of name and value, and nothing else")
        if not 1 <= len(dimensions) == len({one["name"] for one in dimensions}):
            raise ValueError("dimensions must be one or more, each given once")


def _strings(given: Any, names: Iterable[str], besides: Iterable[str] = ()) -> bool:
    """Say whether something is an object with these fields, all of them strings that are not empty."""
    if not isinstance(given, dict) or set(given) != {*names, *besides}:
        return False
    return all(type(given[name]) is str and given[name] for name in names)


def _invalid(details: str) -> Refusal:
    return Refusal(400, "ces.0014", details, words)
