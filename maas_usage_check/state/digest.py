"""Digests that name secrets in the state, under its random salt."""

from __future__ import annotations

import hashlib
import os

from msgspec import Struct

from .store import Store


class Salt(Struct, omit_defaults=True):
    """The random salt of the digests."""

    value: str = ""


def digest(store: Store, secret: str) -> str:
    """Name a secret by a digest of it."""
    # Not durable: a refusal that is durable writes all that came before it.
    with store.entry(Salt, "") as salt:
        salt.value = salt.value or os.urandom(16).hex()
    return hashlib.blake2b(secret.encode(), key=salt.value.encode()[:64], digest_size=16).hexdigest()
