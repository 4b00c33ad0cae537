"""The instances that a report shows, and how it queries each."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from msgspec.structs import replace

from ...config import Instance
from ...errors import ConfigError
from .report_options import View

NO_TEAMS = "--by team: needs `teams` in the --config file, with the labels of each team's API keys"
NO_PRICES = "--format focus: needs `prices` in the --config file, with `models: true` and `hourly: true`"
NO_LABELS = "--by key: needs labels; name them with --api-keys, or as api_keys in the --config file"


def choose(instances: Sequence[Instance], view: View) -> List[Instance]:
    """Return the instances of a view; raise ConfigError if none fits."""
    if view.is_focus:
        priced = [each for each in instances if each.prices]
        if not priced:
            raise ConfigError(NO_PRICES)
        return priced
    if view.by == "model":
        return [each for each in instances if each.models] or list(instances)
    if view.by == "team":
        instances = [each for each in instances if each.teams]
        if not instances:
            raise ConfigError(NO_TEAMS)
    if view.by == "key" and not any(instance.api_keys for instance in instances):
        raise ConfigError(NO_LABELS)
    return list(instances)


def with_view(instance: Instance, view: View, labels: Optional[Sequence[str]], now_ms: int) -> Instance:
    """Return an instance as the view queries it; raise ConfigError for a wrong month or an unknown zone.

    By service, labels that are reported one by one are parts of the whole.

    Args:
        instance: as configured.
        view: of the report.
        labels: of the command line: by service, only their calls are counted.
        now_ms: milliseconds since 1970.
    """
    instance.zone()
    values: Dict[str, Any] = {}
    if view.month is not None:
        view.month.check(now_ms, instance.zone)
        values["ranges"] = (view.month,)
    if view.by == "service" and instance.per_api_key:
        values.update(per_api_key=False, api_keys=tuple(labels) if labels else None)
    elif view.by == "key":
        values["per_api_key"] = True
    elif view.by == "model":
        values["models"] = True
    return replace(instance, **values)
