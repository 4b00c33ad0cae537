"""What is answered to whom asks: the metrics, whether the exporter is ready and lives, and where to find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator, Tuple

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ... import __version__
from ...metrics.prometheus import families
from .snapshot import Latest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

OK, UNAVAILABLE, NOT_FOUND, NOT_ALLOWED = (
    "200 OK", "503 Service Unavailable", "404 Not Found", "405 Method Not Allowed",
)  # fmt: skip
TEXT, HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"
FRONT = f"""\
<!DOCTYPE html>
<html lang="en">
<title>maas-usage-check</title>
<h1>maas-usage-check {__version__}</h1>
<ul>
<li><a href="/metrics">/metrics</a>: what the last cycles got
<li><a href="/-/ready">/-/ready</a>: whether the first cycle has ended
<li><a href="/-/healthy">/-/healthy</a>: whether the cycles come in time
</ul>
</html>
"""


class _Collected(Collector):
    """Hand the latest points to the library, which writes them in the format that the scraper takes."""

    def __init__(self, latest: Latest) -> None:
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """Make the metrics of one scrape."""
        for family in families(self._latest.points()):
            name = family.name[: -len("_total")] if family.is_counter else family.name
            metric = Metric(name, family.about, "counter" if family.is_counter else "gauge")
            for labels, value in family.samples:
                metric.add_sample(family.name, labels, value)
            yield metric


def make_application(latest: Latest) -> WSGIApplication:
    """Make the application that answers by what is the latest."""
    registry = CollectorRegistry()
    registry.register(_Collected(latest))
    metrics: WSGIApplication = make_wsgi_app(registry)

    def page(path: str) -> Tuple[str, str, str]:
        if path == "/":
            return OK, HTML, FRONT
        if path == "/-/ready":
            return (OK, TEXT, "ready\n") if latest.is_ready else (UNAVAILABLE, TEXT, "the first cycle has not ended\n")
        if path == "/-/healthy":
            return (OK, TEXT, "healthy\n") if latest.is_alive else (UNAVAILABLE, TEXT, "a cycle is overdue\n")
        return NOT_FOUND, TEXT, "not found; the metrics are at /metrics\n"

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            status, kind, text = NOT_ALLOWED, TEXT, "only GET and HEAD\n"
        elif path == "/metrics" and method == "GET":
            return metrics(environ, start_response)
        elif path == "/metrics":
            status, kind, text = OK, TEXT, ""
        else:
            status, kind, text = page(path)
        start_response(status, [("Content-Type", kind)])
        return [text.encode() if method == "GET" or status == NOT_ALLOWED else b""]

    return answer
