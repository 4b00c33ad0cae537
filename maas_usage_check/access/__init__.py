"""Who may ask, and when: credentials, and the gate of a key."""

from __future__ import annotations

from .credentials import Credentials, Provider, provider, readable_by_others
from .gate import Gate
from .gates import Gates
from .passes import Pass
from .rate import tenth

__all__ = ["Credentials", "Gate", "Gates", "Pass", "Provider", "provider", "readable_by_others", "tenth"]
