"""Teams with their API keys and budgets, and the limits of models; imported where configured."""

# Without `from __future__ import annotations`: see instance.py.

from decimal import Decimal
from typing import Any, Callable, Dict, Optional, Sequence, Tuple, Union

from msgspec import Struct

from ..errors import ConfigError, located
from ..metrics import check_tag_text
from .known_keys import ID_OR_NAME, check_mapping, read_entries

UNASSIGNED = "unassigned"
"""Tag value of the team and of the cost centre of keys that no team has."""
MAX_AMOUNT = 10**15
"""Of tokens, money and requests; far more than any account has, and exact as a float."""


class Budget(Struct, frozen=True):
    """A budget of a calendar month: whole tokens, and an amount in the currency of the prices; None is no budget."""

    tokens: Optional[int] = None
    cost: Optional[Decimal] = None


class Team(Struct, frozen=True):
    """One entry of `teams`: the labels of its API keys, its cost centre, and its budget."""

    api_keys: Tuple[str, ...]
    cost_center: str = UNASSIGNED
    budget: Budget = Budget()


class Limit(Struct, frozen=True):
    """The limits of a model: requests and tokens a minute; None is not known."""

    rpm: Optional[float] = None
    tpm: Optional[float] = None


def _read_teams(value: Any, path: str) -> Dict[str, Team]:
    teams: Dict[str, Team] = {}
    owners: Dict[str, str] = {}
    for name, team in read_entries(value, path, "a team's name").items():
        at = f"{path}.{name}"
        if name == UNASSIGNED:
            raise ConfigError(f"{at}: stands for keys that no team has; choose another name")
        _check_tag("team", name, at)
        check_mapping(team, Team.__struct_fields__, at)
        labels = _read_labels(team.get("api_keys"), f"{at}.api_keys", name, owners)
        cost_center, budget = team.get("cost_center"), team.get("budget")
        if cost_center is not None:
            _check_tag("cost_center", cost_center, f"{at}.cost_center")
        teams[name] = Team(
            labels,
            UNASSIGNED if cost_center is None else cost_center,
            Budget() if budget is None else _read_budget(budget, f"{at}.budget"),
        )
    return teams


def _read_labels(value: Any, path: str, team: str, owners: Dict[str, str]) -> Tuple[str, ...]:
    """Read the labels of a team, and record it as their owner."""
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{path}: must be a list of the labels of the team's keys, with at least one entry")
    for i, label in enumerate(value):
        at = f"{path}[{i}]"
        if not isinstance(label, str):
            raise ConfigError(f'{at}: must be a label in quotes; "" means the online experience')
        if label in owners:
            raise ConfigError(f"{at}: is already a label of the team `{owners[label]}`; remove one of the two")
        with located(at):
            check_tag_text(f"api_key_label:{label}")
        owners[label] = team
    return tuple(value)


def _read_budget(value: Any, path: str) -> Budget:
    amounts = _read_amounts(value, Budget.__struct_fields__, path)
    tokens, cost = amounts.get("tokens"), amounts.get("cost")
    if isinstance(tokens, float):
        raise ConfigError(f"{path}.tokens: must be a whole number, such as 1000000000")
    return Budget(tokens, None if cost is None else Decimal(repr(cost)))


def _read_limits(value: Any, path: str) -> Dict[str, Limit]:
    return {
        model: Limit(**_read_amounts(limit, Limit.__struct_fields__, f"{path}.{model}"))
        for model, limit in read_entries(value, path, ID_OR_NAME).items()
    }


def _read_amounts(value: Any, known: Sequence[str], path: str) -> Dict[str, Union[int, float]]:
    """Return the numbers of a mapping, at least one of the two that are known."""
    check_mapping(value, known, path)
    amounts = {name: amount for name, amount in value.items() if amount is not None}
    if not amounts:
        raise ConfigError(f"{path}: needs {' or '.join(known)}, or both")
    for name, amount in amounts.items():
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 < amount <= MAX_AMOUNT:
            text = "must be a number without quotes such as 2500, greater than 0 and at most"
            raise ConfigError(f"{path}.{name}: {text} {MAX_AMOUNT:,}")
    return amounts


def _check_tag(tag: str, text: Any, path: str) -> None:
    with located(path):
        if not isinstance(text, str) or not text or text != text.strip():
            raise ValueError("must be a text in quotes, without blanks around it")
        check_tag_text(f"{tag}:{text}")


READERS: Dict[str, Callable[[Any, str], Any]] = {
    "teams": _read_teams,
    "budget": _read_budget,
    "limits": _read_limits,
}
