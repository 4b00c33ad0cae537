"""What is published: the catalogue of measurements, the points made from it, and one encoder per format."""

from __future__ import annotations

from .catalogue import (
    API,
    AT_THEIR_HOUR,
    AT_THEIR_MINUTE,
    CATALOGUE,
    CONSUMED,
    COUNT,
    GAUGE,
    HOURLY,
    KEY_CONSUMED,
    KEY_HOURLY,
    KEY_USAGE,
    MODEL,
    MODEL_CONSUMED,
    MODEL_COST_CONSUMED,
    MODEL_COST_HOURLY,
    MODEL_HOURLY,
    MODEL_KEY,
    MODEL_KEY_CONSUMED,
    MODEL_KEY_COST_CONSUMED,
    MODEL_KEY_COST_HOURLY,
    MODEL_KEY_HOURLY,
    USAGE,
    Catalogue,
    Field,
)
from .encoders import FORMATS, encoder
from .points import OWN_TAGS, Number, Point, plain_name

__all__ = [
    "API", "AT_THEIR_HOUR", "AT_THEIR_MINUTE", "CATALOGUE", "CONSUMED", "COUNT", "FORMATS", "GAUGE", "HOURLY",
    "KEY_CONSUMED", "KEY_HOURLY", "KEY_USAGE", "MODEL", "MODEL_CONSUMED", "MODEL_COST_CONSUMED", "MODEL_COST_HOURLY",
    "MODEL_HOURLY", "MODEL_KEY", "MODEL_KEY_CONSUMED", "MODEL_KEY_COST_CONSUMED", "MODEL_KEY_COST_HOURLY",
    "MODEL_KEY_HOURLY", "OWN_TAGS", "USAGE", "Catalogue", "Field", "Number", "Point", "encoder", "plain_name",
]  # fmt: skip
