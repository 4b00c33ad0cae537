from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from maas_usage_check.metrics import API, CATALOGUE, COUNT, USAGE, Field, Point
from maas_usage_check.metrics.prometheus import encode

texts = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1)
TAGS = {"range": "last_7d", "region": "cn-southwest-2"}


@given(st.dictionaries(texts, texts, max_size=4), st.integers(0, 2**53), st.floats(0, 1))
def test_samples_are_exact(tags: dict, tokens: int, coverage: float) -> None:
    """Every sample is parsed back with its value and labels."""
    point = Point(USAGE, {**tags, **TAGS}, {"total_tokens": tokens, "coverage_ratio": coverage}, 1)
    families = {family.name: family for family in text_string_to_metric_families(encode([point]))}
    (sample,) = families["huawei_maas_usage_total_tokens"].samples
    assert sample.value == tokens
    assert sample.timestamp is None
    assert {"last_7d", "cn-southwest-2"} <= set(sample.labels.values())
    assert len(sample.labels) == len(point.tags)
    assert math.isclose(families["huawei_maas_usage_coverage_ratio"].samples[0].value, coverage, rel_tol=0, abs_tol=0)


def test_help_and_type() -> None:
    """HELP and TYPE come from the catalogue, and HELP warns that ranges overlap."""
    usage = Point(USAGE, TAGS, {field.name: field.kind(1) for field in CATALOGUE[USAGE]}, 1)
    text = encode([usage, Point(API, {}, {"up": 1}, 1)])
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {family.type for family in families.values()} == {"gauge"}
    for field in CATALOGUE[USAGE]:
        documentation = families[f"huawei_maas_usage_{field.name}"].documentation
        assert documentation.startswith(field.description)
        assert "Never add it up over the label `range`" in documentation
    assert "range" not in families["huawei_maas_api_up"].documentation


def test_invalid_label_names() -> None:
    """A tag that is no valid label name is renamed, and does not replace another."""
    point = Point(API, {"team.name": "a", "team-name": "b", "1st": "c"}, {"up": 1}, 1)
    (family,) = text_string_to_metric_families(encode([point]))
    assert sorted(family.samples[0].labels.values()) == ["a", "b", "c"]


def test_letters_outside_ascii() -> None:
    """Each becomes its code point, so that two keys remain two labels; the shorter and the longer one too."""
    point = Point(API, {"团队": "a", "部门": "b", "é": "c", "\U0001f600": "d", "\u1f600": "e"}, {"up": 1}, 1)
    (family,) = text_string_to_metric_families(encode([point]))
    assert family.samples[0].labels == {
        "u56e2u961f": "a", "u90e8u95e8": "b", "u00e9": "c", "U0001f600": "d", "u1f600": "e"
    }  # fmt: skip


def test_reserved_tags_keep_their_names() -> None:
    point = Point(API, {"project-id": "mine", "project_id": "true", "Region": "x", "region": "true"}, {"up": 1}, 1)
    (family,) = text_string_to_metric_families(encode([point]))
    labels = family.samples[0].labels
    assert (labels["project_id"], labels["region"]) == ("true", "true")
    assert len(labels) == 4


def test_counter_names_end_in_total() -> None:
    catalogue = {"m": (Field("tokens", int, "token", "Tokens.", COUNT), Field("up", int, "", "Up."))}
    text = encode([Point("m", {"a": "b"}, {"tokens": 7, "up": 1}, 1)], catalogue)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name: family.type for name, family in families.items()} == {"m_tokens": "counter", "m_up": "gauge"}
    assert 'm_tokens_total{a="b"} 7\n' in text
