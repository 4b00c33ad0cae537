"""The Chinese README says what the English one says: section by section, in the same order."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import FrozenSet, List, NamedTuple, Set, Tuple

import pytest

ROOT = Path(__file__).parent.parent
NAMES = ("README.md", "README.zh-CN.md")
HEADING = re.compile(r"(#{1,6}) +(.+)")
FENCE = re.compile(r" *(`{3,}|~{3,})(.*)")
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ITEM = re.compile(r"^( *)([-*+]|\d+\.) ", re.MULTILINE)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
RESULT = re.compile(r"^\| *(\d+) *\| *([A-Z_]+) *\|", re.MULTILINE)
BETWEEN_CELLS = re.compile(r"(?<!\\)\|")


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


def code(text: str) -> Set[str]:
    """Collect the code spans: keys, fields, commands, options, metrics and paths, which no language changes."""
    return {" ".join(span.split()) for _, span in SPAN.findall(text)}


def links(text: str) -> Set[str]:
    return set(LINK.findall(SPAN.sub("", text)))


def relative_links(text: str) -> Set[str]:
    return {link for link in links(text) if not re.match(r"#|[a-z]+:", link)}


def rows(text: str) -> List[Tuple[int, FrozenSet[str]]]:
    """Give each row of the tables as the number of its cells and the code in it."""
    lines = [line.strip() for line in text.splitlines() if line.lstrip().startswith("|")]
    return [(len(BETWEEN_CELLS.split(line)), frozenset(code(line))) for line in lines]


def anchors(page: List[Section]) -> List[str]:
    """Name the headings as GitHub does."""
    seen: Counter[str] = Counter()
    names = []
    for section in page:
        name = re.sub(r"[^\w\- ]", "", section.title.lower()).replace(" ", "-")
        names.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def targets(section: Section, page: List[Section]) -> List[int]:
    """Tell which headings the section links to, by their places in the page; it is an error if there is none."""
    return sorted(anchors(page).index(link[1:]) for link in links(section.prose) if link.startswith("#"))


TEXTS = [(ROOT / name).read_text(encoding="utf-8") for name in NAMES]
ENGLISH, CHINESE = map(sections, TEXTS)
side_by_side = pytest.mark.parametrize(
    ("english", "chinese"),
    list(zip(ENGLISH, CHINESE)),
    ids=[section.title or "top" for section, _ in zip(ENGLISH, CHINESE)],
)


def test_each_readme_links_to_the_other_at_its_top() -> None:
    for text, other in zip(TEXTS, reversed(NAMES)):
        assert f"]({other})" in "\n".join(text.splitlines()[:5])


def test_the_headings_have_the_same_levels_in_the_same_order() -> None:
    pairs = "\n".join(f"{'#' * e.level} {e.title}  =  {'#' * c.level} {c.title}" for e, c in zip(ENGLISH, CHINESE))
    assert [section.level for section in CHINESE] == [section.level for section in ENGLISH], pairs


@side_by_side
def test_the_blocks_of_a_section_are_the_same_to_the_letter(english: Section, chinese: Section) -> None:
    assert chinese.blocks == english.blocks


@side_by_side
def test_a_section_names_the_same_keys_commands_metrics_and_files(english: Section, chinese: Section) -> None:
    assert code(chinese.prose) == code(english.prose)


@side_by_side
def test_the_tables_of_a_section_have_the_same_rows(english: Section, chinese: Section) -> None:
    assert rows(chinese.prose) == rows(english.prose)


@side_by_side
def test_the_lists_of_a_section_have_the_same_items(english: Section, chinese: Section) -> None:
    assert ITEM.findall(chinese.prose) == ITEM.findall(english.prose)


@side_by_side
def test_every_number_of_a_section_is_in_the_chinese_one(english: Section, chinese: Section) -> None:
    """The Chinese may have more of them: it writes in digits what English writes in words."""
    there, here = (set(NUMBER.findall(LINK.sub("", SPAN.sub("", section.prose)))) for section in (english, chinese))
    assert there <= here


def test_the_result_codes_have_the_same_numbers_and_names() -> None:
    english, chinese = map(RESULT.findall, TEXTS)
    assert chinese == english
    assert english


@side_by_side
def test_a_section_links_to_the_same_files_and_they_exist(english: Section, chinese: Section) -> None:
    there, here = (relative_links(section.prose) for section in (english, chinese))
    assert here - {NAMES[0]} == there - {NAMES[1]}
    assert [link for link in here | there if not (ROOT / link.partition("#")[0]).exists()] == []


@side_by_side
def test_a_section_links_to_the_same_headings_and_they_exist(english: Section, chinese: Section) -> None:
    assert targets(chinese, CHINESE) == targets(english, ENGLISH)


def test_a_comment_in_a_block_is_no_heading_and_a_fence_in_a_longer_fence_ends_nothing() -> None:
    page = "# A\n\nSee `b c`\n\n````console\n# no heading\n```\n````\n\n## D\n\n| `e\\|f` | g |\n"
    _, first, second = sections(page)
    assert (first.title, first.blocks, code(first.prose)) == ("A", [Block("console", "# no heading\n```")], {"b c"})
    assert (second.level, second.title, rows(second.prose)) == (2, "D", [(4, frozenset({"e\\|f"}))])
