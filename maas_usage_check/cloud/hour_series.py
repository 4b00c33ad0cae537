"""A series of hours: the subject of its queries, and its name, measurements, tags and price in the ledger."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, Optional

from msgspec import Struct

from ..config.prices import Price


class Measurements(Struct, frozen=True):
    """The measurements of a series; empty where it has none."""

    hourly: str
    consumed: str
    cost_hourly: str = ""
    cost_consumed: str = ""


class HourSeries(Struct, frozen=True):
    """One series of hours.

    Attributes:
        name: in the ledger: a digest of all that decides its numbers, so that no label is stored.
        subject: what its source queries; the source's own.
        tags: besides the project's.
        settled_after_ms: an hour is final so many milliseconds after its end.
        price: of its tokens, in `currency`; None if it has no cost.
    """

    name: str
    subject: Any
    measurements: Measurements
    tags: Dict[str, str]
    settled_after_ms: int
    price: Optional[Price] = None
    currency: str = ""


def series_name(*identity: object) -> str:
    """Make the name of a series. The ledger keeps it for ever: what `repr` writes of each part must never change."""
    return hashlib.blake2b(repr(identity).encode(), digest_size=16).hexdigest()
