"""Expected usage of a simulated account within a picked time range."""

from __future__ import annotations

from typing import Dict

from .expected_hours import Usage
from .expected_models import CURRENCY, all_series, expected_cost, model_names
from .grafana_dashboards import Chosen, Range
from .simulated_account import SERVICES, Series, SimulatedAccount, key_names


class ExpectedUsage:
    """Expected usage and cost, as the account's store shows them."""

    def __init__(self, account: SimulatedAccount, chosen: Chosen, picked: Range) -> None:
        self.account, self.picked, self.api_fields = account, picked, account.api_fields
        self.services = chosen["service_type"] or tuple(SERVICES)
        names = {api_id: model_names(account.models).get(api_id, api_id) for api_id in account.models.ids()}
        self.models = {api_id: name for api_id, name in names.items() if name in (chosen["model"] or names.values())}
        names = key_names(account.models)
        self.keys = {key: names.get(key, key) for _, key in all_series(account.models) if key}
        self.now = max(at for at in account.api_fields if at <= picked.end)

    def between(self, start: int, end: int, *wanted: Series) -> Usage:
        """Return the usage that the store shows for a window."""
        raise NotImplementedError

    def used(self, *wanted: Series, since: int = 0) -> Usage:
        return self.between(since or self.picked.start, self.picked.end, *wanted)

    def costs(self, since: int = 0, key: str = "", until: int = 0) -> Dict[str, float]:
        models, start, end = self.account.models, since or self.picked.start, until or self.picked.end
        return {
            f"{name} {CURRENCY}": float(expected_cost(models, each, self.between(start, end, (each, key))))
            for each, name in self.models.items()
            if each in model_names(models)
        }
