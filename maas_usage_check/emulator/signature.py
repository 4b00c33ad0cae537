"""The signature SDK-HMAC-SHA256, worked out anew from what came over the wire."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from calendar import timegm
from typing import List, Mapping, Optional, Tuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

AUTHORIZATION = re.compile(r"SDK-HMAC-SHA256 Access=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})")
CLOCK_TOLERANCE = 15 * 60


def given(headers: Mapping[str, str]) -> Optional[Tuple[str, List[str], str]]:
    """Take the access key, the names of the signed headers and the signature out of a request, if it has one."""
    found = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    return (found[1], found[2].split(";"), found[3]) if found else None


def why_wrong(
    signature: Tuple[str, List[str], str], secret: str, canonical: str, headers: Mapping[str, str], now: float
) -> Optional[str]:
    """Say what is wrong with a signature, as the cloud does; None if it is right."""
    ak, names, hexdigest = signature
    date = headers.get("x-sdk-date", "")
    try:
        sent = timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        sent = 0
    if abs(now - sent) > CLOCK_TOLERANCE:
        server = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        return f"calc aksk signature fail:signature expired, signature time:{date},server time:{server}"
    text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    expected = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    if not {"host", "x-sdk-date"} <= set(names) or not hmac.compare_digest(expected, hexdigest):
        # The real one echoes the request too: whoever logs it leaks the key.
        return f"verify ak sk signature fail, canonicalRequest:{canonical}, Access={ak}"
    return None


def canonical_request(method: str, target: str, names: List[str], headers: Mapping[str, str], body: bytes) -> str:
    """Write a request in the form that is hashed and signed."""
    parts = urlsplit(target)
    path = "/".join(quote(unquote(part), safe="~") for part in parts.path.split("/"))
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    return "\n".join(
        [
            method,
            path if path.endswith("/") else path + "/",
            "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in query),
            *(f"{name}:{headers.get(name, '').strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
