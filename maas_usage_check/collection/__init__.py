"""One cycle of one instance: plan, query, build points, report problems.

Offers the Collector, and the runner of all instances of a file. Only the list of sources in collector.py names an API.
"""

from __future__ import annotations

from .collector import Collector
from .cycle import Batch
from .preflight import run_preflight
from .problems import Problem
from .runner import REAL, Runtime, make_collectors, on_sigterm, open_store, run_cycle
from .session import Session

__all__ = [
    "REAL", "Batch", "Collector", "Problem", "Runtime", "Session", "make_collectors", "on_sigterm", "open_store",
    "run_cycle", "run_preflight",
]  # fmt: skip
