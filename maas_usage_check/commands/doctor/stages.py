"""The stages of `doctor`, each with its remedy: at most eight requests, through the access key's shared scheduler."""

from __future__ import annotations

import contextlib
import os
import stat
from functools import partial
from typing import Any, Iterator, List, Optional, Sequence, Tuple

from msgspec.structs import replace

from ...clock import CLOCK_TOLERANCE, Clock
from ...cloud import (
    Credentials,
    DirectTransport,
    Pool,
    Request,
    Response,
    Statistics,
    chosen_variables,
    provider,
    readable_by_others,
)
from ...cloud.error_responses import clock_offset_s
from ...cloud.statistics import TotalsQuery
from ...collection import Collector, Session
from ...config import Instance
from ...config.ranges import parse_range
from ...errors import QueryError, Result
from ...ledger import check_ledger
from ...scheduling import WINDOW_S, Priority, Schedulers
from ...state import MissingError, Store, UnusableError, Warn
from ..runner import Runtime, log_waits
from ..waiting_queries import attempt, connect, query_cloud
from . import cloud_eye_stage, hours_stage
from .finding import FAIL, OK, SKIP, WARN, Finding
from .network_stages import check_network


def examine(instance: Instance, store: Store, runtime: Runtime, warn: Warn) -> Iterator[Finding]:
    """Yield the findings of one instance, each as soon as it is known; raise ConfigError before the first."""
    pool, schedulers = Pool(), Schedulers(store, runtime.clock)
    pool.guard = schedulers.proxy_guard
    transport = _RecordingTransport(runtime.connect(instance, pool), runtime.clock)
    return _run_stages(instance, transport, schedulers, runtime.clock, warn)


def _run_stages(
    instance: Instance, transport: _RecordingTransport, schedulers: Schedulers, clock: Clock, warn: Warn
) -> Iterator[Finding]:
    store = schedulers.store
    yield _check_state(instance, store, int(clock.now() * 1000))
    credentials, finding = _check_credentials(instance)
    yield finding
    reached = True
    for finding in check_network(instance, transport.direct):
        reached = reached and finding.mark != FAIL
        yield finding
    if credentials is None or not reached or store.hangs:
        why = "no credentials" if credentials is None else "the cloud was not reached"
        why = "the state does not answer" if store.hangs else why
        yield from [Finding(SKIP, stage, f"not queried: {why}") for stage in ("clock", *_query_stages(instance))]
        return
    findings = list(_run_query_stages(instance, credentials, transport, schedulers, clock, warn))
    transport.direct.close()
    entry = schedulers.of(credentials).key.entry
    yield _check_clock(transport, entry.clock_off if clock.now() < entry.not_before else None)
    yield from findings


def _query_stages(instance: Instance) -> List[str]:
    return ["project", "permission", "answer", "hours", *([cloud_eye_stage.STAGE] if instance.models else [])]


class _RecordingTransport:
    """Compare the clock with the Date of the first response, the cloud's clock, as it arrives."""

    def __init__(self, direct: DirectTransport, clock: Clock) -> None:
        self.direct = direct
        self.has_response = False
        self.offset_s: Optional[float] = None
        self._clock = clock

    def __call__(self, request: Request, timeout: float) -> Response:
        response = self.direct(request, timeout)
        if not self.has_response:
            self.has_response = True
            self.offset_s = clock_offset_s(response.headers.get("Date"), self._clock.now())
        return response


def _check_state(instance: Instance, store: Store, now_ms: int) -> Finding:
    """Write to the state as a refusal does, and read all of it."""

    def check() -> Finding:
        try:
            path = store.check_writable()
            with contextlib.suppress(MissingError):
                check_ledger(store, now_ms)
        except UnusableError as error:
            return Finding(FAIL, "state", str(error))
        return Finding(OK, "state", path)

    result = attempt(instance.timeout, check)
    if isinstance(result, QueryError):
        return Finding(FAIL, "state", str(store.hang_error() if store.hangs else result))
    return result


def _check_credentials(instance: Instance) -> Tuple[Optional[Credentials], Finding]:
    source = instance.credentials
    credentials = attempt(instance.timeout, provider(source))
    if isinstance(credentials, QueryError):
        return None, Finding(FAIL, "credentials", str(credentials))
    kind = "temporary key" if credentials.token else "key"
    if source.path is None:
        name = _environment() if source.source == "env" else "the SDK's own sources"
        return credentials, Finding(OK, "credentials", f"{kind} from {name}")
    mode = stat.S_IMODE(os.stat(source.path).st_mode)
    text = f"{kind} from file {source.path}, mode {mode:04o}"
    others = readable_by_others(source.path)
    return credentials, Finding(WARN if others else OK, "credentials", f"{text}: {others}" if others else text)


