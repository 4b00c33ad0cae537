"""A page is safe to open, says the same in both languages, and its links keep what was chosen."""

from __future__ import annotations

import base64
import hashlib
import re
from string import Formatter
from typing import Any

import pytest
from msgspec.structs import replace

from maas_usage_check.commands.serve.page.content import CollectionState, PageContent
from maas_usage_check.commands.serve.page.page_view import LANGUAGES, read_page_view
from maas_usage_check.commands.serve.page.render import FOLDER, TEXTS, content_security_policy, render
from maas_usage_check.errors import Problem

from .html_page import show
from .page_sample import HOSTILE, NOW, Sample, failing


def largest(language: str) -> PageContent:
    """Return a month of 31 days with 30 models, 20 keys, and 20 teams with two budgets, all with very long names."""
    sample = Sample("last_month", language)
    sample.models = [f"{index}{'&' * 10_000}" for index in range(30)]
    sample.teams = [f"{index}{'模' * 10_000}" for index in range(20)]
    sample.instances = tuple(sample.teams[:10])
    content = sample.content()
    budgets = [row._replace(team=name) for name in sample.teams for row in content.budgets[1:3]]
    problems = [Problem("W", "e" * 10_000, "")] * 100
    keys = sample.report("key", sample.window(), [f"{index}{'k' * 10_000}" for index in range(20)])
    return replace(
        content,
        groups=[*content.groups, keys],
        budgets=budgets,
        state=CollectionState("partial", NOW, NOW, 3, problems),
    )


def test_hostile_names() -> None:
    """Names are text: no tag, attribute or template of them takes effect; each is isolated and cut."""
    sample = Sample()
    sample.models = sample.teams = HOSTILE
    sample.instances = tuple(HOSTILE)
    content = sample.content()
    page = show(replace(content, budgets=[row._replace(team=name) for row, name in zip(content.budgets, HOSTILE)]))
    harmless = show(Sample().content())
    assert {tag for tag, _ in page.tags} - {tag for tag, _ in harmless.tags} <= {"details", "summary"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    for name in (HOSTILE[0], HOSTILE[1], HOSTILE[3]):
        assert name in page.text
    assert "x" * 48 in page.html
    assert "x" * 49 not in page.html
    assert page.html.count(HOSTILE[2]) == len(re.findall(f"<bdi[^<>]*>{HOSTILE[2]}", page.html)) == 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_other_host(language: str) -> None:
    """Nothing is loaded: no script, image, form or absolute link; no style but the one in the head."""
    html = render(Sample(language=language).content(state=failing()))
    assert not re.search(r"https?:|//|xmlns|<script|<img|<form|<link|style=|javascript:|@import", html)
    assert html.count("<style>") == 1
    assert not re.search(r"url\((?!#)", html)


def test_policy() -> None:
    """The policy allows the page's style by its hash, and nothing else."""
    page = show(Sample().content())
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    expected = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert page.attributes("meta", "content")[0] == expected
    assert content_security_policy() == f"{expected}; frame-ancestors 'none'"


@pytest.mark.parametrize("language", LANGUAGES)
def test_size(language: str) -> None:
    assert len(render(largest(language)).encode()) < 100_000


def test_same_texts() -> None:
    """Both languages have the same texts with the same number of places."""
    english, chinese = TEXTS["en"], TEXTS["zh"]
    assert english.keys() == chinese.keys()
    assert not english.keys() & set(dir(dict))
    for key in english:
        assert _places(english[key]) == _places(chinese[key]), key


def _places(text: str) -> int:
    return sum(field is not None for _, field, _, _ in Formatter().parse(text))


def test_every_text_is_used() -> None:
    """A text that no template and no module names is dead."""
    from maas_usage_check.commands.serve.page import render as module

    folder = module.FOLDER
    files = [
        *folder.iterdir(),
        *(each for each in FOLDER.parent.glob("*.py") if each.stem not in ("english", "chinese")),
    ]
    source = "\n".join(each.read_text(encoding="utf-8") for each in files)
    built = (
        "online_experience",
        "my_service",
        "preset",
        "custom_endpoint",
        "status_",
        "level_",
        "period_",
        "by_",
        "group_",
    )
    assert [key for key in TEXTS["en"] if not key.startswith(built) and not re.search(rf"\b{key}\b", source)] == []


def test_chinese() -> None:
    page = show(Sample(language="zh").content())
    assert page.attributes("html", "lang") == ["zh-CN"]
    for text in ("1,785 万", "采集正常", "本月够用", "缓存命中的输入按普通输入计价", "2026年11月", "11月23日"):
        assert text in page.text
    assert "25,845,930" in page.text


def view_of(**parameters: str) -> Any:
    return read_page_view({name: [value] for name, value in parameters.items()}, "", 3)


def test_links() -> None:
    """A link changes one parameter, and keeps the others."""
    sample = Sample("last_month")
    sample.instances = ("a", "b", "c")
    content = sample.content(view=view_of(period="last_month", by="model", instance="2", lang="en"))
    links = show(content).attributes("a", "href")
    for link in (
        "?period=today&by=model&instance=2&lang=en",
        "?period=2026-09&by=model&instance=2&lang=en",
        "?period=last_month&by=team&instance=2&lang=en",
        "?period=last_month&instance=2&lang=en",
        "?period=last_month&by=model&instance=3&lang=en",
        "?period=last_month&by=model&instance=2&lang=zh",
        "usage.csv?period=last_month&by=model&instance=2&lang=en",
        "usage.json?period=last_month&by=model&instance=2&lang=en",
        "focus.csv?period=last_month&by=model&instance=2&lang=en",
    ):
        assert link in links
    current = [each["href"] for tag, each in show(content).tags if tag == "a" and each.get("aria-current") == "page"]
    assert current == ["?period=last_month&by=model&instance=2&lang=en"] * 4


def test_one_instance() -> None:
    """A single instance needs no choice, and a single grouping neither."""
    links = show(Sample().content(groupings=("service",))).attributes("a", "href")
    assert not [link for link in links if "instance=" in link or "by=" in link]


def test_file() -> None:
    """A file has no links: nobody answers them."""
    content = Sample().content()
    page = show(replace(content, view=content.view._replace(is_file=True)))
    assert not page.attributes("a", "href")
    assert "Download" not in page.text
    assert "production" in page.text
