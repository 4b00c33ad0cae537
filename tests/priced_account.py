"""An emulated account with two models whose prices change by date and by hour, and what its use costs."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from maas_usage_check.emulator.simulated_models import SimulatedModels

from .conftest import Cloud
from .price_oracle import HOUR, PriceOracle

ZONE = "Asia/Kolkata"
"""Its midnight is in the middle of an hour of UTC."""
SHARE = 0.4
FIRST: List[Dict[str, Any]] = [
    {"prompt": 2.0, "completion": 8.0, "cached_prompt": 0.5},
    {
        "from": "2026-11-23",
        "prompt": 1.7,
        "completion": 6.9,
        "off_peak": {"hours": "23:40-06:10", "prompt": 0.85, "completion": 3.3, "cached_prompt": 0.17},
    },
]
SECOND: List[Dict[str, Any]] = [
    {"from": "2026-11-23", "prompt": 0.35, "completion": 1.25, "cached_prompt": 0.1, "cached_share": 0.123456}
]
"""Before its date it has no price."""
Series = Tuple[str, str]
"""A model, and a key id, which is empty for the model itself."""
Values = Tuple[float, float, float]
"""Of the fields `cost`, `prompt_cost` and `completion_cost`."""
NAMES = ("cost", "prompt_cost", "completion_cost")


class PricedAccount:
    """The account that a test's cloud has."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        cloud.emulator.requests_per_minute = 10**6
        cloud.emulator.models = self._models = SimulatedModels(2, 2)
        first, second = self._models.ids()
        self._cloud = cloud
        self._oracles = {first: PriceOracle(FIRST, ZONE, SHARE), second: PriceOracle(SECOND, ZONE, SHARE)}
        self.entry = cloud.entry(
            models=True,
            hourly=True,
            backfill_days=2,
            timezone=ZONE,
            state_dir=str(folder),
            ranges=["last_1d"],
            max_requests_per_minute=80_000,
            prices={"currency": "CNY", "cached_share": SHARE, "models": {first: FIRST, second: SECOND}},
        )
        self.configuration = json.dumps({"instances": [self.entry]})

    @property
    def hour(self) -> int:
        """Return the start of the current hour in ms."""
        return int(self._cloud.emulator.now() * 1000) // HOUR * HOUR

    def hourly(self, start: int, until: int) -> Dict[Tuple[Series, int], Values]:
        """Return the cost of each hour with a price in a window."""
        return {
            (series, at): _values(*cost)
            for series, oracle, tokens in self._series(start, until)
            for at, used in tokens.items()
            if oracle.parts(at, 0, 0, 0)[0].price is not None
            for cost in [oracle.cost(at, *used)]
        }

    def total(self, start: int, until: int) -> Dict[Series, Values]:
        """Return the cost of a window of hours."""
        return {series: _values(*costs) for series, costs in self.exact(start, until).items()}

    def exact(self, start: int, until: int) -> Dict[Series, Tuple[Fraction, ...]]:
        """Return the cost of the prompts and of the completions of a window of hours."""
        found = {}
        for series, oracle, tokens in self._series(start, until):
            costs = [oracle.cost(at, *used) for at, used in tokens.items()]
            found[series] = tuple(sum((cost[part] for cost in costs), Fraction(0)) for part in (0, 1))
        return found

    def _series(self, start: int, until: int) -> Iterator[Tuple[Series, PriceOracle, Dict[int, Tuple[int, int]]]]:
        now = int(self._cloud.emulator.now() * 1000)
        for model, key_id in self._models.series:
            hours = {at: self._models.hour(model, key_id, at, now) for at in range(start, until, HOUR)}
            tokens = {at: (use.prompt_tokens, use.completion_tokens) for at, use in hours.items()}
            yield (model, key_id or ""), self._oracles[model], tokens


def _values(prompt: Fraction, completion: Fraction) -> Values:
    return float(prompt + completion), float(prompt), float(completion)
