"""The series of hours of an instance: how each is named in the ledger, asked and tagged."""

from __future__ import annotations

import hashlib
from typing import Dict, List, Optional, Tuple

from msgspec import Struct

from ..cloud.statistics import Totals, filters_of
from ..cloud.usage import Usage
from ..config import Instance, ServiceType
from ..config.ranges import Window
from ..metrics import CONSUMED, HOURLY, KEY_CONSUMED, KEY_HOURLY, USAGE
from .hour_values import FIELDS, Values


class HourSeries(Struct, frozen=True):
    """Hold one kind of calls whose hours are kept."""

    hourly: str
    consumed: str
    tags: Dict[str, str]
    service_type: ServiceType
    infer_type: str
    api_keys: Optional[Tuple[str, ...]]
    ips: Optional[Tuple[str, ...]]

    def query(self, start: int, until: int) -> Totals:
        """Ask about a window of full hours; it ends a millisecond early, for `end_time` may be inclusive."""
        return self.window_query(Window(start, until - 1))

    def window_query(self, window: Window) -> Totals:
        """Ask about a window as it is."""
        return Totals(window, self.service_type, self.infer_type, self.api_keys, self.ips)

    def series_name(self, endpoint: str, project_id: str) -> str:
        """Name it in the ledger by what decides its numbers; not by the tags. A digest, for labels are not stored."""
        filters = [None if given is None else sorted(set(given)) for given in (self.api_keys, self.ips)]
        text = repr((endpoint, project_id, int(self.service_type), self.infer_type, *filters))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def list_series(instance: Instance) -> List[HourSeries]:
    """List the series of an instance: the whole of each kind of calls, and with `per_api_key` each label."""
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
        for measurement, labels, label_tag in filters_of(instance)
    ]


def usage_values(usage: Usage) -> Values:
    """Take from an answer what the ledger keeps."""
    return tuple(getattr(usage, series_name) for series_name in FIELDS)
