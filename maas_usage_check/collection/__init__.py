"""One cycle of one instance: plan, query, build points, report problems.

Offers the Collector, run_cycle, and the Session that `doctor` and `report` use too. Only the list of sources in
collector.py names an API.
"""

from __future__ import annotations

from .batch import Batch
from .collector import SOURCES, Collector, run_cycle
from .session import Session

__all__ = ["SOURCES", "Batch", "Collector", "Session", "run_cycle"]
