"""The time, as every floor is handed it: a test moves it, and nothing waits behind its back."""

from __future__ import annotations

import time
from typing import Callable

from msgspec import Struct


class Clock(Struct, frozen=True):
    """Hand in the time: seconds since 1970, seconds that never jump, and a way to wait."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
