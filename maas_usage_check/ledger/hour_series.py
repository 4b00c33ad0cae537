"""The series of hours of an instance: their names in the ledger, queries and tags."""

from __future__ import annotations

import hashlib
from typing import Dict, List, Optional, Tuple

from msgspec import Struct

from ..cloud.statistics import TotalsQuery, label_filters
from ..cloud.usage import Usage
from ..config import Instance, ServiceType
from ..config.ranges import Window
from ..metrics import CONSUMED, HOURLY, KEY_CONSUMED, KEY_HOURLY, USAGE
from .hour_values import FIELDS, Values


class HourSeries(Struct, frozen=True):
    """The calls of one service type, inference type and filter. `hourly` and `consumed` are its measurements."""

    hourly: str
    consumed: str
    tags: Dict[str, str]
    service_type: ServiceType
    infer_type: str
    api_keys: Optional[Tuple[str, ...]]
    ips: Optional[Tuple[str, ...]]

    def query(self, start: int, until: int) -> TotalsQuery:
        """Make the query of a window of full hours; it ends a millisecond early, as `end_time` may be inclusive."""
        return self.window_query(Window(start, until - 1))

    def window_query(self, window: Window) -> TotalsQuery:
        """Make the query of exactly this window."""
        return TotalsQuery(window, self.service_type, self.infer_type, self.api_keys, self.ips)

    def series_name(self, endpoint: str, project_id: str) -> str:
        """Return its name in the ledger: a digest of all that decides its numbers, so that no label is stored."""
        filters = [None if each is None else sorted(set(each)) for each in (self.api_keys, self.ips)]
        text = repr((endpoint, project_id, int(self.service_type), self.infer_type, *filters))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def list_series(instance: Instance) -> List[HourSeries]:
    """List the series of an instance: one per service and inference type, and with `per_api_key` one per label."""
    return [
        HourSeries(
            HOURLY if measurement == USAGE else KEY_HOURLY,
            CONSUMED if measurement == USAGE else KEY_CONSUMED,
            {"service_type": service_type.name, "infer_type": infer_type, **label_tag},
            service_type,
            infer_type,
            labels,
            instance.ips,
        )
        for service_type in instance.service_types
        for infer_type in instance.infer_types
        for measurement, labels, label_tag in label_filters(instance)
    ]


def usage_values(usage: Usage) -> Values:
    """Return the numbers of an answer in the order of FIELDS."""
    return tuple(getattr(usage, name) for name in FIELDS)
