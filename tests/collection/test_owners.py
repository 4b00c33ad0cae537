"""Teams, names of keys and limits of models in a cycle, against the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Set, Tuple

import pytest

from maas_usage_check.collection import Batch
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.ledger import COUNTERS, HOURS
from maas_usage_check.metrics import (
    CATALOGUE,
    CONSUMED,
    KEY_CONSUMED,
    KEY_HOURLY,
    KEY_USAGE,
    MODEL,
    MODEL_KEY,
    MODEL_KEY_CONSUMED,
    MODEL_KEY_COST_CONSUMED,
    MODEL_KEY_COST_HOURLY,
    MODEL_KEY_HOURLY,
)

from ..conftest import Cloud, FixedClock
from .account import Make, health, points, texts
from .test_models_source import ModelAccount

BY_LABEL = {KEY_USAGE, KEY_HOURLY, KEY_CONSUMED}
BY_KEY = {MODEL_KEY, MODEL_KEY_HOURLY, MODEL_KEY_CONSUMED, MODEL_KEY_COST_HOURLY, MODEL_KEY_COST_CONSUMED}
SEARCH = {"api_keys": ["team-search", "batch-jobs"], "cost_center": "CC-4711"}
SUPPORT = {"api_keys": ["team-support", ""]}


@pytest.fixture
def account(cloud: Cloud, clock: FixedClock, make_collector: Make, tmp_path: Path) -> ModelAccount:
    account = ModelAccount(cloud, clock, make_collector, tmp_path)
    account.use(SimulatedModels(1, 3))
    (model,) = account.models.ids()
    prices = {"currency": "CNY", "models": {model: {"prompt": 2.0, "completion": 8.0}}}
    account.keys.update(hourly=True, backfill_days=1, prices=prices, max_requests_per_minute=6000)
    return account


def owners(batch: Batch, tag: str) -> Dict[str, Set[Tuple[Optional[str], Optional[str], Optional[str]]]]:
    """Return the values of a tag with their team and cost centre, by measurement."""
    found: Dict[str, Set[Tuple[Optional[str], Optional[str], Optional[str]]]] = {}
    for point in batch.points:
        names = (point.tags.get(tag), point.tags.get("team"), point.tags.get("cost_center"))
        found.setdefault(point.measurement, set()).add(names)
    return found


@pytest.mark.parametrize("kind", [HOURS, COUNTERS])
def test_owners_of_labels(account: ModelAccount, kind: str) -> None:
    """Each label has its team and cost centre; a label that no team has is unassigned; the whole has no owner."""
    teams = {"search": SEARCH, "desk": {"api_keys": [""]}}
    found = owners(account.cycle(kind, teams=teams, api_keys=["team-support"]), "api_key_label")
    expected = {
        ("team-search", "search", "CC-4711"),
        ("batch-jobs", "search", "CC-4711"),
        ("online_experience", "desk", "unassigned"),
        ("team-support", "unassigned", "unassigned"),
    }
    assert BY_LABEL & set(found) == {KEY_USAGE, KEY_HOURLY if kind == HOURS else KEY_CONSUMED}
    for measurement in BY_LABEL & set(found):
        assert found[measurement] == expected
    for measurement in set(found) - BY_LABEL - BY_KEY:
        assert found[measurement] == {(None, None, None)}


@pytest.mark.parametrize("kind", [HOURS, COUNTERS])
def test_owners_of_keys(account: ModelAccount, kind: str) -> None:
    """A key has its label in key_names, and the team of that label; the others keep their id, and are unassigned."""
    labels = account.models.key_labels
    first, second, third = labels
    names = {first: labels[first], second: labels[second]}
    teams = {"search": SEARCH, "support": SUPPORT}
    account.cycle(kind, teams=teams, key_names=names)
    account.sleep(3600)
    found = owners(account.cycle(kind, teams=teams, key_names=names), "api_key")
    assert {labels[first], labels[second]} == {"team-search", "team-support"}
    expected = {
        ("team-search", "search", "CC-4711"),
        ("team-support", "support", "unassigned"),
        (third, "unassigned", "unassigned"),
    }
    assert BY_KEY & set(found) == {each for each in BY_KEY if ("consumed" in each) == (kind == COUNTERS)} | {MODEL_KEY}
    for measurement in BY_KEY & set(found):
        assert found[measurement] == expected, measurement


def test_names_without_teams(account: ModelAccount) -> None:
    """Without teams a key has its name, and no owner."""
    first, *_ = account.models.key_labels
    found = owners(account.cycle(key_names={first: "team-search"}), "api_key")
    assert ("team-search", None, None) in found[MODEL_KEY_HOURLY]
    assert {team for _, team, _ in set().union(*found.values())} == {None}


def test_renamed_team(account: ModelAccount) -> None:
    """New names begin no new history: nothing is queried again, and the counters go on."""
    first, *_ = account.models.key_labels
    before: Dict[str, Any] = {"teams": {"search": SEARCH}, "key_names": {first: "team-search"}}
    after: Dict[str, Any] = {"teams": {"find": {**SEARCH, "cost_center": "CC-1"}}, "key_names": {first: "batch-jobs"}}
    account.cycle(COUNTERS, **before)
    account.sleep(7200)
    counted = account.cycle(COUNTERS, **before)
    sent = len(account.cloud.requests)
    account.sleep(60)
    batch = account.cycle(COUNTERS, **after)
    assert len(account.cloud.requests) - sent < 30
    assert health(batch)["missing_hours"] == 0
    for measurement in (CONSUMED, KEY_CONSUMED, MODEL_KEY_CONSUMED, MODEL_KEY_COST_CONSUMED):
        values = [[point.fields for point in points(each, measurement)] for each in (counted, batch)]
        assert values[0] == values[1]
        assert any(fields.get("tokens", fields.get("cost")) for fields in values[0])
    assert {point.tags["team"] for point in points(batch, KEY_CONSUMED)} == {"find"}


def test_limits(account: ModelAccount) -> None:
    """Each minute of a model, and of a key of it, has its ratio to the limits; nothing else has."""
    (model,) = account.models.ids()
    limits = {"chat": {"rpm": 4, "tpm": 200_000}}
    for kind in (HOURS, COUNTERS):
        batch = account.cycle(kind, model_names={model: "chat"}, limits=limits)
        minutes = [*points(batch, MODEL), *points(batch, MODEL_KEY)]
        assert {point.measurement for point in minutes} == {MODEL, MODEL_KEY}
        for point in minutes:
            assert point.fields["requests_limit_ratio"] == point.fields["requests_per_minute"] / 4
            assert point.fields["tokens_limit_ratio"] == point.fields["tokens_per_minute"] / 200_000
        others = [point for point in batch.points if point not in minutes]
        assert not any(name.endswith("_limit_ratio") for point in others for name in point.fields)
        assert not any("names no model" in text for text in texts(batch))


@pytest.mark.parametrize("hourly", [False, True])
def test_limit_of_an_unknown_model(account: ModelAccount, hourly: bool) -> None:
    """It is a warning, also without hours, until the model is called."""
    (model,) = account.models.ids()
    entry = {**account.keys, "hourly": hourly, "prices": None, "limits": {model: {"rpm": 60}, "glm-5": {"tpm": 1}}}
    for _ in range(2):
        batch = account.cycle(**entry)
        (problem,) = [each for each in batch.problems if "names no model" in each.text]
        text = ": limits: Cloud Eye names no model glm-5: check the id, or its name in model_names"
        assert problem.text.endswith(text)
        assert problem.key in batch.answered
        account.sleep(300)
    batch = account.cycle(**{**entry, "model_names": {model: "glm-5"}})
    assert not any("names no model" in each.text for each in batch.problems)
    assert problem.key in batch.answered


def test_every_measurement_by_key_has_owners() -> None:
    """No measurement by key or label was forgotten in these tests."""
    assert {each for each in CATALOGUE if "_key" in each} == BY_LABEL | BY_KEY
