"""Compare the tokens that Cloud Eye counts with the statistics of the same hours, for `report` and `doctor`."""

from __future__ import annotations

from decimal import Decimal
from typing import Mapping

from msgspec.structs import replace

from ..config import Instance, ServiceType
from ..ledger import Account
from ..ledger.window import StatisticsWindow
from ..state import Store

COUNTED_BY_CLOUD_EYE = {ServiceType.preset: "preset", ServiceType.my_service: "my service"}
"""Cloud Eye counts neither custom endpoints nor batch inference (console manual)."""
NOT_COMPARABLE = "Cloud Eye cannot be compared with the statistics (ShowStatistics): "


def compare(instance: Instance, store: Store, account: Account, tokens: Mapping[int, int], now_ms: int) -> str:
    """Return one sentence: the share of tokens, or why they cannot be compared.

    Args:
        instance: the instance.
        store: the store of the ledger of hours.
        account: the project, and the access key of its queries.
        tokens: Cloud Eye's tokens by start of the hour, in milliseconds; empty if not known.
        now_ms: milliseconds since 1970.
    """
    if not tokens:
        return f"{NOT_COMPARABLE}some hours of the models are missing; `hourly: true` collects them."
    unfiltered = replace(
        instance,
        service_types=tuple(COUNTED_BY_CLOUD_EYE),
        infer_types=("real_time",),
        api_keys=None,
        per_api_key=False,
        ips=None,
    )
    known = StatisticsWindow(unfiltered, store, account, sorted(tokens), now_ms).read().hours
    statistics = {kind: hours for (kind, *_), hours in known.items() if hours.keys() & tokens.keys()}
    hours = set(tokens).intersection(*statistics.values())
    kinds = list(statistics) if hours else list(statistics)[:1]
    hours = hours or set(tokens).intersection(*(statistics[kind] for kind in kinds))
    if not kinds:
        return (
            f"{NOT_COMPARABLE}the ledger of hours has none of these hours; set `hourly: true` and "
            "`service_types: [preset, my_service]`, and collect."
        )
    names, missing = " and ".join(COUNTED_BY_CLOUD_EYE[kind] for kind in kinds), ""
    if len(kinds) == 1:
        (other,) = (name for kind, name in COUNTED_BY_CLOUD_EYE.items() if kind not in kinds)
        names, missing = f"{names} alone", f"; it also counts {other}, missing from the ledger of hours (service_types)"
    cloud_eye_tokens = sum(tokens[hour] for hour in hours)
    statistics_tokens = sum(statistics[kind][hour].total_tokens for kind in kinds for hour in hours)
    if not statistics_tokens:
        return (
            f"The statistics (ShowStatistics) have no tokens in {len(hours):,} hours of {names}, "
            f"Cloud Eye counts {cloud_eye_tokens:,}{missing}."
        )
    percent = 100 * Decimal(cloud_eye_tokens) / statistics_tokens
    return (
        f"Cloud Eye counts {percent:.1f} % of the tokens that the statistics (ShowStatistics) have for the same "
        f"{len(hours):,} hours of {names}{missing}."
    )