def _environment() -> str:
    access_key, secret_key, _ = chosen_variables(os.environ, "the environment")
    return "the environment" + ("" if access_key == "HW_ACCESS_KEY" else f", {access_key} and {secret_key}")


def _run_query_stages(
    instance: Instance,
    credentials: Credentials,
    transport: _RecordingTransport,
    schedulers: Schedulers,
    clock: Clock,
    warn: Warn,
) -> Iterator[Finding]:
    """Query the project, a day and its last hours, a day in halves, and Cloud Eye; without retries."""
    ranges = tuple(parse_range(name) for name in ("last_24h", "last_3h"))
    kinds = {"service_types": instance.service_types[:1], "infer_types": instance.infer_types[:1]}
    labels = None if instance.per_api_key else instance.api_keys  # series of labels are parts of the whole
    one = replace(instance, ranges=ranges, per_api_key=False, api_keys=labels, **kinds)
    now_ms = int(clock.now() * 1000)
    recent, halves = Statistics().plan(one, now_ms).queries, hours_stage.plan_queries(one, now_ms)
    collector = Collector(instance, lambda: credentials, transport, schedulers, clock, rate_extension_s=WINDOW_S)
    session = Session(collector, (8 if instance.models else 6) * instance.timeout)
    session.group.retries_s, session.group.on_wait = (), log_waits(warn, instance)
    outcomes: List[Any] = []
    store = schedulers.store
    try:
        connected = attempt(instance.timeout + WINDOW_S, partial(connect, session))
        if isinstance(connected, QueryError):
            yield Finding(FAIL, "project", str(store.hang_error() if store.hangs else connected))
            yield from [Finding(SKIP, stage, "not queried: no project") for stage in _query_stages(instance)[1:]]
            return
        how = "as configured" if instance.project_id else "found by the region's name"
        yield Finding(OK, "project", f"{session.project_id}, {how}")
        yield from _check_statistics(instance, session, recent, halves, outcomes)
        if instance.models:
            yield cloud_eye_stage.check_cloud_eye(instance, session, store, now_ms)
    finally:
        attempt(instance.timeout, partial(session.close, outcomes))


def _check_statistics(
    instance: Instance, session: Session, recent: Sequence[Any], halves: Sequence[TotalsQuery], outcomes: List[Any]
) -> Iterator[Finding]:
    source = Statistics()
    for query in recent:
        answer = query_cloud(session, source, query)
        outcomes.append(answer)
        if isinstance(answer, QueryError):
            denied = answer.result == Result.PERMISSION_DENIED
            yield Finding(FAIL if denied else SKIP, "permission", str(answer) if denied else "not known")
            yield Finding(SKIP if denied else FAIL, "answer", "not known: no permission" if denied else str(answer))
            yield Finding(SKIP, "hours", "not queried: no answer")
            return
    yield Finding(OK, "permission", "the key may read the statistics")
    yield Finding(OK, "answer", _describe_recent_calls(outcomes[0].usage.requests, outcomes[1].usage.requests))
    answers = [query_cloud(session, source, query, Priority.BY_HAND) for query in halves]
    outcomes += answers
    yield hours_stage.compare_halves(halves, answers)


def _describe_recent_calls(day: int, last_hours: int) -> str:
    if last_hours:
        return f"{day:,} calls in the last 24 hours, {last_hours:,} in the last 3 hours (normal 1 to 2 h delay)"
    if day:
        return (
            f"{day:,} calls in the last 24 hours, 0 in the last 3 hours: nobody called, or the cloud is over 2 h late"
        )
    return "0 calls in the last 24 hours: nobody called, or the calls have another service type, label or region"


def _check_clock(transport: _RecordingTransport, recorded_offset_s: Optional[float]) -> Finding:
    """Report how far the clock is off; if nothing was sent, as recorded with the last refusal."""
    offset_s = transport.offset_s if transport.has_response else recorded_offset_s
    if offset_s is None:
        return Finding(SKIP, "clock", "not known: no response had a usable Date")
    minutes = abs(offset_s) / 60
    text = f"{minutes:.1f} minutes {'ahead of' if offset_s > 0 else 'behind'} the cloud's, 15 are allowed"
    if abs(offset_s) > CLOCK_TOLERANCE:
        return Finding(FAIL, "clock", f"{text}: set it, and keep it right with NTP")
    if minutes < 5:
        return Finding(OK, "clock", text)
    return Finding(WARN, "clock", f"{text}: set it before requests are refused")
