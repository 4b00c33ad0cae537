"""ShowStatistics: the totals of windows of time, as series of the configured ranges.

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
    """Ask for the totals of one window under these filters. Labels are not printed."""

    window: Window
    service_type: ServiceType
    infer_type: str
    api_keys: Optional[Tuple[str, ...]]
    ips: Optional[Tuple[str, ...]]

    def __repr__(self) -> str:
        return f"TotalsQuery({self.window}, {self.service_type.name}, {self.infer_type})"


class TotalsAnswer(Struct, frozen=True):
    """Hold what was used in a window, and the text that said so."""

    usage: Usage
    text: str


class RangeSeries(Struct, frozen=True):
    """Hold one point to come: the totals of a range, added up from its windows, and how much of it is kept."""

    measurement: str
    tags: Dict[str, str]
    queries: Tuple[TotalsQuery, ...]
    coverage: float

    @property
    def name(self) -> str:
        """Name it to a person: a label is a tag here, and so no secret."""
        names = (self.tags["range"], self.tags["service_type"], self.tags.get("api_key_label"))
        return " ".join(name for name in names if name)

    def fields(self, answers: Sequence[TotalsAnswer]) -> Dict[str, Number]:
        """Add the windows up; what the cloud did not send is left out."""
        usage = reduce(add, (answer.usage for answer in answers))
        values = {name: getattr(usage, name) for name in usage.__struct_fields__}
        values.update(error_ratio=usage.error_ratio, coverage_ratio=self.coverage)
        return {name: value for name, value in values.items() if value is not None}

    def warning(self, fields: Dict[str, Number]) -> str:
        """Say that errors exceed requests."""
        return "" if "error_ratio" in fields else "more errors than requests, so that no error_ratio is given"


class Statistics:
    """Ask ShowStatistics; see Source."""

    def plan(self, instance: Instance, now: int) -> Plan:
        """Plan the ranges of an instance. Two that ask the same ask it once."""
        series: List[RangeSeries] = []
        expired: List[str] = []
        for span in instance.ranges:
            held = clip(span.window(now, instance.zone), now)
            if held.windows:
                series += _series(instance, span.name, held.windows, held.coverage)
            else:
                expired.append(span.name)
        distinct = dict.fromkeys(query for one in series for query in one.queries)
        return Plan(tuple(series), tuple(distinct), tuple(expired))

    def ask(self, query: TotalsQuery, send: Send) -> TotalsAnswer:
        """Ask for the totals of one window."""
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
        answer = send(Call("statistics", "modelarts:monitoring:get", "POST", "endpoint", path, body=body))
        return TotalsAnswer(read_usage(answer), answer.decode("utf-8"))


def _series(instance: Instance, name: str, windows: Sequence[Window], coverage: float) -> Iterator[RangeSeries]:
    for service_type in instance.service_types:
        for infer_type in instance.infer_types:
            for measurement, labels, label_tag in label_filters(instance):
                tags = {"range": name, "service_type": service_type.name, "infer_type": infer_type, **label_tag}
                queries = (TotalsQuery(window, service_type, infer_type, labels, instance.ips) for window in windows)
                yield RangeSeries(measurement, tags, tuple(queries), coverage)


def label_filters(instance: Instance) -> List[Tuple[str, Optional[Tuple[str, ...]], Dict[str, str]]]:
    """List what is asked of each kind of call: the measurement of its ranges, labels to filter by, and their tag."""
    if not instance.per_api_key:
        return [(USAGE, instance.api_keys, {})]
    each = [(KEY_USAGE, (label,), {"api_key_label": label or ONLINE_EXPERIENCE}) for label in instance.api_keys or ()]
    # The whole is asked without a filter, so that what no label covers shows.
    return [(USAGE, None, {}), *each]
