"""The gates of all keys over one store."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Dict

from ..clock import Clock
from ..cloud.credentials import Credentials
from ..state import Store
from .gate import Gate
from .key_state import Salt


class Gates:
    """Hand out the one gate of each key."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._gates: Dict[str, Gate] = {}

    def of(self, credentials: Credentials) -> Gate:
        """Find the gate of a key, by a digest of it under the store's random salt."""
        # Not durable: a refusal that is, is on the disk with all that was written before it.
        with self.store.entry(Salt, "") as salt:
            salt.value = salt.value or os.urandom(16).hex()
        named = "\0".join((credentials.ak, credentials.sk)).encode()
        name = hashlib.blake2b(named, key=salt.value.encode()[:64], digest_size=16).hexdigest()
        with self._lock:
            return self._gates.setdefault(name, Gate(name, self.store, self._clock))
