"""Compare the Chinese pages with the English ones: section by section, in the same order."""

from __future__ import annotations

import re
from typing import Iterator, Set

from .links import LINK, links
from .pages import BETWEEN_CELLS, SPAN, Page, Pages, Problem, Section

NEEDED = ("README.md", "docs/configuration.md", "docs/metrics.md", "docs/troubleshooting.md")
"""Pages that must exist in Chinese."""
ITEM = re.compile(r"^( *(?:[-*+]|\d+\.)) ", re.MULTILINE)
NAME = re.compile(r"(?<![A-Z_])[A-Z]+(?:_[A-Z]+)+(?![A-Z_])")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
TOP = 5
"""The link to the other language is within this number of lines at the top of a page."""


def differences(pages: Pages) -> Iterator[Problem]:
    """Compare each Chinese page with the English one."""
    names = {page.name for page in pages}
    for page in pages:
        english = _english(page.name)
        if english == page.name:
            continue
        if english in names:
            yield from _compare(pages, pages.read(english), page)
        else:
            yield page.problem(f"there is no {english}")
    for name in set(NEEDED) - set(map(_english, names - set(NEEDED))):
        yield Problem(name, 1, "there is no Chinese page of it")


def _english(name: str) -> str:
    """Return the name of the page or picture of which a file may be the translation."""
    return name.replace("/zh-CN/", "/").replace(".zh-CN.", ".").replace("-zh.png", ".png")


def _compare(pages: Pages, english: Page, chinese: Page) -> Iterator[Problem]:
    for page, other in ((english, chinese), (chinese, english)):
        found = (link for section in page.sections[:2] for link in links(pages, page, section))
        if not any(link.file == other.file and link.line <= TOP for link in found):
            yield page.problem(f"no link to {other.name} in the first {TOP} lines")
    if len(english.sections) != len(chinese.sections):
        yield chinese.problem(f"{len(chinese.sections) - 1} headings, {english.name} has {len(english.sections) - 1}")
    for one, other_one in zip(english.sections, chinese.sections):
        place = f"{english.name}:{one.line}"
        if one.level != other_one.level:
            yield chinese.problem(f"heading of level {other_one.level}, {place} has level {one.level}", other_one.line)
            return
        expected, found_here = _content(pages, english, one), _content(pages, chinese, other_one)
        for text in sorted(expected - found_here):
            yield chinese.problem(f"missing from the translation of {place}: {text}", other_one.line)
        for text in sorted(found_here - expected):
            if not text.startswith("number"):  # English writes in words what the Chinese writes in digits
                yield chinese.problem(f"not in {place}: {text}", other_one.line)


def _content(pages: Pages, page: Page, section: Section) -> Set[str]:
    """Describe the parts of a section that a translation does not change."""
    text, own = section.prose, _english(page.name)
    content = {f"code `{code}`" for code in _code(text)}
    content |= {f"name {name}" for name in NAME.findall(text)}
    content |= {f"number {number}" for number in NUMBER.findall(LINK.sub("", SPAN.sub("", text)))}
    content |= {f"list item {place} ({mark})" for place, mark in enumerate(ITEM.findall(text), 1)}
    content |= {f"block {place} ({language}) {shown!r}" for place, (language, shown) in enumerate(section.blocks, 1)}
    rows = (line.strip() for line in text.splitlines() if line.lstrip().startswith("|"))
    for place, row in enumerate(rows, 1):
        cells, codes = len(BETWEEN_CELLS.split(row)) - 2, ", ".join(sorted(_code(row)))
        content.add(f"table row {place} of {cells} cells, code {codes or 'none'}")
    for link in links(pages, page, section):
        name = link.file.relative_to(pages.root).as_posix()
        if _english(name) != own or name == page.name:
            content.add(f"link to {_english(name)}" + ("" if link.heading is None else f", heading {link.heading}"))
    return content


def _code(text: str) -> Set[str]:
    return {" ".join(span.split()) for _, span in SPAN.findall(text)}
