"""Which request of an access key goes next, and when.

Offers one Scheduler per access key: a queue by priority, workers, a rate limiter and a circuit breaker whose state all
processes share. Knows no API, no YAML, no metrics.
"""

from __future__ import annotations

from .outcomes import EFFECTS, Outcome, effect_of
from .priority import Priority
from .rate_limiter import WINDOW_S, background_share
from .request_queue import RETRIES_S, Group, Request
from .scheduler import Scheduler, Schedulers
from .watchdog import OUTPUT_STOP_S, STATE_STOP_S, Watched, hung_threads, run_with_deadline, start_thread, wait_for

__all__ = [
    "EFFECTS",
    "OUTPUT_STOP_S",
    "RETRIES_S",
    "STATE_STOP_S",
    "WINDOW_S",
    "Group",
    "Outcome",
    "Priority",
    "Request",
    "Scheduler",
    "Schedulers",
    "Watched",

    "background_share",
    "effect_of",
    "hung_threads",
    "run_with_deadline",
    "start_thread",
    "wait_for",
]  # fmt: skip
