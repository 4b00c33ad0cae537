"""Which metrics there are: the pages of ListMetrics."""

from __future__ import annotations

from typing import Dict, List, Optional

import msgspec
from msgspec import Struct

from ..json_body import bad_answer, undecodable
from ..source import Call, Send
from .known_metrics import MAX_ANSWER_BYTES, METRICS, NAMESPACE, Dimensions
from .limits import check_metric_count, check_name_lengths, check_value_count

PAGE_SIZE = 1000
"""The most that the API gives at once."""
MAX_PAGES = 100
MAX_MARKER_LENGTH = 1024
"""Letters: it names a metric and its dimensions, and goes into the next page's URL."""
MAX_UNKNOWN = 100
"""Ids without a place here that are remembered: enough for a person."""


class ListQuery(Struct, frozen=True):
    """Ask for one page."""

    marker: Optional[str] = None


class Listing(Struct):
    """Hold what one page or several list: of each model and key the metrics; and the ids that have no place here."""

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
    """Hold where the list goes on."""

    marker: Optional[str] = None


class Page(Struct):
    """Hold one page of the list."""

    metrics: List[ListedMetric]
    meta_data: MetaData

    @property
    def marker(self) -> Optional[str]:
        """Name the next page; there is none after one that lists nothing."""
        return self.meta_data.marker or None if self.metrics else None


_PAGE = msgspec.json.Decoder(Page)


def fetch_page(query: ListQuery, send: Send) -> Page:
    """Ask for a page; raise QueryError where it cannot be believed."""
    parameters = [("limit", str(PAGE_SIZE)), ("namespace", NAMESPACE)]
    if query.marker is not None:
        parameters.append(("start", query.marker))
    path = "/V1.0/{project_id}/metrics"
    call = Call(
        "cloud_eye", "ces:metrics:list", "GET", "cloud_eye_endpoint", path, query=parameters, max_bytes=MAX_ANSWER_BYTES
    )
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
        raise bad_answer(f"the list of metrics goes on at a marker of {len(page.marker or ''):,} letters")
    if page.marker is not None and page.marker == query.marker:
        raise bad_answer("the list of metrics goes on where it was")
    return page


def add_page(listing: Listing, page: Page) -> None:
    """Put a page to those before; raise QueryError where they do not end."""
    listing.pages += 1
    if listing.pages > MAX_PAGES:
        raise bad_answer(f"the list of metrics has more than {MAX_PAGES} pages")
    for metric in page.metrics:
        dimensions = read_dimensions(metric.dimensions)
        if dimensions is None or metric.metric_name not in METRICS:
            names = ",".join(sorted(each.name for each in metric.dimensions))
            unknown = metric.metric_name if metric.metric_name not in METRICS else f"{metric.metric_name} by {names}"
            if unknown not in listing.unknown and len(listing.unknown) < MAX_UNKNOWN:
                listing.unknown.append(unknown)
        else:
            listing.metrics.setdefault(dimensions, []).append(metric.metric_name)


def read_dimensions(given: List[Dimension]) -> Optional[Dimensions]:
    """Read the dimensions of a metric; None where they are not those of a model, or of a model and a key."""
    values = {each.name: each.value for each in given}
    names = {"maas_api_id"} if len(given) == 1 else {"maas_api_id", "maas_key_id"}
    # They become tags, which not every format lets hold whatever there is.
    if values.keys() != names or not all(value.isprintable() and value.strip(" \\") for value in values.values()):
        return None
    return Dimensions(values["maas_api_id"], values.get("maas_key_id", ""))
