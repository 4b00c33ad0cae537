"""Cloud Eye, namespace SYS.MaaS: what there is, and its values by the minute or the hour.

Facts: the official SDK's own text (huaweicloudsdkces), and Huawei's cloudeye-exporter.
"""

from __future__ import annotations

from .data import Data, DataQuery
from .listing import Listing, ListQuery
from .metrics import HOURLY_METRICS, METRICS, Dimensions
from .source import CloudEye

__all__ = ["HOURLY_METRICS", "METRICS", "CloudEye", "Data", "DataQuery", "Dimensions", "ListQuery", "Listing"]
