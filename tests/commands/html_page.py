"""A page as a browser reads it: its tags, texts and tables."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Dict, Iterator, List, Optional, Tuple

from maas_usage_check.commands.serve.page.content import PageContent
from maas_usage_check.commands.serve.page.render import render

DAYS, LIVE = "Exact numbers per day", "Each model in its newest complete minute"
HEAT = "Tokens in each hour, by day; point at an hour for its number"
COMPARED = "The same days and hours of both months"
"""Captions of the tables in English."""
DASH = "\N{EN DASH}"
VOID = {"meta", "rect", "line", "circle"}
Attributes = Dict[str, Optional[str]]


class HtmlPage(HTMLParser):
    """The parsed page.

    Attributes:
        tags: each with its attributes.
        texts: without the style, spaces as one.
        tables: the rows of cells of each, by its caption.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: List[Tuple[str, Attributes]] = []
        self.style = ""
        self.tables: Dict[str, List[List[str]]] = {}
        self._texts: List[str] = []
        self._inside = ""
        self._caption = ""
        self._rows: List[List[str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._inside = tag
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.tables[self._caption] = [[" ".join(cell.split()) for cell in row] for row in self._rows]
        self._inside = "" if tag in ("caption", "style", "table") else self._inside

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.style += data
            return
        self._texts.append(data)
        if self._inside == "caption":
            self._caption += data
        elif self._rows and self._rows[-1]:
            self._rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def attributes(self, tag: str, name: str) -> List[str]:
        """List the values of an attribute."""
        return [attributes[name] or "" for each, attributes in self.tags if each == tag and name in attributes]

    def having(self, tag: str, class_name: str) -> Iterator[Attributes]:
        """Yield the attributes of the tags of a class."""
        return (
            attributes
            for each, attributes in self.tags
            if each == tag and class_name in (attributes.get("class") or "").split()
        )


def show(content: PageContent) -> HtmlPage:
    """Render a page, and read it."""
    return HtmlPage(render(content))
