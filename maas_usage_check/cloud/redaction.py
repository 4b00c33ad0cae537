"""Blank secrets in the texts of the cloud that are shown."""

from __future__ import annotations

import base64
import functools
import json
import re
from typing import Callable, FrozenSet, Iterable, Iterator, Tuple
from urllib.parse import quote, quote_plus

MIN_BASE64_LENGTH = 6
"""Shorter base64 could match by chance."""

JSON_ESCAPE = r"\\u00([2-7][0-9a-fA-F])"
"""An ASCII character as a JSON escape."""

Redact = Callable[[str], str]


def redactor(secrets: Iterable[str]) -> Redact:
    """Return a function that blanks secrets, in every encoding in which a server may echo them."""
    forms = _all_forms(tuple(secrets))

    def redact(text: str) -> str:
        lower = text.lower()  # %2B may be written %2b
        found = [form for form in forms if form in lower]
        if not found:  # nearly always; compiling the pattern of a long token would take as long as the request
            return text
        # Longest first, so no part of a longer form remains.
        pattern = "|".join(re.escape(form) for form in sorted(found, key=len, reverse=True))
        return re.sub(pattern, "***", text, flags=re.IGNORECASE)

    return redact


def redact_body(body: bytes, redact: Redact) -> bytes:
    """Blank secrets in a JSON body, also where characters are escaped by number."""
    text = body.decode("utf-8", "surrogateescape")
    if "\\u00" in text:
        text = re.sub(JSON_ESCAPE, lambda match: json.dumps(chr(int(match[1], 16)))[1:-1], text)
    return redact(text).encode("utf-8", "surrogateescape")


@functools.lru_cache(maxsize=8)  # the instances of one access key need the same
def _all_forms(secrets: Tuple[str, ...]) -> FrozenSet[str]:
    return frozenset(form.lower() for secret in secrets if secret for form in _forms(secret))


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret), quote_plus(secret, safe="/"))
    escaped = json.dumps(secret)[1:-1]
    yield from (escaped, escaped.replace("/", "\\/"), secret.encode().hex())
    # Base64 depends on the offset: try all three, without the edge letters that mix in other bytes.
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[shift] :][: -1 if (len(secret) + shift) % 3 else None]
        if len(inner) >= MIN_BASE64_LENGTH:
            yield from (inner, inner.translate(str.maketrans("+/", "-_")))
