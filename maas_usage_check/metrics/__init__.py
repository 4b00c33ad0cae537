"""The output: the catalogue of measurements, points, and one encoder per format.

Everything here is a pure function of its arguments, and knows neither the cloud nor the configuration.
"""

from __future__ import annotations

from .catalogue import (
    API,
    BUDGET,
    CACHED_AS_ORDINARY,
    CATALOGUE,
    CONSUMED,
    COUNT,
    GAUGE,
    HOUR_TIMESTAMPED,
    HOURLY,
    KEY_CONSUMED,
    KEY_HOURLY,
    KEY_USAGE,
    MINUTE_TIMESTAMPED,
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
    NO_CACHED_SHARE,
    USAGE,
    Catalogue,
    Field,
)
from .encoders import FORMATS, find_encoder
from .points import Number, Point, check_tag_key, check_tag_text, plain_name

__all__ = [
    "API", "BUDGET", "CACHED_AS_ORDINARY", "CATALOGUE", "CONSUMED", "COUNT", "FORMATS", "GAUGE", "HOURLY",
    "HOUR_TIMESTAMPED", "KEY_CONSUMED", "KEY_HOURLY", "KEY_USAGE", "MINUTE_TIMESTAMPED", "MODEL", "MODEL_CONSUMED",
    "MODEL_COST_CONSUMED", "MODEL_COST_HOURLY", "MODEL_HOURLY", "MODEL_KEY", "MODEL_KEY_CONSUMED",
    "MODEL_KEY_COST_CONSUMED", "MODEL_KEY_COST_HOURLY", "MODEL_KEY_HOURLY", "NO_CACHED_SHARE", "USAGE", "Catalogue",
    "Field", "Number", "Point", "check_tag_key", "check_tag_text", "find_encoder", "plain_name",
]  # fmt: skip
