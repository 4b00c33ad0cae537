"""Teams, budgets and limits; wrong ones are in the folder `wrong`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.config import Instance, load_instance
from maas_usage_check.config.teams import Budget, Limit, Team
from maas_usage_check.errors import ConfigError

from .test_load import yaml_values

PRICES = {"currency": "CNY", "models": {"deepseek-v3": {"prompt": 2.0, "completion": 8.0}}}
SEARCH, SUPPORT = {"api_keys": ["team-search", "batch-jobs"]}, {"api_keys": ["team-support", ""]}
TEAMS = {"search": SEARCH, "support": SUPPORT}


def one(**keys: Any) -> Instance:
    return load_instance({"hourly": True, **keys}, {}, "instances[0]")


def test_values() -> None:
    """Amounts are exact; an amount that is left out, or has no value, is none."""
    search = {**SEARCH, "cost_center": "CC-4711", "budget": {"tokens": 5_000_000_000, "cost": 2000.10}}
    support = {**SUPPORT, "cost_center": None, "budget": None}
    instance = one(
        models=True, prices=PRICES, teams={"search": search, "support": support}, budget={"tokens": None, "cost": 7},
        limits={"deepseek-v3": {"rpm": 60}, "0f1e": {"rpm": None, "tpm": 100_000}},
    )  # fmt: skip
    budget = Budget(5_000_000_000, Decimal("2000.1"))
    assert instance.teams == {
        "search": Team(("team-search", "batch-jobs"), "CC-4711", budget),
        "support": Team(("team-support", ""), "unassigned", Budget()),
    }
    assert instance.budget == Budget(None, Decimal(7))
    assert instance.limits == {"deepseek-v3": Limit(60, None), "0f1e": Limit(None, 100_000)}


@pytest.mark.parametrize(
    ("keys", "labels"),
    [
        ({}, ["team-search", "batch-jobs", "team-support", ""]),
        ({"per_api_key": True}, ["team-search", "batch-jobs", "team-support", ""]),
        ({"api_keys": ["other", "", "team-search"]}, ["other", "", "team-search", "batch-jobs", "team-support"]),
    ],
)
def test_labels_of_teams(keys: Dict[str, Any], labels: List[str]) -> None:
    """The labels of teams are reported separately, after the configured ones."""
    instance = one(teams=TEAMS, **keys)
    assert (instance.per_api_key, list(instance.api_keys or ())) == (True, labels)


def test_owner_tags() -> None:
    """Each label has its team; one that no team has is unassigned; without teams there is no such tag."""
    instance = one(teams={"search": {**SEARCH, "cost_center": "CC-4711"}, "support": SUPPORT})
    assert instance.owner_tags("batch-jobs") == {"team": "search", "cost_center": "CC-4711"}
    assert instance.owner_tags("") == {"team": "support", "cost_center": "unassigned"}
    assert instance.owner_tags("other") == {"team": "unassigned", "cost_center": "unassigned"}
    assert one(api_keys=["other"], per_api_key=True).owner_tags("other") == {}


@pytest.mark.parametrize(
    ("keys", "reserved"),
    [
        ({}, []),
        ({"teams": {"search": SEARCH}}, ["team", "cost_center"]),
        ({"budget": {"tokens": 1}}, ["team", "scope", "unit"]),
        ({"teams": {"search": {**SEARCH, "budget": {"tokens": 1}}}}, ["team", "cost_center", "scope", "unit"]),
    ],
    ids=str,
)
def test_tags_of_teams_and_budgets(keys: Dict[str, Any], reserved: List[str]) -> None:
    """They are refused only where the plugin sets them: existing configurations stay valid."""
    for tag in ("team", "cost_center", "scope", "unit"):
        if tag in reserved:
            with pytest.raises(ConfigError, match=rf"tags\[0\]: `{tag}` is a tag that the plugin sets"):
                one(tags=[f"{tag}:x"], **keys)
        else:
            assert one(tags=[f"{tag}:x"], **keys).user_tags == {tag: "x"}


entries = st.dictionaries(
    st.sampled_from(["api_keys", "cost_center", "budget", "tokens", "cost", "rpm", "tpm"]),
    st.recursive(yaml_values, lambda inner: st.dictionaries(st.sampled_from(["tokens", "cost"]), inner), max_leaves=4),
)


@given(st.sampled_from(["teams", "budget", "limits", "key_names"]), entries | st.dictionaries(st.text(), entries))
def test_any_value(config_key: str, value: Any) -> None:
    """Any value is read, or refused with its path."""
    try:
        one(models=True, prices=PRICES, **{config_key: value})
    except ConfigError as refused:
        assert str(refused).startswith(f"instances[0].{config_key}")
