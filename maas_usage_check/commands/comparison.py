"""Compare the tokens that Cloud Eye counts with the statistics of the same hours, for `report` and `doctor`."""

from __future__ import annotations

from decimal import Decimal
from typing import Mapping

from msgspec.structs import replace

from ..config import Instance, ServiceType
from ..config.ranges import Window
from ..ledger import Account
from ..ledger.known_usage import Span
from ..ledger.window import StatisticsWindow
from ..state import Store

COUNTED_BY_CLOUD_EYE = {ServiceType.preset: "preset", ServiceType.my_service: "my service"}
"""Cloud Eye counts neither custom endpoints nor batch inference (console manual)."""
NOT_COMPARABLE = "Cloud Eye cannot be compared with the statistics (ShowStatistics): "


def compare(instance: Instance, store: Store, account: Account, tokens: Mapping[Span, int], now_ms: int) -> str:
    """Return one sentence: the share of tokens, or why they cannot be compared.

    Args:
        instance: the instance.
        store: the store of the ledger of hours.
        account: the project, and the access key of its queries.
        tokens: Cloud Eye's tokens by hour, and by day where hours are no longer kept; empty if not known.
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
    window = Window(min(span.start for span in tokens), max(span.until for span in tokens))
    known = StatisticsWindow(unfiltered, store, account, [window], now_ms).read().spans
    statistics = {kind: spans for (kind, *_), spans in known.items() if spans.keys() & tokens.keys()}
    common = set(tokens).intersection(*statistics.values())
    kinds = list(statistics) if common else list(statistics)[:1]
    common = common or set(tokens).intersection(*(statistics[kind] for kind in kinds))
    hours = sum(span.hours for span in common)
    if not kinds:
        return (
            f"{NOT_COMPARABLE}the ledger of hours has none of these hours; set `hourly: true` and "
            "`service_types: [preset, my_service]`, and collect."
        )
    names, missing = " and ".join(COUNTED_BY_CLOUD_EYE[kind] for kind in kinds), ""
    if len(kinds) == 1:
        (other,) = (name for kind, name in COUNTED_BY_CLOUD_EYE.items() if kind not in kinds)
        names, missing = f"{names} alone", f"; it also counts {other}, missing from the ledger of hours (service_types)"
    cloud_eye_tokens = sum(tokens[span] for span in common)
    statistics_tokens = sum(statistics[kind][span].total_tokens for kind in kinds for span in common)
    if not statistics_tokens:
        return (
            f"The statistics (ShowStatistics) have no tokens in {hours:,} hours of {names}, "
            f"Cloud Eye counts {cloud_eye_tokens:,}{missing}."
        )
    percent = 100 * Decimal(cloud_eye_tokens) / statistics_tokens
    return (
        f"Cloud Eye counts {percent:.1f} % of the tokens that the statistics (ShowStatistics) have for the same "
        f"{hours:,} hours of {names}{missing}."
    )
