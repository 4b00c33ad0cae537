"""One cycle of one instance: plan, query, build points, report problems.

Offers the Collector, run_cycle, and the Session that `doctor` and `report` use too. Only the list of sources in
sources.py names an API.
"""

from __future__ import annotations

from .batch import Batch
from .collector import Collector
from .run import run_cycle
from .session import Session
from .sources import SOURCES, SourceEntry

__all__ = ["SOURCES", "Batch", "Collector", "Session", "SourceEntry", "run_cycle"]
