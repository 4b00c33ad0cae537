"""The total of exactly one window, by service type: asked as a range of a cycle is."""

from __future__ import annotations

import itertools
from functools import reduce
from operator import add
from typing import Iterator, List, Mapping, Optional, Sequence

from msgspec.structs import replace

from ...cloud import Query, Statistics
from ...cloud.statistics import TotalsAnswer, TotalsQuery
from ...cloud.usage import Usage
from ...collection import Batch, Collector, run_cycle
from ...config import Instance
from ...config.ranges import clip
from .asked_period import is_unfinished
from .progress_bar import progress_bar
from .usage_report import Group, Line, Period, UsageReport, sum_usages

SERVICES = {"my_service": "My Service", "preset": "Preset Service", "custom_endpoint": "Custom Endpoint"}


def service_group(service_type: str, infer_type: str) -> Group:
    """Make the group of a service type."""
    return Group(SERVICES[service_type], {"service_type": service_type, "infer_type": infer_type})


def query_ranges(collectors: Sequence[Collector], now_s: float) -> List[Batch]:
    """Run a cycle, with a progress bar."""
    total, done = sum(len(collector.plan().queries) for collector in collectors), itertools.count(1)
    with progress_bar("querying") as bar:
        return run_cycle(collectors, progress=lambda: bar(next(done), total), now=now_s)


def make_range_reports(instance: Instance, batch: Batch, now_ms: int) -> Iterator[UsageReport]:
    """Yield a report of each inference type; none if the cloud no longer keeps any of the range."""
    (range_,) = instance.ranges
    window, tz = range_.window(now_ms, instance.zone), instance.zone()
    clipped = clip(window, now_ms)
    if not clipped.windows:
        return
    start, end, length = clipped.windows[0].start, clipped.windows[-1].end, window.end - window.start
    partial = is_unfinished(range_, instance, now_ms) or clipped.coverage < 1
    project_id = next((point.tags["project_id"] for point in batch.points if "project_id" in point.tags), "")
    every = Statistics().plan(instance, now_ms).series
    for infer_type in instance.infer_types:
        series = [each for each in every if each.tags["infer_type"] == infer_type]
        groups = tuple(service_group(each.tags["service_type"], infer_type) for each in series)
        usages = [_usage(each.queries, batch) for each in series]
        covered = end - start if any(usages) else 0
        period = Period(range_.name, start, end, partial, length, covered)
        raw = [
            (query.window, answer.text)
            for query, answer in batch.outcomes.items()
            if isinstance(query, TotalsQuery) and query.infer_type == infer_type and isinstance(answer, TotalsAnswer)
        ]
        whole = Line(period, tuple(usages), sum_usages(usages))
        yield UsageReport(
            instance,
            project_id,
            tz,
            "service",
            None,
            infer_type == "batch",
            groups,
            (whole,),
            whole,
            True,
            raw=tuple(raw),
        )


def _usage(queries: Sequence[Query], batch: Batch) -> Optional[Usage]:
    answers = [answer for answer in map(batch.outcomes.get, queries) if isinstance(answer, TotalsAnswer)]
    return reduce(add, (answer.usage for answer in answers)) if len(answers) == len(queries) else None


def single_label_instances(instance: Instance) -> List[Instance]:
    """Make an instance per label: the sum of several labels hides an unused one."""
    labels = instance.api_keys or ()
    return [replace(instance, api_keys=(label,)) for label in labels if label] if len(labels) > 1 else []


def unused_labels(instance: Instance, alone: Mapping[str, Batch], reports: Sequence[UsageReport]) -> Iterator[str]:
    """Warn of each label without a call, in a report of this label or where it was queried `alone`.

    Elsewhere it is named by its position, because it is private there. The label "" cannot be misspelt.
    """
    labels = instance.api_keys or ()
    only = labels[0] if len(labels) == 1 else None
    for position, label in enumerate(labels, 1):
        usages = [
            usage
            for report in reports
            for group, usage in zip(report.groups, report.whole.usages)
            if report.instance is instance and group.columns.get("api_key_label", only) == label
        ]
        for outcome in alone[label].outcomes.values() if label in alone else ():
            usages.append(outcome.usage if isinstance(outcome, TotalsAnswer) else None)
        if label and usages and not any(usage is None or usage.requests for usage in usages):
            name = f" ({label})" if instance.per_api_key else ""
            yield (
                f"API key label {position} of {len(labels)}{name} had no call in the range: it may be unknown; compare "
                "it with the tag column of the console's API Key page"
            )
