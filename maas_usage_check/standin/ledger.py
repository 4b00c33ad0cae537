"""What the emulator's account has used: a believable pattern of every hour, worked out from the hour alone."""

from __future__ import annotations

import functools
import hashlib
from decimal import Decimal
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from msgspec import Struct

HOUR = 3_600_000
DAY = 24 * HOUR
KEPT = 30 * DAY
"""Milliseconds; the stand-in has its own numbers, for it must not share a mistake with what it checks."""

SERVICE_TYPES = {1: 0.2, 2: 1.0, 4: 0.05}
"""The API's service types, and how busy each is beside the preset service."""
INFER_TYPES = {"real_time": 1.0, "batch": 0.3}
API_KEYS = {"team-search": 0.5, "team-support": 0.3, "batch-jobs": 0.15, "": 0.05}
"""Labels of the account's API keys and their share of the calls; "" is the online experience."""
ADDRESSES = {"team-search": "10.0.0.1", "team-support": "10.0.0.2", "batch-jobs": "10.0.0.1", "": "192.0.2.7"}
"""Where the calls of each key come from."""
LAG = 2 * HOUR
DAY_CURVE = (1, 1, 1, 1, 1, 2, 4, 7, 11, 14, 15, 14, 11, 13, 15, 15, 14, 12, 9, 7, 5, 4, 3, 2)


class Hour(Struct, frozen=True):
    """Hold one hour of one key. Tokens are whole; the API gives them in thousands."""

    start: int
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    other_tokens: int


class Ledger:
    """Work out any hour, the same each time."""

    def hours(self, service_type: int, infer_type: str, labels: Sequence[str], start: int, end: int) -> Iterator[Hour]:
        """Go through the hours that begin in `[start, end)` milliseconds."""
        for at in range(-(-start // HOUR) * HOUR, end, HOUR):
            for label in labels:
                yield _hour(service_type, infer_type, label, at)

    def totals(self, asked: Dict[str, Any], now: int) -> Dict[str, Any]:
        """Answer as ShowStatistics does, for the hours that are kept and have arrived."""
        ips = asked.get("ips", list(ADDRESSES.values()))
        labels = [label for label in asked.get("api_keys", API_KEYS) if ADDRESSES.get(label) in ips]
        start = max(asked["start_time"], now - KEPT)
        end = min(asked["end_time"], now - LAG)
        infer_type = asked.get("infer_type", "real_time")
        hours = list(self.hours(asked["service_type"], infer_type, labels, start, end))
        return {
            "total_request_count": sum(hour.requests for hour in hours),
            "total_error_count": sum(hour.errors for hour in hours),
            "total_token": _thousands(hours, ("prompt_tokens", "completion_tokens", "other_tokens")),
            "total_prompt_token": _thousands(hours, ("prompt_tokens",)),
            "total_completion_token": _thousands(hours, ("completion_tokens",)),
            "total_completion_tasks": len(hours) if infer_type == "batch" else 0,
            "total_infer_count": sum(hour.requests for hour in hours) if infer_type == "batch" else 0,
        }


def _thousands(hours: List[Hour], names: Tuple[str, ...]) -> float:
    return float(Decimal(sum(getattr(hour, name) for hour in hours for name in names)) / 1000)


@functools.lru_cache(maxsize=100_000)
def _hour(service_type: int, infer_type: str, label: str, at: int) -> Hour:
    """Make one hour: busy by day and on weekdays, with errors that come in bursts."""
    seed = hashlib.blake2b(f"{service_type} {infer_type} {label} {at}".encode(), digest_size=8).digest()
    noise = [0.7 + byte / 425 for byte in seed]  # 0.7 to 1.3
    day, hour = divmod(at // HOUR + 8, 24)  # the mainland's clock
    weekend = 0.4 if (day + 3) % 7 >= 5 else 1.0  # 1970-01-01 was a Thursday
    busy = DAY_CURVE[hour] * weekend * SERVICE_TYPES[service_type] * INFER_TYPES[infer_type] * API_KEYS[label]
    requests = int(busy * 12 * noise[0])
    errors = int(requests * (0.45 if seed[1] > 240 else 0.02) * noise[2])
    prompt = int((requests - errors) * 18_000 * noise[3])
    completion = int((requests - errors) * 450 * noise[4])
    return Hour(at, requests, errors, prompt, completion, int(prompt * 0.02 * noise[5]))
