"""What is published: the catalogue of measurements, the points made from it, and one encoder per format."""

from __future__ import annotations

from .catalogue import (
    API,
    AT_THEIR_HOUR,
    CATALOGUE,
    CONSUMED,
    COUNT,
    GAUGE,
    HOURLY,
    KEY_CONSUMED,
    KEY_HOURLY,
    KEY_USAGE,
    USAGE,
    Catalogue,
    Field,
)
from .encoders import FORMATS, encoder
from .points import OWN_TAGS, Number, Point, plain_name

__all__ = [
    "API", "AT_THEIR_HOUR", "CATALOGUE", "CONSUMED", "COUNT", "FORMATS", "GAUGE", "HOURLY", "KEY_CONSUMED",
    "KEY_HOURLY", "KEY_USAGE", "OWN_TAGS", "USAGE", "Catalogue", "Field", "Number", "Point", "encoder", "plain_name",
]  # fmt: skip
