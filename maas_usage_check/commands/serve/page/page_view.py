"""What a URL of the page asks for: period, groups, instance and language, and the links to the other choices."""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple, Sequence, Tuple
from urllib.parse import urlencode

PERIODS = ("today", "7d", "this_month", "last_month")
GROUPS = ("team", "key", "model", "service")
LANGUAGES = ("en", "zh")
DEFAULT_PERIOD = "7d"
MONTH = re.compile("20[0-9]{2}-(0[1-9]|1[0-2])")


class PageView(NamedTuple):
    """One view of the page.

    Attributes:
        period: one of PERIODS, or a month such as `2026-10`.
        by: one of GROUPS; empty for teams or keys, and models.
        instance: its number in the file, 1 first.
        language: one of LANGUAGES.
        in_url: the parameters that the URL has, which links keep.
        is_file: it is a file of `report`, which has no links.
    """

    period: str = DEFAULT_PERIOD
    by: str = ""
    instance: int = 1
    language: str = "en"
    in_url: Mapping[str, str] = {}
    is_file: bool = False

    @property
    def key(self) -> Tuple[Any, ...]:
        """Return all that the page depends on."""
        return (*self[:4], tuple(sorted(self.in_url.items())))

    def link(self, path: str = "", **changes: str) -> str:
        """Return a relative link with some parameters changed; an empty one is left out."""
        found = {**self.in_url, **changes}
        return f"{path}?{urlencode({name: value for name, value in found.items() if value})}"


def read_page_view(parameters: Mapping[str, Sequence[str]], accept_language: str, instances: int) -> PageView:
    """Read the view; raise ValueError, whose text is for people, for a wrong parameter. Others are ignored."""
    given = {name: parameters[name][-1] for name in ("period", "by", "instance", "lang") if parameters.get(name)}
    period, by = given.get("period", DEFAULT_PERIOD), given.get("by", "")
    if period not in PERIODS and not MONTH.fullmatch(period):
        raise ValueError(f"period: must be {', '.join(PERIODS)} or a month such as 2026-10")
    if by and by not in GROUPS:
        raise ValueError(f"by: must be {', '.join(GROUPS[:-1])} or {GROUPS[-1]}")
    number = given.get("instance", "1")
    if not re.fullmatch("[0-9]{1,6}", number) or not 1 <= int(number) <= instances:
        raise ValueError(f"instance: must be a number from 1 to {instances}, its place in the configuration")
    language = given.get("lang") or preferred_language(accept_language)
    if language not in LANGUAGES:
        raise ValueError(f"lang: must be {' or '.join(LANGUAGES)}")
    return PageView(period, by, int(number), language, given)


def preferred_language(accept_language: str) -> str:
    """Return the language that a browser prefers, English if it wants neither."""
    preferred, best = "en", 0.0
    for choice in accept_language.split(","):
        name, _, quality = choice.partition(";")
        language = name.strip().lower().split("-")[0]
        match = re.fullmatch(r"\s*q=([0-9.]{1,5})\s*", quality or "q=1")
        try:
            weight = float(match[1]) if match else 0.0
        except ValueError:
            weight = 0.0
        if language in LANGUAGES and weight > best:
            preferred, best = language, weight
    return preferred
