"""What a configuration may say but can hardly mean: warned of when it is loaded."""

from __future__ import annotations

from itertools import islice, product
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

from .instance import Instance
from .ranges import HOUR, Calendar

LAG = 3 * HOUR
"""The cloud's statistics lag 1 to 2 hours; a range that begins later than this may lie within them."""

MOST_CALLS = 10_000
"""Looked up of each instance: labels times addresses may be a million, and a warning is not worth a wait."""

SOME = object()
"""Stands for whichever one, where another instance asks about all."""


def load_warnings(instances: Sequence[Instance], now: float, typed: Optional[str] = None) -> Iterator[str]:
    """Say what of a file can hardly be meant, a line each.

    Args:
        instances: in the file's order, by which they are named.
        now: seconds since 1970.
        typed: the option that the ranges come from, which then is named instead of their path.
    """
    lines = [
        f"{typed or f'instances[{i}].ranges[{k}]'}: {span.name} lies within the hours that the cloud's statistics lag "
        "behind, and may show zeros whatever was used; let it begin at least 3 hours ago, as last_3h does"
        for i, instance in enumerate(instances)
        for k, span in enumerate(instance.ranges)
        # One that follows the calendar is short for a while only.
        if not isinstance(span, Calendar) and span.window(int(now * 1000), instance.zone).start > now * 1000 - LAG
    ]
    yield from dict.fromkeys(lines)
    yield from _asked_twice(instances)
    yield from _models_twice(instances)
    yield from _prices_of_nothing(instances)


def _asked_twice(instances: Sequence[Instance]) -> Iterator[str]:
    """Name the first two instances that may count the same calls, by looking each call up among those before."""
    first: Dict[Tuple[Any, ...], int] = {}
    for i, instance in enumerate(instances):
        own = list(islice(_calls(instance), MOST_CALLS))
        for exact, loose in own:
            for values in product(*((SOME,) if value is None else (value, None) for value in loose)):
                if (exact, values) in first:
                    span, service_type, infer_type = exact[-3:]
                    yield (
                        f"instances[{i}]: asks about calls that instances[{first[exact, values]}] asks about too "
                        f"({span} {service_type.name} {infer_type}), under other tags: a sum over both may count them "
                        "twice, and the shipped dashboards show the larger alone; ask it in one instance (per_api_key "
                        "tells keys apart), or name the ranges differently"
                    )
                    return
        for exact, loose in own:
            for values in product(*((value, SOME) for value in loose)):
                first.setdefault((exact, values), i)


def _models_twice(instances: Sequence[Instance]) -> Iterator[str]:
    """Name the first two instances that may tell of the same models."""
    first: Dict[Any, Dict[Optional[str], int]] = {}
    for i, instance in enumerate(instances):
        if not instance.models:
            continue
        before = first.setdefault((instance.cloud_eye_endpoint, instance.credentials), {})
        alike = before if instance.project_id is None else [p for p in (instance.project_id, None) if p in before]
        for k in sorted(before[p] for p in alike)[:1]:
            yield (
                f"instances[{i}].models: tells of models that instances[{k}] tells of too, under other tags: a sum "
                "over both counts them twice; set `models` in one of them"
            )
            return
        before[instance.project_id] = i


def _prices_of_nothing(instances: Sequence[Instance]) -> Iterator[str]:
    """Name the prices by a name whose models all have one by their ids."""
    for i, instance in enumerate(instances):
        priced, named = instance.prices.models if instance.prices else {}, instance.model_names
        for name in dict.fromkeys(named.values()):
            if name in priced and all(api_id in priced for api_id, own in named.items() if own == name):
                yield (
                    f"instances[{i}].prices.models.{name}: is for no model, for each of that name has a price by its "
                    "id, which holds; leave out one of the two"
                )


def _calls(instance: Instance) -> Iterator[Tuple[Tuple[Any, ...], Tuple[Optional[str], ...]]]:
    """List the calls that an instance counts: what must be alike, and what may be None for all there are."""
    labels = None if instance.per_api_key else instance.api_keys
    where = (instance.region, instance.endpoint, instance.credentials)
    names = [span.name for span in instance.ranges]
    for asked in product(names, instance.service_types, instance.infer_types):
        for loose in product((instance.project_id,), labels or (None,), instance.ips or (None,)):
            yield (*where, *asked), loose
