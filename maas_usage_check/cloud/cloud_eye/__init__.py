"""Cloud Eye, namespace SYS.MaaS: the list of metrics, and their values by the minute or the hour.

Sources: the official SDK's own text (huaweicloudsdkces), and Huawei's cloudeye-exporter.
"""

from __future__ import annotations

from .cloud_eye_api import CloudEye, model_tags
from .known_metrics import HOURLY_METRICS, METRICS, Dimensions
from .metric_data import DataQuery, MetricData
from .metric_list import Listing, ListQuery

__all__ = [
    "HOURLY_METRICS",
    "METRICS",
    "CloudEye",
    "DataQuery",
    "Dimensions",
    "ListQuery",
    "Listing",
    "MetricData",
    "model_tags",
]
