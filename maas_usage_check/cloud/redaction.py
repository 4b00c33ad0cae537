"""Secrets are blanked in whatever is shown of the cloud's own texts."""

from __future__ import annotations

import re
from typing import Callable, Iterable, Iterator

SHORTEST_CODED = 6
"""Letters of base64 that can hardly be anything else by chance."""

Redact = Callable[[str], str]


def redactor(secrets: Iterable[str]) -> Redact:
    """Make the function that blanks what must not be shown, in the forms in which a server may echo it."""
    forms = {form for secret in secrets for form in _forms(secret)}
    # The longest first, so that no part of one stays behind; %2B may be written %2b.
    pattern = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)) or "(?!)"
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text: compiled.sub("***", text)


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
