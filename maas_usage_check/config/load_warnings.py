"""Warnings for a configuration that is valid but probably a mistake."""

from __future__ import annotations

import re
from typing import Any, Iterator, Optional, Sequence, Tuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from .instance import Instance
from .overlaps import calls, first_overlap, models
from .ranges import HOUR, Calendar

LAG = 3 * HOUR
"""The cloud's statistics lag 1 to 2 hours; a range that begins later than this may be all zeros."""
PLACEHOLDER = r"\$\{|(^|[/:])\$[A-Za-z_]\w*(/|$)|%%.+%%|ENC\["


def load_warnings(instances: Sequence[Instance], now: float, option: Optional[str] = None) -> Iterator[str]:
    """Yield one line for each probable mistake.

    Args:
        instances: in the order of the file; lines name them by index.
        now: seconds since 1970.
        option: the command-line option that the ranges come from, named instead of their path.
    """
    yield from dict.fromkeys(
        f"{option or f'instances[{i}].ranges[{k}]'}: {span.name} begins less than 3 hours ago and may show zeros, "
        "because the cloud's statistics are 1 to 2 hours late; begin it at least 3 hours ago, as last_3h does"
        for i, instance in enumerate(instances)
        for k, span in enumerate(instance.ranges)
        # A calendar range is this short only for the first hours of its period.
        if not isinstance(span, Calendar) and span.window(int(now * 1000), instance.zone).start > now * 1000 - LAG
    )
    pair = first_overlap(instances, calls)
    if pair is not None:
        i, k = pair
        yield (
            f"instances[{i}]: queries the same calls as instances[{k}] ({_example(instances[i], instances[k])}) under "
            "different tags: a sum over both may count them twice, and the shipped dashboards show only the larger; "
            "use one instance (per_api_key separates keys), or name the ranges differently"
        )
    pair = first_overlap(instances, models)
    if pair is not None:
        yield (
            f"instances[{pair[0]}].models: reports the same models as instances[{pair[1]}] under different tags: a sum "
            "over both counts them twice; set `models` in one of them"
        )
    for i, instance in enumerate(instances):
        if instance.prices:
            from .price_warnings import price_warnings

            yield from price_warnings(instance.prices, f"instances[{i}].prices")
        yield from _costs_without_keys(instance, f"instances[{i}].teams")
        yield from _placeholders(instance, f"instances[{i}]")


def _example(one: Instance, other: Instance) -> str:
    """Return a range, a service type and an inference type that two instances have in common."""
    names = {span.name for span in other.ranges}
    span = next(span.name for span in one.ranges if span.name in names)
    service_type = next(each.name for each in one.service_types if each in other.service_types)
    return f"{span} {service_type} {next(each for each in one.infer_types if each in other.infer_types)}"


def _costs_without_keys(instance: Instance, path: str) -> Iterator[str]:
    """Name each budget in cost that no use is compared with: Cloud Eye knows the ids of keys, not their labels."""
    named = set(instance.key_names.values())
    for name, team in instance.teams.items():
        if team.budget.cost and named.isdisjoint(team.api_keys):
            yield (
                f"{path}.{name}.budget.cost: has no cost to compare, because key_names has none of the team's labels; "
                "add the ids of its keys there"
            )


def _placeholders(instance: Instance, path: str) -> Iterator[str]:
    """Name the path of each text with a placeholder, never the text: it may contain a secret."""
    encoded = msgspec.json.encode(instance)
    if not any(mark in encoded for mark in (b"$", b"%%", b"ENC[")):
        return
    of_teams = {label for team in instance.teams.values() for label in team.api_keys}  # named by the team's path
    api_keys = tuple("" if label in of_teams else label for label in instance.api_keys or ())
    for at, text in _texts(replace(instance, api_keys=api_keys), path):
        if re.search(PLACEHOLDER, text, re.ASCII):
            yield (
                f"{at}: contains a placeholder such as ${{X}}, %%X%% or ENC[X], which this plugin does not replace "
                "(the Datadog Agent replaces %%X%% only in autodiscovery templates); write the value itself"
            )


def _texts(value: Any, path: str) -> Iterator[Tuple[str, str]]:
    """Yield the path and content of each text within a value."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from _texts(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, dict):
        for name, content in value.items():
            yield from _texts(content, f"{path}.{name}")
    elif isinstance(value, tuple):
        for i, content in enumerate(value):
            yield from _texts(content, f"{path}[{i}]")
