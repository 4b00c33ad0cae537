"""Any sequence of events, against what must hold whatever the queue does. No thread, no time that passes by itself."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List, Set, Tuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from maas_usage_check.cloud.outcomes import API, EFFECTS, KEY
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Group, Priority, Request
from maas_usage_check.state import Store

from ..fixed_clock import FixedClock
from .account import Account

RATE = 4
RESULTS = [result for result in Result if result != Result.PARTIAL]
MINUTE_S = 60.0


class ProcessStore:
    """A process's view of a state that it shares with others: their locks exclude each other."""

    unreadable = False

    def __init__(self, shared: Store, owners: Dict[str, ProcessStore]) -> None:
        self.entry = shared.entry
        self._owners = owners

    def acquire(self, name: str) -> bool:
        return self._owners.setdefault(name, self) is self

    def release(self, name: str) -> None:
        if self._owners.get(name) is self:
            del self._owners[name]


class Scheduling(RuleBasedStateMachine):
    """Two processes share one access key; each has its queue, its cycles and its requests in flight."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FixedClock()
        shared, owners = Store(), {}
        self.processes = [
            Account(self.clock, ProcessStore(shared, owners), RATE, concurrency=3)  # type: ignore[arg-type]
            for _ in range(2)
        ]
        self.groups: Dict[int, List[Group]] = {0: [], 1: []}
        self.in_flight: Dict[int, List[Request]] = {0: [], 1: []}
        self.sent: List[Tuple[float, bool]] = []
        self.submitted: Counter[str] = Counter()
        self.waiting: List[Dict[str, Request]] = [{}, {}]
        self.cycle_over: Set[str] = set()
        self.numbers = 0
        self.verified = [False, False]
        self.verified_at = [-1e9, -1e9]
        self.probes: List[Request] = []
        self.last_refusal = -1e9
        for process in (0, 1):
            self.open(process, 100.0, extends=False)
            self.submit(process, 0, [Priority.RANGE, Priority.RECENT, Priority.RANGE])

    @rule(process=st.integers(0, 1), seconds=st.sampled_from([1.0, 25.0, 100.0]), extends=st.booleans())
    def open(self, process: int, seconds: float, extends: bool) -> None:
        if not self.groups[process]:
            self.verified[process] = False
        extension = {"extension_s": 61.0, "request_s": 10.0} if extends else {}
        self.groups[process].append(self.processes[process].group(seconds, **extension))

    @rule(
        process=st.integers(0, 1),
        which=st.integers(0, 9),
        priorities=st.lists(st.sampled_from(Priority), min_size=1, max_size=9),
    )
    def submit(self, process: int, which: int, priorities: List[Priority]) -> None:
        account, groups = self.processes[process], self.groups[process]
        if not groups:
            self.open(process, 100.0, extends=False)
        for priority in priorities:
            self.numbers += 1
            name = f"{process} {self.numbers}"
            request = account.request(groups[which % len(groups)], name, priority, self.numbers)
            self.submitted[name] += 1
            self.waiting[process][name] = request
            account.queue.submit([request])

    @rule(process=st.integers(0, 1), count=st.integers(1, 9))
    def send_some(self, process: int, count: int) -> None:
        for _ in range(count):
            self.send(process)

    @rule(process=st.integers(0, 1), count=st.integers(1, 9))
    def answer_some(self, process: int, count: int) -> None:
        """Let requests succeed one after the other, and others go in their place."""
        for _ in range(count):
            self.end(process, 0, Result.OK)
            self.send(process)

    def send(self, process: int) -> None:
        account, now = self.processes[process], self.clock.clock.monotonic()
        before = set(account.key.entry.deferred)
        request = account.next()
        ended = {name for name, _ in account.ended}
        if request is None:
            return
        assert request.group.deadline > now, "sent after its deadline"
        assert self.clock.at >= self.last_refusal + 300, "sent while the key's refusal lasts"
        in_flight = [each for queue in self.in_flight.values() for each in queue]
        probes = [each for each in in_flight if each in self.probes and each.group.deadline > now]
        own = [each for each in self.in_flight[process] if each.group.deadline > now]
        if not (self.verified[process] or self._verified_elsewhere(process)):
            assert not [*own, *probes], "two in flight while the key is not verified"
            self.probes.append(request)
        assert len(own) < 3, "more in flight than there are slots"
        urgency = (request.priority[0], request.query_key not in before)
        for name, other in self.waiting[process].items():
            if name in ended or other is request or other in self.in_flight[process] or other.failure is not None:
                continue
            assert (other.priority[0], name not in before) >= urgency, "a more urgent request could go"
        self.sent.append((self.clock.at, request.priority[0] > Priority.LIVE))
        self.in_flight[process].append(request)
        self.waiting[process].pop(request.query_key, None)

    def _verified_elsewhere(self, process: int) -> bool:
        return self.clock.at - 60 < self.verified_at[1 - process] <= self.clock.at

    @rule(process=st.integers(0, 1), which=st.integers(0, 9), result=st.sampled_from(RESULTS))
    def end(self, process: int, which: int, result: Result) -> None:
        account, in_flight = self.processes[process], self.in_flight[process]
        if not in_flight:
            return
        request = in_flight.pop(which % len(in_flight))
        effect = EFFECTS[result]
        if effect.verifies:
            self.verified[process] = True
            if request in self.probes or self.processes[process].key.entry.refusals:
                self.verified_at[process] = self.clock.at
        elif effect.opens:
            self.verified[process] = False
            self.verified_at = [-1e9, -1e9]
        if effect.opens == KEY:
            self.last_refusal = self.clock.at
        account.end(request, QueryError(result, "x", 30.0 if effect.opens == API else None) if result else result)
        if all(name != request.query_key for name, _ in account.ended) and request.group in self.groups[process]:
            self.waiting[process][request.query_key] = request  # it is tried again

    @rule(process=st.integers(0, 1), which=st.integers(0, 9))
    def close(self, process: int, which: int) -> None:
        groups = self.groups[process]
        if groups:
            group = groups.pop(which % len(groups))
            group.deadline = min(group.deadline, self.clock.clock.monotonic())
            self.processes[process].queue.close(group, {})
            dropped = [name for name, each in self.waiting[process].items() if each.group is group]
            for name in dropped:
                del self.waiting[process][name]
                self.cycle_over.add(name)

    @rule(seconds=st.sampled_from([0.01, 0.5, 4.9, 5.0, 30.0, 61.0, 400.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.at += seconds

    @invariant()
    def rate(self) -> None:
        """Never more than the rate in any minute, among both processes, and never more than half in the background."""
        recent = [(at, background) for at, background in self.sent if at > self.clock.at - MINUTE_S]
        assert len(recent) <= RATE
        assert sum(background for _, background in recent) <= RATE // 2

    @invariant()
    def nothing_twice(self) -> None:
        """A request ends once; in the end all have ended, but for those whose cycle was closed."""
        ended: Counter[Any] = Counter(name for account in self.processes for name, _ in account.ended)
        assert max(ended.values(), default=1) == 1

    def teardown(self) -> None:
        for process, account in enumerate(self.processes):
            for request in self.in_flight[process]:
                account.end(request)
            self.clock.at += 10_000
            account.next()
            ended = {name for name, _ in account.ended}
            mine = {name for name in self.submitted if name.startswith(f"{process} ")}
            assert mine - self.cycle_over == ended - self.cycle_over, "lost"
            assert not any(group.pending for group in self.groups[process])


TestScheduling = Scheduling.TestCase
TestScheduling.settings = settings(max_examples=200)
