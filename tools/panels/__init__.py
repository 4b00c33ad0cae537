"""The panels of the Grafana dashboards, in the order of the questions, independent of the query language."""

from __future__ import annotations

from .budget import BUDGET
from .collection import COLLECTION
from .now import NOW
from .owners import OWNERS
from .panel import Panel, Row
from .when import WHEN
from .who import WHO

__all__ = ["ROWS", "Panel", "Row"]

ROWS = (NOW, BUDGET, OWNERS, WHEN, WHO, COLLECTION)
