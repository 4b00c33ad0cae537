"""Points, the input of every encoder, and tag names that are valid in all formats."""

from __future__ import annotations

import re
from typing import Dict, Union

from msgspec import Struct

Number = Union[int, float]

RESERVED_TAGS = (
    "range", "service_type", "infer_type", "region", "project_id", "api_key_label",
    "maas_api_id", "model", "maas_key_id", "api_key", "currency",
)  # fmt: skip


class Point(Struct, frozen=True):
    """One point: tags and fields of a measurement at a time in nanoseconds since 1970."""

    measurement: str
    tags: Dict[str, str]
    fields: Dict[str, Number]
    time: int


def plain_name(tag: str) -> str:
    """Return a tag's name in characters valid in every format. Two tags with the same result collide in some format."""
    name = re.sub("[^A-Za-z0-9_]", "_", tag)
    # Labels cannot start with a digit; `__` is reserved.
    return f"tag_{name}" if name[:1].isdigit() or name.startswith("__") else name


def check_tag_text(text: str) -> None:
    """Raise ValueError for the key or value of a tag that some format cannot represent: two series could become one."""
    if text.endswith("\\"):
        raise ValueError("a tag's key or value must not end in a backslash: line protocol cannot represent it")
    if re.search("[\0-\x1f\x7f-\x9f]", text):
        raise ValueError("a tag must not contain a control character such as a line break or NUL")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("contains a lone surrogate (half a character), which no agent accepts")
