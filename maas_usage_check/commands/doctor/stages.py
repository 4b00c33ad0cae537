"""What is wrong, stage by stage, each with its remedy. At most eight requests, through the same gate as every other."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from functools import partial
from typing import Any, Iterator, List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from msgspec.structs import replace

from ...clock import CLOCK_TOLERANCE, Clock
from ...cloud import Credentials, DirectTransport, Request, Response, Statistics, provider, readable_by_others
from ...cloud.error_responses import seconds_off
from ...cloud.statistics import Totals
from ...collection import Runtime
from ...config import Instance
from ...config.ranges import parse_range
from ...errors import QueryError, Result
from ...ledger import check_ledger
from ...scheduling import Gates, Session
from ...state import MissingError, Store, UnusableError
from . import cloud_eye_stage, hours_stage
from .finding import FAIL, OK, SKIP, WARN, Finding
from .within import all_within, within


def examine(instance: Instance, store: Store, runtime: Runtime) -> Iterator[Finding]:
    """Go through the stages of one instance, each as soon as it is known; raise ConfigError before the first."""
    return _stages(instance, _Noting(runtime.connect(instance, None)), store, runtime.clock)


def _stages(instance: Instance, transport: _Noting, store: Store, clock: Clock) -> Iterator[Finding]:
    yield _state(instance, store, int(clock.now() * 1000))
    credentials, finding = _credentials(instance)
    yield finding
    reached = True
    for finding in _network(instance, transport.direct):
        reached = reached and finding.mark != FAIL
        yield finding
    if credentials is None or not reached:
        why = "there is no key to ask with" if credentials is None else "the cloud was not reached"
        yield from [Finding(SKIP, stage, f"not asked: {why}") for stage in ("clock", *_asked(instance))]
        return
    gates = Gates(store, clock)
    asked = list(_questions(instance, credentials, transport, gates, clock))
    transport.direct.close()
    entry = gates.of(credentials).seen
    yield _clock(transport, entry.clock_off if clock.now() < entry.not_before else None, clock)
    yield from asked


def _asked(instance: Instance) -> List[str]:
    return ["project", "permission", "answer", "hours", *([cloud_eye_stage.STAGE] if instance.models else [])]


class _Noting:
    """Pass requests on, and keep the first answer: its Date is the cloud's clock."""

    def __init__(self, direct: DirectTransport) -> None:
        self.direct = direct
        self.first: Optional[Response] = None

    def __call__(self, request: Request, timeout: float) -> Response:
        response = self.direct(request, timeout)
        self.first = self.first or response
        return response


def _state(instance: Instance, store: Store, now: int) -> Finding:
    """Write to the state as a refusal does, and read all that is in it."""

    def check() -> Finding:
        try:
            path = store.check_writable()
            with contextlib.suppress(MissingError):
                check_ledger(store, now)
        except UnusableError as trouble:
            return Finding(FAIL, "state", str(trouble))
        return Finding(OK, "state", path)

    found = within(instance.timeout, check)
    if isinstance(found, QueryError):
        return Finding(FAIL, "state", str(store.hang_error() if store.hangs else found))
    return found


def _credentials(instance: Instance) -> Tuple[Optional[Credentials], Finding]:
    source = instance.credentials
    found = within(instance.timeout, provider(source))
    if isinstance(found, QueryError):
        return None, Finding(FAIL, "credentials", str(found))
    kind = "temporary key" if found.token else "key"
    if source.path is None:
        name = "the environment" if source.source == "env" else "the SDK's own sources"
        return found, Finding(OK, "credentials", f"{kind} from {name}")
    mode = stat.S_IMODE(os.stat(source.path).st_mode)
    text = f"{kind} from file {source.path}, mode {mode:04o}"
    others = readable_by_others(source.path)
    return found, Finding(WARN if others else OK, "credentials", f"{text}: {others}" if others else text)


def _network(instance: Instance, transport: DirectTransport) -> Iterator[Finding]:
    """Resolve and reach each host that the statistics need, or the proxy in front of it."""
    urls = [instance.endpoint] if instance.project_id else [instance.iam_endpoint, instance.endpoint]
    ways = {url: transport.way(url) for url in dict.fromkeys(urls)}
    names: List[str] = []
    for host, port in dict.fromkeys(ways.values()):
        found = within(instance.timeout, partial(socket.getaddrinfo, host, port))
        if isinstance(found, QueryError):
            yield Finding(FAIL, "name resolution", f"{host}: {_unresolved(found)}")
            yield Finding(SKIP, "TCP and TLS", "not tried: there is no address to connect to")
            return
        names.append(f"{host} is {found[0][4][0]}")
    yield Finding(OK, "name resolution", ", ".join(names))
    reached: List[str] = []
    for url in ways:
        how = within(instance.timeout, partial(transport.probe, url, instance.timeout))
        if isinstance(how, QueryError):
            yield Finding(FAIL, "TCP and TLS", str(how))
            return
        reached.append(f"{urlsplit(url).netloc} by {how}")
    mark = OK if instance.tls_verify else WARN
    unverified = (
        "" if instance.tls_verify else "; tls_verify is false: anybody in between can read and change all of it"
    )
    yield Finding(mark, "TCP and TLS", ", ".join(reached) + unverified)


