"""Every link of every page leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import PAGES, ROOT, links, read, sections, target, targets


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading(page: Path) -> None:
    found = [pair for section in read(page) for pair in targets(page, f"{section.title}\n{section.prose}")]
    assert [link for link, there in found if not there.file.exists() or there.heading == -1] == []


def test_every_page_of_the_docs_is_linked_from_the_readme_or_from_a_page_that_is() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            ahead += [there.file for section in read(page) for _, there in targets(page, section.prose)]
    assert [page for page in PAGES if ROOT / "docs" in page.parents and page not in reached] == []


def test_a_link_in_code_or_to_another_site_is_none_and_a_missing_heading_is_told() -> None:
    assert links("`[a](b.md)` [c](https://example.com/) [d](e.md#f) [g](#h)") == ["e.md#f", "#h"]
    assert target(ROOT / "README.md", "#no-such-heading").heading == -1
    assert target(ROOT / "README.md", "#install-and-the-first-number").heading == 2
    assert not target(ROOT / "README.md", "docs/no-such-page.md").file.exists()


def test_a_comment_in_a_block_is_no_heading_and_a_fence_in_a_longer_fence_ends_nothing() -> None:
    _, first, second = sections("# A\n\nSee\n\n````console\n# no heading\n```\n````\n\n## D\n")
    assert (first.title, first.blocks[0].content) == ("A", "# no heading\n```")
    assert (second.level, second.title) == (2, "D")
