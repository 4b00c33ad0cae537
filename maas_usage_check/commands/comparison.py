"""Compare the tokens that Cloud Eye counts with the statistics of the same hours, for `report` and `doctor`."""

from __future__ import annotations

from decimal import Decimal
from typing import Dict, Mapping

from msgspec.structs import replace

from ..config import Instance, ServiceType
from ..config.ranges import HOUR, Window
from ..ledger import Account, lookup
from ..state import Store, UnusableError

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
    statistics = _statistics(instance, store, account, tokens, now_ms)
    known = [service_type for service_type in COUNTED_BY_CLOUD_EYE if statistics[service_type]]
    both = set.intersection(*(set(statistics[service_type]) for service_type in COUNTED_BY_CLOUD_EYE))
    if both:
        hours, names, compared = both, " and ".join(COUNTED_BY_CLOUD_EYE.values()), list(COUNTED_BY_CLOUD_EYE)
        missing = ""
    elif known:
        compared = known[:1]
        hours, names = set(statistics[compared[0]]), f"{COUNTED_BY_CLOUD_EYE[compared[0]]} alone"
        other = next(service_type for service_type in COUNTED_BY_CLOUD_EYE if service_type != compared[0])
        missing = f"; it also counts {COUNTED_BY_CLOUD_EYE[other]}, missing from the ledger of hours (service_types)"
    else:
        return (
            f"{NOT_COMPARABLE}the ledger of hours has none of these hours; set `hourly: true` and "
            "`service_types: [preset, my_service]`, and collect."
        )
    cloud_eye_tokens = sum(tokens[hour] for hour in hours)
    statistics_tokens = sum(statistics[service_type][hour] for service_type in compared for hour in hours)
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


def _statistics(
    instance: Instance, store: Store, account: Account, tokens: Mapping[int, int], now_ms: int
) -> Dict[ServiceType, Dict[int, int]]:
    """Return the tokens of these hours, unfiltered, by service type and start of the hour."""
    unfiltered = replace(
        instance,
        service_types=tuple(COUNTED_BY_CLOUD_EYE),
        infer_types=("real_time",),
        api_keys=None,
        per_api_key=False,
        ips=None,
    )
    found: Dict[ServiceType, Dict[int, int]] = {service_type: {} for service_type in COUNTED_BY_CLOUD_EYE}
    try:
        answers = lookup(
            unfiltered, store, account, [Window(hour, hour + HOUR) for hour in sorted(tokens)], now_ms
        ).answers
    except UnusableError:
        return found
    for query, answer in answers.items():
        found[query.service_type][query.window.start] = answer.usage.total_tokens
    return found
