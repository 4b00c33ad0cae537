"""Warnings for a configuration that is valid but probably a mistake."""

from __future__ import annotations

from itertools import islice, product
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

from .instance import Instance
from .ranges import HOUR, Calendar

LAG = 3 * HOUR
"""The cloud's statistics lag 1 to 2 hours; a range that begins later than this may be all zeros."""

MAX_CALLS = 10_000
"""Compared per instance: labels times addresses may be a million, and a warning must not take long."""

ANY = object()
"""Matches any value, where another instance queries all of them."""


def load_warnings(instances: Sequence[Instance], now: float, option: Optional[str] = None) -> Iterator[str]:
    """Yield one line for each probable mistake.

    Args:
        instances: in the order of the file; lines name them by index.
        now: seconds since 1970.
        option: the command-line option that the ranges come from, named instead of their path.
    """
    lines = [
        f"{option or f'instances[{i}].ranges[{k}]'}: {span.name} begins less than 3 hours ago and may show zeros, "
        "because the cloud's statistics are 1 to 2 hours late; begin it at least 3 hours ago, as last_3h does"
        for i, instance in enumerate(instances)
        for k, span in enumerate(instance.ranges)
        # A calendar range is this short only for the first hours of its period.
        if not isinstance(span, Calendar) and span.window(int(now * 1000), instance.zone).start > now * 1000 - LAG
    ]
    yield from dict.fromkeys(lines)
    yield from _same_calls(instances)
    yield from _same_models(instances)
    yield from _unused_prices(instances)


def _same_calls(instances: Sequence[Instance]) -> Iterator[str]:
    """Name the first two instances that may count the same calls."""
    seen: Dict[Tuple[Any, ...], int] = {}
    for i, instance in enumerate(instances):
        own = list(islice(_calls(instance), MAX_CALLS))
        for exact, loose in own:
            for values in product(*((ANY,) if value is None else (value, None) for value in loose)):
                if (exact, values) in seen:
                    span, service_type, infer_type = exact[-3:]
                    yield (
                        f"instances[{i}]: queries the same calls as instances[{seen[exact, values]}] "
                        f"({span} {service_type.name} {infer_type}) under different tags: a sum over both may count "
                        "them twice, and the shipped dashboards show only the larger; use one instance (per_api_key "
                        "separates keys), or name the ranges differently"
                    )
                    return
        for exact, loose in own:
            for values in product(*((value, ANY) for value in loose)):
                seen.setdefault((exact, values), i)


def _same_models(instances: Sequence[Instance]) -> Iterator[str]:
    """Name the first two instances that may report the same models."""
    seen: Dict[Any, Dict[Optional[str], int]] = {}
    for i, instance in enumerate(instances):
        if not instance.models:
            continue
        indices = seen.setdefault((instance.cloud_eye_endpoint, instance.credentials), {})
        same = indices if instance.project_id is None else [p for p in (instance.project_id, None) if p in indices]
        for k in sorted(indices[p] for p in same)[:1]:
            yield (
                f"instances[{i}].models: reports the same models as instances[{k}] under different tags: a sum "
                "over both counts them twice; set `models` in one of them"
            )
            return
        indices[instance.project_id] = i


def _unused_prices(instances: Sequence[Instance]) -> Iterator[str]:
    """Name each price of a model name that never applies, because all models of that name are priced by id."""
    for i, instance in enumerate(instances):
        priced, named = instance.prices.models if instance.prices else {}, instance.model_names
        for name in dict.fromkeys(named.values()):
            if name in priced and all(api_id in priced for api_id, own in named.items() if own == name):
                yield (
                    f"instances[{i}].prices.models.{name}: is never used, because every model of that name has a price "
                    "by its id; remove one of the two"
                )


def _calls(instance: Instance) -> Iterator[Tuple[Tuple[Any, ...], Tuple[Optional[str], ...]]]:
    """Yield the calls that an instance counts: values that must be equal, and values where None means all."""
    labels = None if instance.per_api_key else instance.api_keys
    where = (instance.region, instance.endpoint, instance.credentials)
    names = [span.name for span in instance.ranges]
    for combination in product(names, instance.service_types, instance.infer_types):
        for loose in product((instance.project_id,), labels or (None,), instance.ips or (None,)):
            yield (*where, *combination), loose
