"""The exporter: what the last cycles got, for Prometheus and whatever else scrapes."""

from __future__ import annotations

from .command import serve

__all__ = ["serve"]
