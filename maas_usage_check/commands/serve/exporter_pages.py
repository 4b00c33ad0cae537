"""The pages of the exporter: an index, the metrics, readiness and health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Collection, Iterable, Iterator, Optional, Tuple
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ...metrics.prometheus import families
from ...version import __version__
from .scrape_gate import ScrapeGate
from .snapshot import Snapshot

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .page import Pages

OK, UNAVAILABLE, NOT_FOUND, NOT_ALLOWED = (
    "200 OK", "503 Service Unavailable", "404 Not Found", "405 Method Not Allowed",
)  # fmt: skip
TEXT, HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"
INDEX = f"""\
<!DOCTYPE html>
<html lang="en">
<title>maas-usage-check</title>
<h1>maas-usage-check {__version__}</h1>
<ul>
<li><a href="/metrics">/metrics</a>: the metrics of the last cycles
<li><a href="/-/ready">/-/ready</a>: whether the first cycle has ended
<li><a href="/-/healthy">/-/healthy</a>: whether the cycles are on time
</ul>
</html>
"""


class _SnapshotCollector(Collector):
    """Convert points to metrics of prometheus_client, which encodes them in the format that the scraper accepts.

    Args:
        snapshot: has the points.
        names: of the metrics to serve; all if it is empty. A counter has one name with `_total` and one without.
    """

    def __init__(self, snapshot: Snapshot, names: Collection[str]) -> None:
        self._snapshot = snapshot
        self._names = names

    def collect(self) -> Iterator[Metric]:
        """Build the metrics of one scrape."""
        for family in families(self._snapshot.points()):
            name = family.name[: -len("_total")] if family.is_counter else family.name
            if self._names and name not in self._names and family.name not in self._names:
                continue
            metric = Metric(name, family.help_text, "counter" if family.is_counter else "gauge")
            for labels, value in family.samples:
                metric.add_sample(family.name, labels, value)
            yield metric


def make_application(
    snapshot: Snapshot, pages: Optional[Pages] = None, gate: Optional[ScrapeGate] = None
) -> WSGIApplication:
    """Create the WSGI application that serves a snapshot, and the page for people; without it, `/` is an index.

    `gate` is that of the pages, which let scrapes go first.
    """
    gate = gate or ScrapeGate()

    def metrics(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        registry = CollectorRegistry()
        registry.register(_SnapshotCollector(snapshot, parse_qs(environ.get("QUERY_STRING", "")).get("name[]", ())))
        application: WSGIApplication = make_wsgi_app(registry)
        environ = {**environ, "QUERY_STRING": ""}  # prometheus_client's own filter needs the names before a scrape
        with gate.scrape():
            try:
                return application(environ, start_response)
            except (TypeError, ValueError):  # it cannot parse a version in Accept; nothing was sent yet
                return application({**environ, "HTTP_ACCEPT": ""}, start_response)

    def page(path: str) -> Tuple[str, str, str]:
        if path == "/":
            return OK, HTML, INDEX
        if path == "/-/ready":
            return (
                (OK, TEXT, "ready\n") if snapshot.is_ready else (UNAVAILABLE, TEXT, "the first cycle has not ended\n")
            )
        if path == "/-/healthy":
            return (OK, TEXT, "healthy\n") if snapshot.is_healthy else (UNAVAILABLE, TEXT, "a cycle is overdue\n")
        return NOT_FOUND, TEXT, "not found; the metrics are at /metrics\n"

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            status, content_type, text = NOT_ALLOWED, TEXT, "only GET and HEAD\n"
        elif path == "/metrics" and method == "GET":
            return metrics(environ, start_response)
        elif path == "/metrics":
            status, content_type, text = OK, TEXT, ""
        elif pages is not None and path in pages.paths:
            response = pages.respond(path, environ.get("QUERY_STRING", ""), environ.get("HTTP_ACCEPT_LANGUAGE", ""))
            start_response(response.status, response.headers)
            return [response.body if method == "GET" else b""]
        else:
            status, content_type, text = page(path)
        start_response(status, [("Content-Type", content_type)])
        return [text.encode() if method == "GET" or status == NOT_ALLOWED else b""]

    return respond
