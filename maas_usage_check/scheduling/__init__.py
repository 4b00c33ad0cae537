"""Which request of an access key goes next, and when.

Offers one Scheduler per access key: a queue by priority, workers, a rate limiter and a circuit breaker whose state all
processes share. Knows no API, no YAML, no metrics.
"""

from __future__ import annotations

from .rate_limiter import WINDOW_S, background_share
from .request import RETRIES_S, Group, Priority, Request
from .scheduler import Scheduler, Schedulers

__all__ = ["RETRIES_S", "WINDOW_S", "Group", "Priority", "Request", "Scheduler", "Schedulers", "background_share"]
