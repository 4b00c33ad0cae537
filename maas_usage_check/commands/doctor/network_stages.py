"""The stages `name resolution` and `TCP and TLS`: the hosts of the statistics, or their proxies."""

from __future__ import annotations

import socket
import time
from functools import partial
from typing import Iterable, Iterator, List, Tuple
from urllib.parse import urlsplit

from ...cloud import DirectTransport
from ...cloud.connection import try_addresses
from ...cloud.transport import no_such_host
from ...config import Instance
from ...errors import QueryError, Result
from ..waiting_queries import attempt
from .finding import FAIL, OK, SKIP, WARN, Finding


def check_network(instance: Instance, transport: DirectTransport) -> Iterator[Finding]:
    """Resolve and connect to each host that the statistics need, or to its proxy."""
    urls = [instance.endpoint] if instance.project_id else [instance.iam_endpoint, instance.endpoint]
    addresses = {url: transport.address(url) for url in dict.fromkeys(urls)}
    names: List[str] = []
    several: List[Tuple[str, int]] = []
    for host, port in dict.fromkeys(addresses.values()):
        resolved = attempt(instance.timeout, partial(socket.getaddrinfo, host, port))
        if isinstance(resolved, QueryError):
            yield Finding(FAIL, "name resolution", f"{host}: {_resolution_error(resolved, host)}")
            yield Finding(SKIP, "TCP and TLS", "not tried: no address to connect to")
            return
        found = dict.fromkeys(str(each[4][0]) for each in resolved)
        names.append(f"{host} is {', '.join(found)}")
        several += [(host, port)] if len(found) > 1 else []
    yield Finding(OK, "name resolution", ", ".join(names))
    connected: List[str] = []
    for url in addresses:
        protocol = attempt(instance.timeout, partial(transport.check_connection, url, instance.timeout))
        if isinstance(protocol, QueryError):
            yield Finding(FAIL, "TCP and TLS", str(protocol))
            return
        connected.append(f"{urlsplit(url).netloc} by {protocol}")
    warnings = [] if instance.tls_verify else ["tls_verify is false: anyone in between can read and change the data"]
    warnings += _failing_addresses(several, instance.timeout)
    yield Finding(WARN if warnings else OK, "TCP and TLS", "; ".join([", ".join(connected), *warnings]))


def _failing_addresses(hosts: Iterable[Tuple[str, int]], timeout: float) -> Iterator[str]:
    """Yield a warning for each host of which one address connects and another one does not."""
    for host, port in hosts:
        deadline = time.monotonic() + timeout
        reasons = attempt(timeout, partial(try_addresses, host, port, deadline))
        if not isinstance(reasons, QueryError) and any(reasons.values()):
            connected = " and ".join(address for address, reason in reasons.items() if not reason) or "none"
            failed = ", ".join(f"{address} ({reason})" for address, reason in reasons.items() if reason)
            yield (
                f"{host} connects by {connected}, but not by {failed}: each new connection may lose time; repair the "
                "route to that address, or remove it from name resolution"
            )


def _resolution_error(error: QueryError, host: str) -> str:
    if error.result == Result.TIMED_OUT:
        return "the name was not resolved in time: check /etc/resolv.conf and that its server answers"
    return no_such_host(host)
