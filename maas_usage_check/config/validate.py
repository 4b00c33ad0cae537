"""Rules between the keys of an instance, and numbers that are out of range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, Sequence, Set

from ..errors import ConfigError, located
from ..metrics import check_tag_key, check_tag_text, plain_name
from .instance import ONLINE_EXPERIENCE, Instance
from .ranges import Fixed, check_order

if TYPE_CHECKING:
    from .teams import Budget

POSITIVE = ("timeout", "deadline", "min_collection_interval", "max_concurrency", "max_requests_per_minute")
OWNER_TAGS, BUDGET_TAGS = ("team", "cost_center"), ("team", "scope", "unit")
"""Tags that the plugin sets only with `teams`, and only with a budget."""

Place = Callable[[str], str]
"""Returns the path of a config key, for errors."""


def validate(instance: Instance, place: Place, now_ms: int) -> None:
    """Raise ConfigError for the first rule that is broken. `now_ms` is milliseconds since 1970."""

    def require(condition: Any, at: str, text: str) -> None:
        if not condition:
            raise ConfigError(f"{place(at)}: {text}")

    labels = instance.api_keys or ()
    for config_key in POSITIVE:
        require(0 < getattr(instance, config_key) <= 86_400, config_key, "must be greater than 0, and at most 86400")
    require(0 <= instance.backfill_days <= 29, "backfill_days", "must be 0 to 29: the cloud keeps 30 days")
    require(labels or not instance.per_api_key, "per_api_key", "needs `api_keys`: the labels to report separately")
    require(
        not (instance.per_api_key and "" in labels and ONLINE_EXPERIENCE in labels),
        "teams" if instance.teams else "api_keys",
        f'"" is tagged {ONLINE_EXPERIENCE}, which is a label here too; remove one of the two',
    )
    require(
        instance.prices is None or (instance.models and instance.hourly),
        "prices",
        "needs `models: true` and `hourly: true`: cost is calculated per model and hour",
    )
    _check_prices(instance, place)
    for_hours = "needs `hourly: true`: the use of a month is the sum of its hours"
    require(instance.hourly or not instance.teams, "teams", for_hours)
    require(instance.hourly or not instance.budget, "budget", for_hours)
    budgets = _budgets(instance)
    for at, budget in budgets.items():
        require(instance.prices or not budget.cost, f"{at}.cost", "needs `prices`: cost is calculated from them")
    require(
        instance.models or not instance.limits,
        "limits",
        "needs `models: true`: limits are compared with the minutes of models",
    )
    _check_tags(instance, place, [*(OWNER_TAGS if instance.teams else ()), *(BUDGET_TAGS if budgets else ())])
    _check_ranges(instance, place, now_ms)


def _check_prices(instance: Instance, place: Place) -> None:
    """Raise ConfigError for a price by name that is never used: all models of that name have one by their id."""
    priced, named = instance.prices.models if instance.prices else {}, instance.model_names
    for name in dict.fromkeys(named.values()):
        ids = [api_id for api_id, own in named.items() if own == name]
        if name in priced and name not in ids and all(api_id in priced for api_id in ids):
            also = " and ".join(f"`{api_id}`" for api_id in ids)
            text = f"is priced twice, by this name and by its id in model_names: {also}; remove one of the two"
            raise ConfigError(f"{place(f'prices.models.{name}')}: {text}")


def _budgets(instance: Instance) -> Dict[str, Budget]:
    """Return the budgets of the instance and of its teams by their path."""
    budgets = {f"teams.{name}.budget": team.budget for name, team in instance.teams.items()}
    if instance.budget:
        budgets["budget"] = instance.budget
    return {at: budget for at, budget in budgets.items() if budget.tokens or budget.cost}


def _check_tags(instance: Instance, place: Place, reserved: Sequence[str]) -> None:
    """Raise ConfigError for tags that are one in some format, and for labels that cannot be a tag's value.

    `reserved` are the tags of teams and budgets. Instances without these may use them.
    """
    indices: Dict[str, int] = {}
    for i, tag in enumerate(instance.tags):
        key = tag.partition(":")[0]
        with located(place(f"tags[{i}]")):
            check_tag_key(key, reserved)
        name = plain_name(key)
        k = indices.setdefault(name, i)
        if k != i:
            text = f"duplicate of tags[{k}]: both are `{name}`, at least in some formats; rename or remove one"
            raise ConfigError(f"{place(f'tags[{i}]')}: {text}")
    for i, label in enumerate(instance.api_keys or ()):
        if instance.per_api_key:
            with located(place(f"api_keys[{i}]")):
                check_tag_text(f"api_key_label:{label}")


def _check_ranges(instance: Instance, place: Place, now_ms: int) -> None:
    names: Set[str] = set()
    for i, span in enumerate(instance.ranges):
        with located(place(f"ranges[{i}]")):
            if span.name in names:
                raise ValueError(f"duplicate name `{span.name}`; it becomes the tag `range`, so choose another")
            names.add(span.name)
            if isinstance(span, Fixed):
                check_order(span, now_ms, instance.zone)
