"""The models of Cloud Eye: their list, their minutes, and their hours in the ledger."""

from __future__ import annotations

from .emit_models import emit_models, resolve_project_id
from .live_minutes import LiveMinutes
from .minute_queries import HeldMinutes
from .model_list import ModelList
from .model_planner import ModelPlanner
from .sweep import ModelHourPlanner

__all__ = [
    "HeldMinutes",
    "LiveMinutes",
    "ModelHourPlanner",
    "ModelList",
    "ModelPlanner",
    "emit_models",
    "resolve_project_id",
]
