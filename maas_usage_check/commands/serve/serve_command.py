"""The command `serve`."""

from __future__ import annotations

import argparse
import ipaddress
from typing import TYPE_CHECKING, Callable

from ...clock import Clock
from ...watchdog import start_thread
from .collection_loop import CollectionLoop, Load
from .exporter_pages import make_application
from .scrape_gate import ScrapeGate
from .server import Server
from .snapshot import Snapshot
from .tls import TlsFiles

if TYPE_CHECKING:
    from .page import Pages

UNPROTECTED = (
    "W! --listen: anyone who reaches this address can read the usage: add --tls-cert, --tls-key and --tls-client-ca, "
    "or listen on 127.0.0.1"
)


def serve(
    args: argparse.Namespace,
    load: Load,
    log: Callable[[str], None],
    clock: Clock,
    on_listening: Callable[[str], None],
) -> None:
    """Collect in the background and serve the metrics until SIGTERM.

    Args:
        args: the options.
        load: reads the configuration, now and on SIGHUP.
        log: logs one line that starts with its level.
        clock: the clock.
        on_listening: receives the URL of the index page.

    Raises:
        ConfigError: the options or the configuration are wrong, or the address is not available.
    """
    snapshot = Snapshot(clock)
    tls = TlsFiles(args.tls_cert, args.tls_key, args.tls_client_ca, log)
    loop = CollectionLoop(load, tls.reload, snapshot, log, clock)
    host, port = args.listen
    gate = ScrapeGate()
    pages = None if args.no_page else _make_pages(snapshot, clock, gate)
    server = Server(host, port, make_application(snapshot, pages, gate), tls.context)
    if tls.context() is None and not is_loopback(server.server_name):
        log(UNPROTECTED)
    server.start()
    if pages is not None:
        start_thread(pages.prepare)
    log(f"I! serving {server.url}/metrics")
    on_listening(f"{server.url}/")
    loop.run()


def _make_pages(snapshot: Snapshot, clock: Clock, gate: ScrapeGate) -> Pages:
    from .page import Pages  # without a page Jinja2 is not needed

    return Pages(snapshot, clock, gate.pause)


def is_loopback(address: str) -> bool:
    """Return whether only this host can reach an address, which may have a scope id."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
