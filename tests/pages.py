"""The Markdown of this repository: its sections, its links and where they lead."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
HEADING = re.compile(r"(#{1,6}) +(.+)")
FENCE = re.compile(r" *(`{3,}|~{3,})(.*)")
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block."""

    language: str
    content: str


class Section(NamedTuple):
    """A heading and what follows it up to the next one; `prose` is all of that but the fenced blocks."""

    level: int
    title: str
    prose: str
    blocks: List[Block]


class Target(NamedTuple):
    """Where a link leads: a file and, where the link names one, the place of the heading in it, -1 if there is none."""

    file: Path
    heading: Optional[int]


def sections(page: str) -> List[Section]:
    found = [Section(0, "", "", [])]
    fence, language, kept = "", "", []
    for line in page.splitlines():
        heading, edge = HEADING.fullmatch(line), FENCE.fullmatch(line)
        if fence:
            if edge and edge[1].startswith(fence) and not edge[2].strip():
                found[-1].blocks.append(Block(language, "\n".join(kept)))
                fence = ""
            else:
                kept.append(line)
        elif edge:
            fence, language, kept = edge[1], edge[2].strip(), []
        elif heading:
            found.append(Section(len(heading[1]), heading[2].strip(), "", []))
        else:
            found[-1] = found[-1]._replace(prose=f"{found[-1].prose}{line}\n")
    assert not fence, f"a block of {found[-1].title!r} has no end"
    return found


@lru_cache(maxsize=None)
def read(page: Path) -> List[Section]:
    return sections(page.read_text(encoding="utf-8"))


def anchors(page: List[Section]) -> List[str]:
    """Name the headings as GitHub does."""
    seen: Counter[str] = Counter()
    names = []
    for section in page:
        name = re.sub(r"[^\w\- ]", "", section.title.lower()).replace(" ", "-")
        names.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def links(text: str) -> List[str]:
    """List the links that lead to something in this repository."""
    return [link for link in LINK.findall(SPAN.sub("", text)) if not re.match("[a-z]+:", link)]


def target(page: Path, link: str) -> Target:
    """Tell where a link of a page leads."""
    path, _, anchor = link.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not anchor or not file.is_file():
        return Target(file, -1 if anchor else None)
    names = anchors(read(file))
    return Target(file, names.index(anchor) if anchor in names else -1)


def targets(page: Path, text: str) -> List[Tuple[str, Target]]:
    """List the links of a text of a page, with where they lead."""
    return [(link, target(page, link)) for link in links(text)]
