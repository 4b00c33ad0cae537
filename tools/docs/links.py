"""Check that links lead to existing files and headings, and that the README leads to every page of the docs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, NamedTuple, Optional, Set

from .pages import SPAN, Page, Pages, Problem, Section

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Link(NamedTuple):
    """A link of a page, its file, and the index of its heading if it names one; -1: no such heading."""

    line: int
    text: str
    file: Path
    heading: Optional[int]


def links(pages: Pages, page: Page, section: Section) -> Iterator[Link]:
    """Find the links of a section into the repository, except in code."""
    text = SPAN.sub(lambda span: re.sub("[^\n]", " ", span[0]), f"{section.title}{section.prose}")
    for match in LINK.finditer(text):
        path, _, anchor = match[1].partition("#")
        if re.match("[a-z]+:", match[1]):
            continue
        file = (page.file.parent / path).resolve() if path else page.file
        heading = None
        if anchor:
            names = pages.read(file.relative_to(pages.root).as_posix()).anchors() if file.is_file() else []
            heading = names.index(anchor) if anchor in names else -1
        yield Link(section.line + text.count("\n", 0, match.start()), match[1], file, heading)


def broken(pages: Pages) -> Iterator[Problem]:
    """Report broken links."""
    for page in pages:
        for section in page.sections:
            for link in links(pages, page, section):
                if not link.file.exists():
                    yield page.problem(f"link to {link.text}: no such file", link.line)
                elif link.heading == -1:
                    yield page.problem(f"link to {link.text}: no such heading", link.line)


def unreachable(pages: Pages) -> Iterator[Problem]:
    """Report pages of the docs without a link from another page."""
    reached: Set[Path] = set()
    ahead = [pages.root / "README.md"]
    while ahead:
        file = ahead.pop()
        if file.suffix == ".md" and file.exists() and file not in reached:
            reached.add(file)
            page = pages.read(file.relative_to(pages.root).as_posix())
            ahead += [link.file for section in page.sections for link in links(pages, page, section)]
    for page in pages:
        if page.name.startswith("docs/") and page.file not in reached:
            yield page.problem("no page that the README leads to links to this one")
