"""ListMetrics: the pages of the list of metrics."""

from __future__ import annotations

from typing import Dict, List, Optional

import msgspec
from msgspec import Struct

from ..json_body import bad_answer, undecodable
from ..source import Call, Send
from .known_metrics import (
    MAX_ANSWER_BYTES,
    METRICS,
    NAMESPACE,
    NOT_QUERIED,
    Dimensions,
    check_metric_count,
    check_name_lengths,
    check_value_count,
)

PAGE_SIZE = 1000
"""The API's maximum."""
MAX_PAGES = 100
MAX_MARKER_LENGTH = 1024
"""Characters; a marker names a metric and its dimensions, and is part of the next page's URL."""
MAX_UNKNOWN = 100
"""Unknown metric names that are remembered: enough for a person."""


class ListQuery(Struct, frozen=True):
    """Query one page."""

    marker: Optional[str] = None


class Listing(Struct):
    """Hold the metrics of each model and key over one or more pages, and the names of unknown metrics."""

    metrics: Dict[Dimensions, List[str]] = {}
    unknown: List[str] = []
    pages: int = 0


class Dimension(Struct):
    """Hold one dimension of a metric as the cloud writes it."""

    name: str
    value: str


class ListedMetric(Struct):
    """Hold one metric as the cloud writes it."""

    metric_name: str
    dimensions: List[Dimension]


class MetaData(Struct):
    """Hold the marker of the next page."""

    marker: Optional[str] = None


class Page(Struct):
    """Hold one page of the list."""

    metrics: List[ListedMetric]
    meta_data: MetaData

    @property
    def marker(self) -> Optional[str]:
        """Return the marker of the next page; None on the last page, and on an empty one."""
        return self.meta_data.marker or None if self.metrics else None


_PAGE = msgspec.json.Decoder(Page)


def fetch_page(query: ListQuery, send: Send) -> Page:
    """Fetch a page; raise QueryError if it is invalid."""
    parameters = [("limit", str(PAGE_SIZE)), ("namespace", NAMESPACE)]
    if query.marker is not None:
        parameters.append(("start", query.marker))
    path = "/V1.0/{project_id}/metrics"
    call = Call("ces:metrics:list", "GET", path, query=parameters, max_bytes=MAX_ANSWER_BYTES)
    body = send(call)
    check_value_count(body, PAGE_SIZE)
    try:
        page = _PAGE.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise undecodable(body, f"the list of metrics is not as documented ({error})") from None
    check_metric_count(len(page.metrics), PAGE_SIZE)
    for metric in page.metrics:
        texts = (text for dimension in metric.dimensions for text in (dimension.name, dimension.value))
        check_name_lengths([metric.metric_name, *texts])
    if len(page.marker or "") > MAX_MARKER_LENGTH:
        raise bad_answer(f"the list of metrics continues at a marker of {len(page.marker or ''):,} characters")
    if page.marker is not None and page.marker == query.marker:
        raise bad_answer("the list of metrics repeats its marker")
    return page


def add_page(listing: Listing, page: Page) -> None:
    """Add a page to a listing; raise QueryError beyond MAX_PAGES pages."""
    listing.pages += 1
    if listing.pages > MAX_PAGES:
        raise bad_answer(f"the list of metrics has more than {MAX_PAGES} pages")
    for metric in page.metrics:
        if metric.metric_name in NOT_QUERIED:
            continue
        dimensions = read_dimensions(metric.dimensions)
        if dimensions is None or metric.metric_name not in METRICS:
            names = ",".join(sorted(each.name for each in metric.dimensions))
            unknown = metric.metric_name if metric.metric_name not in METRICS else f"{metric.metric_name} by {names}"
            if unknown not in listing.unknown and len(listing.unknown) < MAX_UNKNOWN:
                listing.unknown.append(unknown)
        else:
            listing.metrics.setdefault(dimensions, []).append(metric.metric_name)


def read_dimensions(listed: List[Dimension]) -> Optional[Dimensions]:
    """Parse a metric's dimensions; None unless they are those of a model, or of a model and a key."""
    values = {each.name: each.value for each in listed}
    names = {"maas_api_id"} if len(listed) == 1 else {"maas_api_id", "maas_key_id"}
    # They become tags, and not every format allows every character in a tag.
    if values.keys() != names or not all(value.isprintable() and value.strip(" \\") for value in values.values()):
        return None
    return Dimensions(values["maas_api_id"], values.get("maas_key_id", ""))
