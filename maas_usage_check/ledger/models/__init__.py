"""The models of Cloud Eye: which there are, their minutes, and their hours in the ledger."""

from __future__ import annotations

from .emit_models import give_models, whose
from .live_minutes import LiveMinutes
from .minute_queries import HeldMinutes
from .model_list import ModelList
from .sweep import ModelHours

__all__ = ["HeldMinutes", "LiveMinutes", "ModelHours", "ModelList", "give_models", "whose"]
