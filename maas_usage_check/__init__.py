"""Report what a team uses on Huawei Cloud MaaS to the monitoring agent it already has."""

from __future__ import annotations

__version__ = "0.1.0"
