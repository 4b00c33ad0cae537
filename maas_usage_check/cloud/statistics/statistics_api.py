"""ShowStatistics as a source of ranges and of hours."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from msgspec import Struct
from msgspec.structs import replace

from ...config import ONLINE_EXPERIENCE, Instance
from ...config.ranges import HOUR, Window, clip
from ...metrics import CONSUMED, HOURLY, KEY_CONSUMED, KEY_HOURLY, KEY_USAGE, USAGE, Number
from ..source import HourSeries, Measurements, Plan, Send, series_name
from .totals import TotalsAnswer, TotalsQuery, fetch_totals

SETTLED_AFTER = 3 * HOUR
"""An hour is final so long after its end: the statistics lag 1 to 2 hours (console manual)."""


class RangeSeries(Struct, frozen=True):
    """Describe one point: the totals of a range, summed over its windows, and which share of it the cloud still has."""

    measurement: str
    tags: Dict[str, str]
    queries: Tuple[TotalsQuery, ...]
    coverage: float

    @property
    def name(self) -> str:
        """Return the series' name in logs: a label is a tag here, so it is no secret."""
        names = (self.tags["range"], self.tags["service_type"], self.tags.get("api_key_label"))
        return " ".join(name for name in names if name)

    def fields(self, answers: Sequence[TotalsAnswer]) -> Dict[str, Number]:
        """Sum the windows; fields that the cloud did not send are omitted."""
        usage = reduce(add, (answer.usage for answer in answers))
        values = {name: getattr(usage, name) for name in usage.__struct_fields__}
        values.update(error_ratio=usage.error_ratio, coverage_ratio=self.coverage)
        return {name: value for name, value in values.items() if value is not None}

    def warning(self, fields: Dict[str, Number]) -> str:
        """Warn if errors exceed requests."""
        return "" if "error_ratio" in fields else "more errors than requests: error_ratio is omitted"


class Statistics:
    """Query ShowStatistics; see Source. The planner `bisect` finds its hours."""

    name = "statistics"
    endpoint_key = "endpoint"

    def plan(self, instance: Instance, now_ms: int) -> Plan:
        """Plan the ranges of an instance; equal queries are sent once."""
        series: List[RangeSeries] = []
        expired: List[str] = []
        for span in instance.ranges:
            clipped = clip(span.window(now_ms, instance.zone), now_ms)
            if clipped.windows:
                series += _range_series(instance, span.name, clipped.windows, clipped.coverage)
            else:
                expired.append(span.name)
        distinct = dict.fromkeys(query for one in series for query in one.queries)
        return Plan(tuple(series), tuple(distinct), tuple(expired))

    def ask(self, query: TotalsQuery, send: Send) -> TotalsAnswer:
        """Query the totals of one window."""
        return fetch_totals(query, send)

    def hour_series(self, instance: Instance, project_id: str) -> List[HourSeries]:
        """List the series of an instance: one per service and inference type, and with `per_api_key` one per label."""
        found: List[HourSeries] = []
        for service_type in instance.service_types:
            for infer_type in instance.infer_types:
                for measurement, labels, label_tags in label_filters(instance):
                    filters = [None if each is None else sorted(set(each)) for each in (labels, instance.ips)]
                    name = series_name(instance.endpoint, project_id, int(service_type), infer_type, *filters)
                    names = (HOURLY, CONSUMED) if measurement == USAGE else (KEY_HOURLY, KEY_CONSUMED)
                    query = TotalsQuery(Window(0, 0), service_type, infer_type, labels, instance.ips)
                    tags = {"service_type": service_type.name, "infer_type": infer_type, **label_tags}
                    found.append(HourSeries(name, query, Measurements(*names), tags, SETTLED_AFTER))
        return found

    def hours_query(self, series: HourSeries, start_ms: int, until_ms: int) -> TotalsQuery:
        """Make the query of a window of full hours; it ends a millisecond early, as `end_time` may be inclusive."""
        query: TotalsQuery = series.subject
        return replace(query, window=Window(start_ms, until_ms - 1))


def _range_series(instance: Instance, name: str, windows: Sequence[Window], coverage: float) -> Iterator[RangeSeries]:
    for service_type in instance.service_types:
        for infer_type in instance.infer_types:
            for measurement, labels, label_tags in label_filters(instance):
                tags = {"range": name, "service_type": service_type.name, "infer_type": infer_type, **label_tags}
                queries = (TotalsQuery(window, service_type, infer_type, labels, instance.ips) for window in windows)
                yield RangeSeries(measurement, tags, tuple(queries), coverage)


def label_filters(instance: Instance) -> List[Tuple[str, Optional[Tuple[str, ...]], Dict[str, str]]]:
    """List the filters of an instance: the measurement of its ranges, the labels to filter by, and their tags."""
    if not instance.per_api_key:
        return [(USAGE, instance.api_keys, {})]
    each = [
        (KEY_USAGE, (label,), {"api_key_label": label or ONLINE_EXPERIENCE, **instance.owner_tags(label)})
        for label in instance.api_keys or ()
    ]
    # The total is queried without a filter, so calls that no label covers are visible.
    return [(USAGE, None, {}), *each]
