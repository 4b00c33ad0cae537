"""Write the tables of fields in docs/metrics.md, English and Chinese: `python -m tools.metrics_reference`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, NamedTuple

from maas_usage_check.metrics import CATALOGUE

from .metrics_chinese import DESCRIPTIONS, UNITS

DOCS = Path(__file__).parent.parent / "docs"
TABLE = re.compile(r"(?:^\|.*\n)+(?=\n|\Z)", re.MULTILINE)


class Page(NamedTuple):
    """A page, the header of its tables, and translations of descriptions and units; English needs none."""

    file: Path
    header: str
    descriptions: Dict[str, str]
    units: Dict[str, str]


PAGES = (
    Page(DOCS / "metrics.md", "| field | type | nature | unit | meaning |", {}, {}),
    Page(DOCS / "zh-CN" / "metrics.md", "| 字段 | 类型 | 性质 | 单位 | 含义 |", DESCRIPTIONS, UNITS),
)


def text(page: Page) -> str:
    """Return the text of a page, with the table of each measurement replaced from the catalogue."""
    before, *sections = page.file.read_text(encoding="utf-8").split("\n## ")
    return "\n## ".join([before, *(_section(page, section) for section in sections)])


def _section(page: Page, section: str) -> str:
    title = section.partition("\n")[0]
    if title not in CATALOGUE:
        return section
    return TABLE.sub(lambda table: _table(page, title) if table[0].startswith(page.header) else table[0], section)


def _table(page: Page, measurement: str) -> str:
    lines = [page.header, "|---|---|---|---|---|"]
    for field in CATALOGUE[measurement]:
        meaning = page.descriptions[field.description] if page.descriptions else field.description
        unit = page.units.get(field.unit or "", field.unit) or "-"
        lines.append(f"| `{field.name}` | {field.kind.__name__} | {field.nature} | {unit} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for each in PAGES:
        each.file.write_text(text(each), encoding="utf-8")
