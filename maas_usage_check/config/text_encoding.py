"""Decode the text files that people write, and name the encoding of those that are not UTF-8."""

from __future__ import annotations

import codecs


def decode_text(content: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark; raise ValueError with the likely encoding and the remedy.

    UTF-16 is refused although YAML allows it: every file of ours has the same encoding.
    """
    zeros = max(content[::2].count(0), content[1::2].count(0))
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or zeros > len(content) // 4:
        raise ValueError("UTF-16, not UTF-8; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text, perhaps GBK; save it as UTF-8") from None
