"""Who has the lone first request under way, told from process to process in the key's entry of the state."""

from __future__ import annotations

import os

from ..store.store import KeyEntry
from .breaker import LONGEST_WAIT


def new_name() -> str:
    """Name one who asks; others can tell by it whether its process still runs."""
    return f"{os.getpid()}-{os.urandom(4).hex()}"


def claim(entry: KeyEntry, name: str, until: float) -> None:
    """Say that one asks alone, until a time (seconds since 1970) at most."""
    entry.probe, entry.probe_until = name, until


def release(entry: KeyEntry, name: str) -> None:
    """Say that one asks alone no more."""
    if entry.probe == name:
        entry.probe, entry.probe_until = "", 0.0


def is_anothers(entry: KeyEntry, name: str, now: float) -> bool:
    """Tell whether somebody else asks alone, and still lives to hear the answer."""
    under_way = entry.probe not in ("", name) and now < entry.probe_until <= now + LONGEST_WAIT
    return under_way and _lives(entry.probe)


def _lives(name: str) -> bool:
    if os.name != "posix":  # elsewhere there is no harmless way to ask
        return True
    try:
        os.kill(int(name.partition("-")[0]), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, OSError):
        pass
    return True
