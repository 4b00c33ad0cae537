"""The panels of the Grafana dashboards, in the order of the questions, independent of the query language."""

from __future__ import annotations

from .budget import BUDGET
from .collection import COLLECTION
from .now import NOW
from .panel import NO_HOURS, PICKED, Panel, Row
from .when import WHEN
from .who import WHO

__all__ = ["NO_HOURS", "PICKED", "ROWS", "Panel", "Row"]

ROWS = (NOW, BUDGET, WHEN, WHO, COLLECTION)
