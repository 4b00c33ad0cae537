"""What is published: the catalogue of measurements, the points made from it, and one encoder per format."""

from __future__ import annotations

from .catalogue import API, CATALOGUE, COUNT, GAUGE, KEY_USAGE, USAGE, Catalogue, Field
from .encoders import FORMATS, encoder
from .points import OWN_TAGS, Number, Point, plain_name

__all__ = [
    "API", "CATALOGUE", "COUNT", "FORMATS", "GAUGE", "KEY_USAGE", "OWN_TAGS", "USAGE", "Catalogue", "Field", "Number",
    "Point", "encoder", "plain_name",
]  # fmt: skip
