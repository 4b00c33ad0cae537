"""Who may ask, and when: credentials, and the gate of a key."""

from __future__ import annotations

from .gate import Gate
from .gates import Gates
from .passes import Pass
from .priority_queue import PriorityQueue, QueryTask
from .rate_limiter import tenth
from .session import Session
from .threads import run_apart
from .worker_pool import Crew

__all__ = ["Crew", "Gate", "Gates", "Pass", "PriorityQueue", "QueryTask", "Session", "run_apart", "tenth"]
