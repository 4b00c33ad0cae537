"""An entry of the state, and another process that uses it: `FILE count TIMES`, or `FILE take NAME...`."""

from __future__ import annotations

import os
import sys
from typing import Callable, ClassVar

from msgspec import Struct

from maas_usage_check.store import Store, database


class Tally(Struct):
    """An entry as a room of the plugin has them."""

    kept_for: ClassVar[float] = 100.0

    count: int = 0

    def joined(self, kept: Tally) -> Tally:
        return Tally(self.count + kept.count)


def at(path: object, warn: Callable[[str], object], now: float = 0.0) -> Store:
    return Store(lambda: str(path), warn, lambda: now)


def count(store: Store, name: str = "a", durable: bool = False) -> int:
    with store.entry(Tally, name, durable) as tally:
        tally.count += 1
    return tally.count


def main(path: str, command: str, *arguments: str) -> None:
    database.PATIENCE = 60.0
    store = at(path, sys.exit)
    count(store, command)
    if command == "count":
        for _ in range(int(arguments[0])):
            count(store)
    else:
        sys.stdout.write(" ".join(str(store.take(name)) for name in arguments))
        sys.stdout.flush()
        os._exit(0)  # with its locks


if __name__ == "__main__":
    main(*sys.argv[1:])
