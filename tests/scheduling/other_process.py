"""Another process that uses the same access key: it does what its standard input says, line by line, and answers."""

from __future__ import annotations

import sys
import time
from typing import List, Optional

from maas_usage_check.errors import Result
from maas_usage_check.scheduling import Group, Priority, Request
from maas_usage_check.state import Store

from ..fixed_clock import FixedClock
from .account import Account


class Commands:
    """Each method is a command; what it returns is the answer."""

    def __init__(self, path: str, now: float, rate: int) -> None:
        self.clock = FixedClock(now)
        self.account = Account(self.clock, Store(lambda: path, sys.exit, self.clock.now), rate)
        self.group: Optional[Group] = None
        self.in_flight: List[Request] = []

    def begin(self, seconds: str) -> None:
        self.group = self.account.group(float(seconds), retries_s=())

    def submit(self, count: str, priority: str = "RANGE") -> None:
        assert self.group
        self.account.submit(self.group, *map(str, range(int(count))), priority=Priority[priority])

    def next(self) -> bool:
        """Send a request if one goes now; it stays in flight."""
        request = self.account.next()
        self.in_flight += [request] if request else []
        return request is not None

    def end(self, result: str) -> None:
        """End the request that was sent first."""
        self.account.end(self.in_flight.pop(0), Result[result])

    def send(self) -> int:
        """Send all requests that find room, one after the other, and return how many did."""
        assert self.group
        sent = 0
        while self.group.pending:
            if self.account.send() is not None:
                sent += 1
            elif self.group.pending:
                time.sleep(0.001)  # another process has the probe
        return sent

    def errors(self) -> List[str]:
        return [result.name for result in self.account.errors()]

    def close(self) -> None:
        assert self.group
        self.account.queue.close(self.group, {})

    def forward(self, seconds: str) -> None:
        """Let time go on."""
        self.clock.at += float(seconds)

    def set(self, seconds: str) -> None:
        """Set the wall clock, as by hand."""
        self.clock.set_by(float(seconds))


def main() -> None:
    commands = Commands(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
    for line in sys.stdin:
        command, *arguments = line.split()
        print(repr(getattr(commands, command)(*arguments)), flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
