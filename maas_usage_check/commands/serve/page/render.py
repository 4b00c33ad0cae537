"""Render a page: one HTML text with its style, without a script, an image, or a link to another host."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined

from ....version import __version__
from .budget_bars import draw_budgets
from .chinese import CHINESE
from .columns import draw_columns
from .content import PageContent
from .english import ENGLISH
from .formats import Formats, cut_name
from .hour_cells import draw_hours
from .missing_hours import missing_hours
from .page_view import GROUPS, LANGUAGES, PERIODS
from .rows import group_tables, live_rows, month_rows, total_day_cost

FOLDER = Path(__file__).parent / "templates"
TEXTS = {"en": ENGLISH, "zh": CHINESE}
MAX_PROBLEMS = 8
FIRST_BUDGETS = 6
"""So many fit on the first screen; the others are folded."""


def render(content: PageContent) -> str:
    """Return the HTML of a page."""
    view, texts = content.view, TEXTS[content.view.language]
    formats = Formats(view.language, content.currency, content.tz, content.now_ms)
    live, has_limits = live_rows(content)
    return _environment().get_template("page.html").render(
        page=content,
        view=view,
        t=texts,
        f=formats,
        policy=_policy(),
        version=__version__,
        periods=PERIODS,
        groupings=[each for each in GROUPS if each in content.groupings],
        languages=LANGUAGES,
        instance=cut_name(content.instances[view.instance - 1]),
        budgets=draw_budgets(content, formats),
        first_budgets=FIRST_BUDGETS,
        max_problems=MAX_PROBLEMS,
        chart=draw_columns(content, formats),
        heat=draw_hours(content, formats),
        group_tables=list(group_tables(content)),
        live=live,
        has_limits=has_limits,
        month_rows=list(month_rows(content, formats)),
        day_cost=total_day_cost(content),
        cut_name=cut_name,
        missing_hours=lambda line: missing_hours(line, content.now_ms),
    )  # fmt: skip


def compile_templates() -> None:
    """Compile the templates, which takes longer than a page."""
    for path in FOLDER.glob("*.html"):
        _environment().get_template(path.name)


def content_security_policy() -> str:
    """Return the policy of the page's header: nothing but its own style."""
    return f"{_policy()}; frame-ancestors 'none'"


@lru_cache(maxsize=None)
def _policy() -> str:
    """Return what a policy in the document may say too."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@lru_cache(maxsize=None)
def _style() -> str:
    """Return the style without the spaces that its syntax does not need."""
    return re.sub(r"\s*([{};,])\s*|(?<=:)\s+", r"\1", _read("style.css"))


@lru_cache(maxsize=None)
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_load),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _load(name: str) -> str:
    return _style() if name == "style.css" else _read(name)


def _read(name: str) -> str:
    """Read a template without its indentation."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    return "\n".join(line.strip() for line in text.splitlines())
