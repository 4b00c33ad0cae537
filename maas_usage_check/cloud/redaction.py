"""Secrets are blanked in whatever is shown of the cloud's own texts."""

from __future__ import annotations

import re
from typing import Callable, Iterable, Iterator

SHORTEST_CODED = 6
"""Letters of base64 that can hardly be anything else by chance."""

NUMBERED = re.compile(r"\\u00([2-7][0-9a-f])", re.IGNORECASE)
"""A letter of ASCII, as JSON may write any."""

Redact = Callable[[str], str]


def redactor(secrets: Iterable[str]) -> Redact:
    """Make the function that blanks what must not be shown, in the forms in which a server may echo it."""
    forms = {form.lower() for secret in secrets if secret for form in _forms(secret)}

    def redact(text: str) -> str:
        lower = text.lower()  # %2B may be written %2b
        found = [form for form in forms if form in lower]
        if not found:  # as good as always: to compile a long token would take as long as the question
            return text
        # The longest first, so that no part of one stays behind.
        pattern = "|".join(re.escape(form) for form in sorted(found, key=len, reverse=True))
        return re.sub(pattern, "***", text, flags=re.IGNORECASE)

    return redact


def redact_body(body: bytes, redact: Redact) -> bytes:
    """Blank secrets in an answer of JSON, where a letter may be written by its number too."""
    text = body.decode("utf-8", "surrogateescape")
    if "\\u00" in text:
        import json

        text = NUMBERED.sub(lambda found: json.dumps(chr(int(found[1], 16)))[1:-1], text)
    return redact(text).encode("utf-8", "surrogateescape")


def _forms(secret: str) -> Iterator[str]:
    import base64
    import json
    from urllib.parse import quote, quote_plus

    yield secret
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret), quote_plus(secret, safe="/"))
    escaped = json.dumps(secret)[1:-1]
    yield from (escaped, escaped.replace("/", "\\/"), secret.encode().hex())
    # Base64 depends on the offset: try all three, without the edge letters that mix in other bytes.
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        inner = coded[(0, 2, 3)[shift] :][: -1 if (len(secret) + shift) % 3 else None]
        if len(inner) >= SHORTEST_CODED:
            yield from (inner, inner.translate(str.maketrans("+/", "-_")))
