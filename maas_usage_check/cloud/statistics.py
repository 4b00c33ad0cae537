"""ShowStatistics: totals of time windows, as series of the configured ranges.

Facts of the API: its page (support.huaweicloud.com/api-maas/ShowStatistics.html) and Huawei's own query script.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from msgspec import Struct

from ..config import ONLINE_EXPERIENCE, Instance, ServiceType
from ..config.ranges import Window, clip
from ..metrics import KEY_USAGE, USAGE, Number
from .source import Call, Plan, Send
from .usage import Usage, read_usage


class TotalsQuery(Struct, frozen=True):
    """Query the totals of one window under these filters. The repr shows no labels."""

    window: Window
    service_type: ServiceType
    infer_type: str
    api_keys: Optional[Tuple[str, ...]]
    ips: Optional[Tuple[str, ...]]

    def __repr__(self) -> str:
        return f"TotalsQuery({self.window}, {self.service_type.name}, {self.infer_type})"


class TotalsAnswer(Struct, frozen=True):
    """Hold the usage of a window, and the answer's text."""

    usage: Usage
    text: str


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
    """Query ShowStatistics; see Source."""

    name = "statistics"
    endpoint_key = "endpoint"

    def plan(self, instance: Instance, now_ms: int) -> Plan:
        """Plan the ranges of an instance; equal queries are sent once."""
        series: List[RangeSeries] = []
        expired: List[str] = []
        for span in instance.ranges:
            clipped = clip(span.window(now_ms, instance.zone), now_ms)
            if clipped.windows:
                series += _series(instance, span.name, clipped.windows, clipped.coverage)
            else:
                expired.append(span.name)
        distinct = dict.fromkeys(query for one in series for query in one.queries)
        return Plan(tuple(series), tuple(distinct), tuple(expired))

    def ask(self, query: TotalsQuery, send: Send) -> TotalsAnswer:
        """Query the totals of one window."""
        body: Dict[str, Any] = {
            "service_type": int(query.service_type),
            "start_time": query.window.start,
            "end_time": query.window.end,
            "infer_type": query.infer_type,
        }
        if query.api_keys is not None:
            body["api_keys"] = list(query.api_keys)
        if query.ips is not None:
            body["ips"] = list(query.ips)
        path = "/v1/{project_id}/maas/monitoring/show-statistics"
        answer = send(Call("modelarts:monitoring:get", "POST", path, body=body))
        return TotalsAnswer(read_usage(answer), answer.decode("utf-8"))


def _series(instance: Instance, name: str, windows: Sequence[Window], coverage: float) -> Iterator[RangeSeries]:
    for service_type in instance.service_types:
        for infer_type in instance.infer_types:
            for measurement, labels, label_tag in label_filters(instance):
                tags = {"range": name, "service_type": service_type.name, "infer_type": infer_type, **label_tag}
                queries = (TotalsQuery(window, service_type, infer_type, labels, instance.ips) for window in windows)
                yield RangeSeries(measurement, tags, tuple(queries), coverage)


def label_filters(instance: Instance) -> List[Tuple[str, Optional[Tuple[str, ...]], Dict[str, str]]]:
    """List the filters of an instance: the measurement of its ranges, the labels to filter by, and their tag."""
    if not instance.per_api_key:
        return [(USAGE, instance.api_keys, {})]
    each = [(KEY_USAGE, (label,), {"api_key_label": label or ONLINE_EXPERIENCE}) for label in instance.api_keys or ()]
    # The total is queried without a filter, so calls that no label covers are visible.
    return [(USAGE, None, {}), *each]
