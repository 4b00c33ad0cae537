"""The command `serve`."""

from __future__ import annotations

import argparse
import ipaddress
from typing import Callable

from ...clock import Clock
from .application import make_application
from .collection_loop import Load, Rounds
from .server import Server
from .server_tls import tls_context
from .snapshot import Latest

OPEN = (
    "W! --listen: whoever reaches this address can read what is used: give --tls-cert, --tls-key and --tls-client-ca, "
    "or listen on 127.0.0.1"
)


def serve(args: argparse.Namespace, load: Load, say: Callable[[str], None], clock: Clock) -> None:
    """Serve what the cycles get until SIGTERM.

    Args:
        args: the options.
        load: reads the configuration, now and on SIGHUP.
        say: takes one line, its level first.
        clock: the time.

    Raises:
        ConfigError: the options or the configuration are wrong, or nothing can listen there.
    """

    def read_tls() -> None:
        server.tls = tls_context(args.tls_cert, args.tls_key, args.tls_client_ca)

    latest = Latest(clock)
    tls = tls_context(args.tls_cert, args.tls_key, args.tls_client_ca)
    rounds = Rounds(load, read_tls, latest, say, clock)
    host, port = args.listen
    server = Server(host, port, make_application(latest), tls)
    if tls is None and is_open(server.server_name):
        say(OPEN)
    server.start()
    say(f"I! serving {server.url}/metrics")
    rounds.run()


def is_open(address: str) -> bool:
    """Tell whether other hosts may reach an address."""
    return not ipaddress.ip_address(address.partition("%")[0]).is_loopback
