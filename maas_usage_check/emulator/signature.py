"""Verification of the signature SDK-HMAC-SHA256, computed from the received request."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from calendar import timegm
from typing import List, Mapping, NamedTuple, Optional
from urllib.parse import parse_qsl, quote, unquote, urlsplit

AUTHORIZATION = re.compile(r"SDK-HMAC-SHA256 Access=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})")
CLOCK_TOLERANCE_S = 15 * 60


class Authorization(NamedTuple):
    """The parts of the Authorization header."""

    access_key: str
    signed_headers: List[str]
    signature: str


def parse_authorization(headers: Mapping[str, str]) -> Optional[Authorization]:
    """Parse the Authorization header; None if the request is not signed."""
    found = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    return Authorization(found[1], found[2].split(";"), found[3]) if found else None


def signature_error(
    authorization: Authorization, secret_key: str, canonical: str, headers: Mapping[str, str], now_s: float
) -> Optional[str]:
    """Return the cloud's error text for a signature; None if it is valid."""
    date = headers.get("x-sdk-date", "")
    try:
        signed_s = timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        signed_s = 0
    if abs(now_s - signed_s) > CLOCK_TOLERANCE_S:
        server = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        return f"calc aksk signature fail:signature expired, signature time:{date},server time:{server}"
    text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    expected = hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
    has_required_headers = {"host", "x-sdk-date"} <= set(authorization.signed_headers)
    if not has_required_headers or not hmac.compare_digest(expected, authorization.signature):
        # The real cloud echoes the request too: whoever logs it leaks the access key.
        return f"verify ak sk signature fail, canonicalRequest:{canonical}, Access={authorization.access_key}"
    return None


def canonical_request(
    method: str, target: str, signed_headers: List[str], headers: Mapping[str, str], body: bytes
) -> str:
    """Return the canonical form of a request, which is hashed and signed."""
    parts = urlsplit(target)
    path = "/".join(quote(unquote(part), safe="~") for part in parts.path.split("/"))
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    return "\n".join(
        [
            method,
            path if path.endswith("/") else path + "/",
            "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in query),
            *(f"{name}:{headers.get(name, '').strip()}" for name in signed_headers),
            "",
            ";".join(signed_headers),
            hashlib.sha256(body).hexdigest(),
        ]
    )
