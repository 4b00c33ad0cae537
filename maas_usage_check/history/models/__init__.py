"""The models of Cloud Eye: which there are, their minutes, and their hours in the ledger."""

from __future__ import annotations

from .giving import give_models, whose
from .hours import ModelHours
from .live import LiveMinutes
from .minutes import HeldMinutes
from .remembered import ModelList

__all__ = ["HeldMinutes", "LiveMinutes", "ModelHours", "ModelList", "give_models", "whose"]
