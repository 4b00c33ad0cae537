"""What an instance has asked after the ranges; what it does not ask for is not even imported."""

from __future__ import annotations

from typing import List

from ..clock import Clock
from ..cloud import Api
from ..config import Instance
from ..ledger import Consumer
from ..state import Store
from .background import Keeper, Spare


def spare_of(instance: Instance, source: Api, store: Store, clock: Clock, consumer: Consumer) -> Spare:
    """Make what asks about an instance's hours and models, and gives them to a consumer."""
    keepers: List[Keeper] = []
    if instance.hourly:
        from .hours_source import Hourly

        keepers.append(Hourly(instance, source, store, consumer, clock))
    if instance.models:
        from .models_source import Models

        keepers.append(Models(instance, store, consumer, clock))
    return Spare(keepers, consumer, instance.max_concurrency, clock)
