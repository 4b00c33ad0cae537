"""Another process, in the middle of a cycle of the same key: it does what its standard input says, word by word."""

from __future__ import annotations

import sys

from maas_usage_check.clock import Clock
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Gate
from maas_usage_check.state import Store


def main() -> None:
    path, now = sys.argv[1], float(sys.argv[2])
    cycle = Gate("key", Store(lambda: path, sys.exit), Clock(lambda: now, lambda: 0.0)).begin()
    ticket = 0
    for word in map(str.strip, sys.stdin):
        if word == "ask":
            ticket = cycle.admit(100, 20.0)
        elif word == "end":
            cycle.end({})
        else:
            cycle.settle(ticket, QueryError(Result[word], "x") if word != "OK" else None)
        print("done", flush=True)  # noqa: T201 (read by the test)


if __name__ == "__main__":
    main()
