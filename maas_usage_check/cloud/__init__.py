"""A signed call, and what each API of the cloud asks and answers."""

from __future__ import annotations

from .direct_transport import DirectTransport
from .pool import Pool
from .session import Session
from .source import Asks, Outcome, Plan, Query, Source, failure
from .statistics import Statistics
from .transport import Request, Response, Transport

__all__ = [
    "Asks", "DirectTransport", "Outcome", "Plan", "Pool", "Query", "Request", "Response", "Session", "Source",
    "Statistics", "Transport", "failure",
]  # fmt: skip
