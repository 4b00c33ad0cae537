"""The Markdown pages of the repository, their sections, and problems in them."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Tuple

HEADING = re.compile(r"(#{1,6}) +(.+)")
FENCE = re.compile(r" *(`{3,}|~{3,})(.*)")
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
PATTERNS = ("*.md", "docs/**/*.md", "benchmarks/*.md")
BETWEEN_CELLS = re.compile(r"(?<!\\)\|")


class Problem(NamedTuple):
    """A file relative to the repository, a line, and the problem there."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class Block(NamedTuple):
    """A fenced block."""

    language: str
    content: str


class Section(NamedTuple):
    """A heading and the text up to the next one. In `prose` a fenced block is replaced by as many empty lines."""

    line: int
    level: int
    title: str
    prose: str
    blocks: List[Block]


class Page:
    """A file of Markdown."""

    def __init__(self, root: Path, file: Path) -> None:
        self.file = file
        self.name = file.relative_to(root).as_posix()
        self.text = file.read_text(encoding="utf-8")
        self.sections = sections(self.text)

    def problem(self, text: str, line: int = 1) -> Problem:
        """Report a problem of a line."""
        return Problem(self.name, line, text)

    def matches(self, pattern: str) -> Iterator[Tuple[int, str]]:
        """Find the matches of a pattern, or its first group, each with its line."""
        for match in re.finditer(pattern, self.text, re.MULTILINE):
            yield self.text.count("\n", 0, match.start()) + 1, match[match.re.groups and 1]

    def tables(self) -> Iterator[Tuple[int, List[str]]]:
        """Read the rows of the tables: the line and the cells of each."""
        for number, line in enumerate(self.text.splitlines(), 1):
            if line.startswith("|"):
                yield number, [cell.strip() for cell in BETWEEN_CELLS.split(line)[1:-1]]

    def anchors(self) -> List[str]:
        """Name the headings as GitHub does."""
        seen: Counter[str] = Counter()
        names = []
        for section in self.sections:
            name = re.sub(r"[^\w\- ]", "", section.title.lower()).replace(" ", "-")
            names.append(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
        return names


class Pages:
    """The pages of a repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.read = lru_cache(maxsize=None)(self._read)

    def _read(self, name: str) -> Page:
        return Page(self.root, self.root / name)

    def __iter__(self) -> Iterator[Page]:
        files = chain.from_iterable(self.root.glob(pattern) for pattern in PATTERNS)
        return map(self.read, sorted(file.relative_to(self.root).as_posix() for file in files))

    def english(self) -> Iterator[Page]:
        """Leave out the Chinese pages, whose blocks and code are those of the English ones, and the changelog."""
        return (page for page in self if "zh-CN" not in page.name and page.name != "CHANGELOG.md")

    def source(self, name: str) -> str:
        """Read another file of the repository."""
        return (self.root / name).read_text(encoding="utf-8")


Check = Callable[[Pages], Iterator[Problem]]


def sections(text: str) -> List[Section]:
    """Divide a page at its headings; the text before the first has level 0."""
    found = [Section(1, 0, "", "", [])]
    fence, language = "", ""
    block_lines: List[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        heading, edge = HEADING.fullmatch(line), FENCE.fullmatch(line)
        prose = ""
        if fence:
            if edge and edge[1].startswith(fence) and not edge[2].strip():
                found[-1].blocks.append(Block(language, "\n".join(block_lines)))
                fence = ""
            else:
                block_lines.append(line)
        elif edge:
            fence, language, block_lines = edge[1], edge[2].strip(), []
        elif heading:
            found.append(Section(number, len(heading[1]), heading[2].strip(), "", []))
        else:
            prose = line
        found[-1] = found[-1]._replace(prose=f"{found[-1].prose}{prose}\n")
    return found