def _unresolved(error: QueryError) -> str:
    if error.result == Result.TIMED_OUT:
        return "the name was not resolved in time: check /etc/resolv.conf and that its server answers"
    return "no such host: check region, endpoint and name resolution"


def _questions(
    instance: Instance, credentials: Credentials, transport: _Noting, gates: Gates, clock: Clock
) -> Iterator[Finding]:
    """Ask for the project, for a day and its last hours, for a day in halves, and Cloud Eye; nothing is tried again."""
    spans = tuple(parse_range(name) for name in ("last_24h", "last_3h"))
    kinds = {"service_types": instance.service_types[:1], "infer_types": instance.infer_types[:1], "per_api_key": False}
    one, now = replace(instance, ranges=spans, **kinds), int(clock.now() * 1000)
    fresh, halves = Statistics().plan(one, now).queries, hours_stage.questions(one, now)
    give_up = clock.monotonic() + (8 if instance.models else 6) * instance.timeout
    turns = dict.fromkeys((*fresh, *halves), instance.project_query_key)
    session = Session(instance, lambda: credentials, transport, gates, clock, give_up, turns, pauses=())
    outcomes: List[Any] = []
    try:
        connected = within(instance.timeout, session.connect)
        if isinstance(connected, QueryError):
            yield Finding(FAIL, "project", str(gates.store.hang_error() if gates.store.hangs else connected))
            yield from [Finding(SKIP, stage, "not asked: no project") for stage in _asked(instance)[1:]]
            return
        how = "as configured" if instance.project_id else "found by the region's name"
        yield Finding(OK, "project", f"{session.project_id}, {how}")
        yield from _statistics(instance, session, fresh, halves, outcomes)
        if instance.models:
            yield cloud_eye_stage.verdict(instance, session, gates.store, now)
    finally:
        session.stop()
        within(instance.timeout, partial(session.close, outcomes))


def _statistics(
    instance: Instance, session: Session, fresh: Sequence[Any], halves: Sequence[Totals], outcomes: List[Any]
) -> Iterator[Finding]:
    source = Statistics()
    for query in fresh:
        answer = within(instance.timeout, partial(session.ask, source, query))
        outcomes.append(answer)
        if isinstance(answer, QueryError):
            refused = answer.result == Result.PERMISSION_DENIED
            yield Finding(FAIL if refused else SKIP, "permission", str(answer) if refused else "not known")
            yield Finding(SKIP if refused else FAIL, "answer", "not given" if refused else str(answer))
            yield Finding(SKIP, "hours", "not asked: no answer")
            return
    yield Finding(OK, "permission", "the key may read the statistics")
    yield Finding(OK, "answer", _fresh(outcomes[0].usage.requests, outcomes[1].usage.requests))
    works = [partial(session.ask, source, query) for query in halves]
    answers = all_within(3 * instance.timeout, works, instance.max_concurrency)
    outcomes += answers
    yield hours_stage.verdict(halves, answers)


def _fresh(day: int, last: int) -> str:
    if last:
        return (
            f"{day:,} calls in 24 hours, {last:,} of them in the last 3: as fresh as the cloud is, 1 to 2 hours behind"
        )
    if day:
        return (
            f"{day:,} calls in 24 hours, none in the last 3: nobody called, or the cloud is further behind than 2 hours"
        )
    return "0 calls in 24 hours: nobody called, or the calls are of another service type, label or region"


def _clock(transport: _Noting, refused_at: Optional[float], clock: Clock) -> Finding:
    """Compare with the cloud's Date; while nothing is sent, with what the remembered refusal said."""
    date = transport.first.headers.get("Date") if transport.first else None
    seconds = seconds_off(date, clock.now()) if transport.first else refused_at
    if seconds is None:
        return Finding(SKIP, "clock", "not known: no answer told the cloud's time")
    off = abs(seconds) / 60
    text = f"{off:.1f} minutes {'ahead of' if seconds > 0 else 'behind'} the cloud's, 15 are allowed"
    if abs(seconds) > CLOCK_TOLERANCE:
        return Finding(FAIL, "clock", f"{text}: set it, and keep it right with NTP")
    return Finding(OK if off < 5 else WARN, "clock", text + ("" if off < 5 else ": set it before it is too much"))
