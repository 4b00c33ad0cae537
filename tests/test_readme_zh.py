"""Each Chinese page says what the English one says: section by section, in the same order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import FrozenSet, List, NamedTuple, Set, Tuple

import pytest

from .pages import LINK, ROOT, SPAN, Section, Target, read, sections, targets

CHINESE_DOCS = ROOT / "docs" / "zh-CN"
PAIRS = [
    (ROOT / "README.md", ROOT / "README.zh-CN.md"),
    *((ROOT / "docs" / page.name, page) for page in sorted(CHINESE_DOCS.glob("*.md"))),
]
TO_ENGLISH = {chinese: english for english, chinese in PAIRS}
NAMES = [english.name for english, _ in PAIRS]
ITEM = re.compile(r"^( *)([-*+]|\d+\.) ", re.MULTILINE)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
RESULT = re.compile(r"^\| *(\d+) *\| *([A-Z_]+) *\|", re.MULTILINE)
BETWEEN_CELLS = re.compile(r"(?<!\\)\|")


class Both(NamedTuple):
    """A section of an English page and the one at the same place of the Chinese page."""

    page: Path
    english: Section
    chinese: Section


def code(text: str) -> Set[str]:
    """Collect the code spans: keys, fields, commands, options, metrics and paths, which no language changes."""
    return {" ".join(span.split()) for _, span in SPAN.findall(text)}


def rows(text: str) -> List[Tuple[int, FrozenSet[str]]]:
    """Give each row of the tables as the number of its cells and the code in it."""
    lines = [line.strip() for line in text.splitlines() if line.lstrip().startswith("|")]
    return [(len(BETWEEN_CELLS.split(line)), frozenset(code(line))) for line in lines]


def numbers(text: str) -> Set[str]:
    return set(NUMBER.findall(LINK.sub("", SPAN.sub("", text))))


def leads_to(page: Path, text: str) -> Set[Target]:
    """Tell where links lead, in English whichever the language, without those to the other language."""
    own = TO_ENGLISH.get(page, page)
    there = [target for _, target in targets(page, text)]
    return {
        Target(TO_ENGLISH.get(target.file, target.file), target.heading)
        for target in there
        if target.file == page or TO_ENGLISH.get(target.file, target.file) != own
    }


SECTIONS = [
    Both(english, *both) for english, chinese in PAIRS for both in zip(read(english), read(chinese))
]  # fmt: skip
side_by_side = pytest.mark.parametrize(
    "both", SECTIONS, ids=[f"{both.page.name}: {both.english.title or 'top'}" for both in SECTIONS]
)
each_pair = pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=NAMES)


def test_there_are_chinese_pages_of_what_is_needed_first() -> None:
    assert {"README.md", "configuration.md", "metrics.md", "troubleshooting.md"} <= set(NAMES)


@each_pair
def test_each_page_links_to_the_other_language_at_its_top(english: Path, chinese: Path) -> None:
    for page, other in ((english, chinese), (chinese, english)):
        top = "\n".join(page.read_text(encoding="utf-8").splitlines()[:5])
        assert other in [target.file for _, target in targets(page, top)]


@each_pair
def test_the_headings_have_the_same_levels_in_the_same_order(english: Path, chinese: Path) -> None:
    pairs = "\n".join(
        f"{'#' * e.level} {e.title}  =  {'#' * c.level} {c.title}" for e, c in zip(read(english), read(chinese))
    )
    assert [section.level for section in read(chinese)] == [section.level for section in read(english)], pairs


@side_by_side
def test_the_blocks_of_a_section_are_the_same_to_the_letter(both: Both) -> None:
    assert both.chinese.blocks == both.english.blocks


@side_by_side
def test_a_section_names_the_same_keys_commands_metrics_and_files(both: Both) -> None:
    assert code(both.chinese.prose) == code(both.english.prose)


@side_by_side
def test_the_tables_of_a_section_have_the_same_rows(both: Both) -> None:
    assert rows(both.chinese.prose) == rows(both.english.prose)


@side_by_side
def test_the_lists_of_a_section_have_the_same_items(both: Both) -> None:
    assert ITEM.findall(both.chinese.prose) == ITEM.findall(both.english.prose)


@side_by_side
def test_every_number_of_a_section_is_in_the_chinese_one(both: Both) -> None:
    """The Chinese may have more of them: it writes in digits what English writes in words."""
    assert numbers(both.english.prose) <= numbers(both.chinese.prose)


@each_pair
def test_the_result_codes_have_the_same_numbers_and_names(english: Path, chinese: Path) -> None:
    found = [RESULT.findall(page.read_text(encoding="utf-8")) for page in (english, chinese)]
    assert found[0] == found[1]
    assert bool(found[0]) == (english.name == "troubleshooting.md")


@side_by_side
def test_a_section_links_to_the_same_files_and_headings(both: Both) -> None:
    chinese = next(page for english, page in PAIRS if english == both.page)
    assert leads_to(chinese, both.chinese.prose) == leads_to(both.page, both.english.prose)


def test_what_is_compared_is_the_code_and_the_cells() -> None:
    _, first, second = sections("# A\n\nSee `b c`\n\n## D\n\n| `e\\|f` | g |\n")
    assert code(first.prose) == {"b c"}
    assert rows(second.prose) == [(4, frozenset({"e\\|f"}))]
