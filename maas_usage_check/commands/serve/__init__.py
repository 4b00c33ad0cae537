"""The exporter: serves the points of the last cycles to Prometheus and other scrapers."""

from __future__ import annotations

from .serve_command import serve

__all__ = ["serve"]
