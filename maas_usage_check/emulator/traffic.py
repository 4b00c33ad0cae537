"""The simulated account's actual usage, hour by hour, from which both views of it are computed.

It depends on the hour alone, so it is the same in every process, and there is any number of years of it.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Iterable, NamedTuple, Tuple

from msgspec import Struct

Ms = int
"""Milliseconds since 1970."""
HOUR = 3_600_000
DAY = 24 * HOUR
"""Milliseconds. The emulator defines its own, so that it cannot share a mistake with the code that it checks."""
MONTH = 365 * DAY // 12
SERVICE_TYPES = {1: 0.2, 2: 1.0, 4: 0.05}
"""The API's service types, with their load relative to the preset service."""
INFER_TYPES = {"real_time": 1.0, "batch": 0.3}
API_KEYS = {"team-search": 0.5, "team-support": 0.3, "batch-jobs": 0.15, "": 0.05}
"""Labels of the account's API keys, with their share of the calls; "" is the online experience."""
DAY_CURVE = (1, 1, 1, 1, 1, 2, 4, 7, 11, 14, 15, 14, 11, 13, 15, 15, 14, 12, 9, 7, 5, 4, 3, 2)


Restatement = Tuple[Ms, float]
"""From this time on, an hour is reported as its usage times this factor."""


class Usage(NamedTuple):
    """Counts of a minute, an hour or a longer period. In whole tokens; a part of the total is neither kind."""

    total_tokens: int
    prompt_tokens: int
    completion_tokens: int
    requests: int
    errors: int
    errors_5xx: int

    def scale(self, factor: float, divisor: int = 1) -> Usage:
        """Multiply and divide, rounding down, so that no part exceeds its whole."""
        return Usage(*(int(count * factor / divisor) for count in self))


NO_USAGE = Usage(0, 0, 0, 0, 0, 0)


def sum_usage(parts: Iterable[Usage]) -> Usage:
    """Return the sums; zeros without any part."""
    return Usage(*map(sum, zip(NO_USAGE, *parts)))


class Traffic(Struct, frozen=True):
    """The account's traffic. Views that share it tell the same story.

    Args:
        load: a factor on the number of calls.
        begins: the first hour with calls.
        monthly_growth: each month after `begins` has so much more calls than the one before, as a share.
    """

    load: float = 1.0
    begins: Ms = 0
    monthly_growth: float = 0.0


STEADY = Traffic()


@functools.lru_cache(maxsize=200_000)
def actual_hour(traffic: Traffic, service_type: int, infer_type: str, label: str, at: Ms) -> Usage:
    """Return the usage of the hour that begins at `at`: more by day and on weekdays, errors in bursts."""
    if at < traffic.begins:
        return NO_USAGE
    seed = noise(service_type, infer_type, label, at)
    jitter = [0.7 + byte / 425 for byte in seed]  # 0.7 to 1.3
    day, hour = divmod(at // HOUR + 8, 24)  # UTC+8
    weekend = 0.4 if (day + 3) % 7 >= 5 else 1.0  # 1970-01-01 was a Thursday
    load = DAY_CURVE[hour] * weekend * SERVICE_TYPES[service_type] * INFER_TYPES[infer_type] * API_KEYS[label]
    growth = (1 + traffic.monthly_growth) ** ((at - traffic.begins) / MONTH)
    requests = int(load * traffic.load * growth * 12 * jitter[0])
    errors = int(requests * (0.45 if seed[1] > 240 else 0.02) * jitter[2])
    prompt = int((requests - errors) * 18_000 * jitter[3])
    completion = int((requests - errors) * 450 * jitter[4])
    total = prompt + completion + int(prompt * 0.02 * jitter[5])
    return Usage(total, prompt, completion, requests, errors, errors * (300 + seed[6] * 2) // 1000)


def factor_at(known: Iterable[Restatement], now: Ms) -> float:
    """Return the factor of the newest restatement; 1 before the first."""
    past = sorted((one for one in known if one[0] <= now), key=lambda one: one[0])
    return past[-1][1] if past else 1.0


def noise(*words: object) -> bytes:
    """Return eight pseudo-random bytes, always the same for the same words."""
    return hashlib.blake2b(" ".join(map(str, words)).encode(), digest_size=8).digest()
