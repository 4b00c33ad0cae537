"""The emulator's demo account, which the agents' tests use."""

from __future__ import annotations

from maas_usage_check.emulator.demo import DEMO_CREDENTIALS
from maas_usage_check.emulator.emulator import REGION

__all__ = ["AK", "REGION", "SK"]

(AK, SK), *_ = DEMO_CREDENTIALS.items()
