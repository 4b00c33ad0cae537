"""Cloud Eye as an API that a session can query."""

from __future__ import annotations

from typing import Any, Union

from ..source import Send
from .metric_data import DataQuery, fetch_metric_data
from .metric_list import ListQuery, fetch_page


class CloudEye:
    """Query Cloud Eye; see Api."""

    name = "cloud_eye"
    endpoint_key = "cloud_eye_endpoint"

    def ask(self, query: Union[ListQuery, DataQuery], send: Send) -> Any:
        """Fetch a page of the list of metrics, or metric data."""
        return fetch_page(query, send) if isinstance(query, ListQuery) else fetch_metric_data(query, send)
