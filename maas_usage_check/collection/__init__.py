"""One cycle: plan, ask within time and rate, collect, say what went wrong."""

from __future__ import annotations

from .collector import Batch, Collector
from .preflight import forewarn
from .problems import Problem
from .runner import REAL, Runtime, make_collectors, on_sigterm, open_store, run_cycle

__all__ = [
    "REAL", "Batch", "Collector", "Problem", "Runtime", "forewarn", "make_collectors", "on_sigterm",
    "open_store", "run_cycle",
]  # fmt: skip
