"""ShowStatistics as a source of ranges and of hours."""

from __future__ import annotations

from typing import List

from msgspec.structs import replace

from ...config import Instance
from ...config.ranges import HOUR, Window
from ...metrics import CONSUMED, HOURLY, KEY_CONSUMED, KEY_HOURLY, USAGE
from ..hour_series import HourSeries, Measurements, series_name
from ..source import Plan, Send
from .ranges_plan import label_filters, plan_ranges
from .totals import TotalsAnswer, TotalsQuery, fetch_totals

SETTLED_AFTER = 3 * HOUR
"""An hour is final so long after its end: the statistics lag 1 to 2 hours (console manual)."""


class Statistics:
    """Query ShowStatistics; see Source. The planner `bisect` finds its hours."""

    name = "statistics"
    endpoint_key = "endpoint"

    def plan(self, instance: Instance, now_ms: int) -> Plan:
        """Plan the ranges of an instance."""
        return plan_ranges(instance, now_ms)

    def ask(self, query: TotalsQuery, send: Send) -> TotalsAnswer:
        """Query the totals of one window."""
        return fetch_totals(query, send)

    def hour_series(self, instance: Instance, project_id: str) -> List[HourSeries]:
        """List the series of an instance: one per service and inference type, and with `per_api_key` one per label."""
        found: List[HourSeries] = []
        for service_type in instance.service_types:
            for infer_type in instance.infer_types:
                for measurement, labels, label_tag in label_filters(instance):
                    filters = [None if each is None else sorted(set(each)) for each in (labels, instance.ips)]
                    name = series_name(instance.endpoint, project_id, int(service_type), infer_type, *filters)
                    names = (HOURLY, CONSUMED) if measurement == USAGE else (KEY_HOURLY, KEY_CONSUMED)
                    query = TotalsQuery(Window(0, 0), service_type, infer_type, labels, instance.ips)
                    tags = {"service_type": service_type.name, "infer_type": infer_type, **label_tag}
                    found.append(HourSeries(name, query, Measurements(*names), tags, SETTLED_AFTER))
        return found

    def hours_query(self, series: HourSeries, start_ms: int, until_ms: int) -> TotalsQuery:
        """Make the query of a window of full hours; it ends a millisecond early, as `end_time` may be inclusive."""
        query: TotalsQuery = series.subject
        return replace(query, window=Window(start_ms, until_ms - 1))
