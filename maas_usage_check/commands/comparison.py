"""Two views of one use: how much of what the statistics hold Cloud Eye counts, said alike by `report` and `doctor`."""

from __future__ import annotations

from decimal import Decimal
from typing import Dict, Mapping

from msgspec.structs import replace

from ..config import Instance, ServiceType
from ..config.ranges import HOUR, Window
from ..ledger import Account, lookup
from ..state import Store, UnusableError

COVERED = {ServiceType.preset: "preset", ServiceType.my_service: "my service"}
"""What Cloud Eye counts: no custom endpoints and no batch inference (console manual)."""
CANNOT = "Cloud Eye's numbers cannot be compared with the statistics' (ShowStatistics): "


def compare(instance: Instance, store: Store, account: Account, tokens: Mapping[int, int], now: int) -> str:
    """Say it in one sentence, or why it cannot be said.

    Args:
        instance: whose use it is.
        store: where the ledger of hours is.
        account: the project, and the key that it was asked with.
        tokens: what Cloud Eye counts, by the beginning of each hour in milliseconds; nothing where that is not known.
        now: milliseconds since 1970.
    """
    if not tokens:
        return f"{CANNOT}the hours of its models are not all known, which `hourly: true` collects."
    statistics = _statistics(instance, store, account, tokens, now)
    held = [kind for kind in COVERED if statistics[kind]]
    both = set.intersection(*(set(statistics[kind]) for kind in COVERED))
    if both:
        hours, kinds, whole = both, " and ".join(COVERED.values()), list(COVERED)
        besides = ""
    elif held:
        whole = held[:1]
        hours, kinds = set(statistics[whole[0]]), f"{COVERED[whole[0]]} alone"
        other = next(kind for kind in COVERED if kind != whole[0])
        besides = f"; it counts {COVERED[other]} too, of which the ledger of hours holds none (service_types)"
    else:
        return (
            f"{CANNOT}the ledger of hours holds none of these hours, for which it needs `hourly: true` and "
            "`service_types: [preset, my_service]`, and to have been collected."
        )
    counted = sum(tokens[at] for at in hours)
    there = sum(statistics[kind][at] for kind in whole for at in hours)
    if not there:
        return (
            f"Cloud Eye counts {counted:,} tokens in {len(hours):,} hours, and the statistics none of {kinds}{besides}."
        )
    percent = 100 * Decimal(counted) / there
    return (
        f"Cloud Eye counts {percent:.1f} % of the tokens that the statistics (ShowStatistics) hold for the same "
        f"{len(hours):,} hours of {kinds}{besides}."
    )


def _statistics(
    instance: Instance, store: Store, account: Account, tokens: Mapping[int, int], now: int
) -> Dict[ServiceType, Dict[int, int]]:
    """Look up which of these hours the ledger holds of each kind of calls, unfiltered, and their tokens."""
    everything = replace(
        instance,
        service_types=tuple(COVERED),
        infer_types=("real_time",),
        api_keys=None,
        per_api_key=False,
        ips=None,
    )
    found: Dict[ServiceType, Dict[int, int]] = {kind: {} for kind in COVERED}
    try:
        answers = lookup(everything, store, account, [Window(at, at + HOUR) for at in sorted(tokens)], now).answers
    except UnusableError:
        return found
    for query, answer in answers.items():
        found[query.service_type][query.window.start] = answer.usage.total_tokens
    return found
