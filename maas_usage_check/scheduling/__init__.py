"""Who may ask, and when: credentials, and the gate of a key."""

from __future__ import annotations

from .gate import Gate
from .gates import Gates
from .passes import Pass
from .priority_queue import Ask, Work
from .rate_limiter import tenth
from .session import Session
from .threads import run_apart
from .worker_pool import Crew

__all__ = ["Ask", "Crew", "Gate", "Gates", "Pass", "Session", "Work", "run_apart", "tenth"]
