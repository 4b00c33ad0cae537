"""ShowStatistics: totals of time windows, by service type, inference type and API key.

Facts of the API: its page (support.huaweicloud.com/api-maas/ShowStatistics.html) and Huawei's own query script.
"""

from __future__ import annotations

from .statistics_api import Statistics
from .totals import TotalsAnswer, TotalsQuery

__all__ = ["Statistics", "TotalsAnswer", "TotalsQuery"]
