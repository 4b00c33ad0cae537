"""One cycle: plan, ask within time and rate, collect, say what went wrong."""

from __future__ import annotations

from .collector import Batch, Collector
from .crew import Crew
from .forewarning import forewarn
from .problems import Problem
from .side_by_side import REAL, Runtime, make_collectors, on_sigterm, open_store, run_cycle
from .threads import run_apart

__all__ = [
    "REAL", "Batch", "Collector", "Crew", "Problem", "Runtime", "forewarn", "make_collectors", "on_sigterm",
    "open_store", "run_apart", "run_cycle",
]  # fmt: skip
