"""The Datadog Agent's surface: a check over the same collector that the command line runs."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any, Dict, List, Optional, Tuple

from datadog_checks.base import AgentCheck, ConfigurationError
from datadog_checks.base.utils.http import RequestsWrapper

from ..clock import Clock
from ..cloud import Credentials, Provider, provider
from ..collection import Batch, Collector, forewarn
from ..config import load, load_warnings
from ..errors import ConfigError, MaasError
from ..ledger import INCREMENTS, Consumer
from ..metrics.datadog import samples
from ..metrics.freshness import fresh_points
from ..scheduling import Gates
from ..state import Store, find_file
from .transport import AgentTransport

try:
    import datadog_agent  # the Agent builds it in
except ImportError:
    from datadog_checks.base.stubs import datadog_agent

SLACK = 15.0
"""Seconds, the Agent's own interval: a schedule of exactly `min_collection_interval` must never miss its turn."""

# Shared on purpose: all instances of the process that use one key must wait for one another.
_GATES: Dict[Tuple[Optional[str], str], Gates] = {}
_GATES_LOCK = threading.Lock()


def shared_gates(state_dir: Optional[str]) -> Gates:
    """Find the gates over the store of a folder, or over the one in the Agent's own."""
    where = (state_dir, str(datadog_agent.get_config("run_path") or ""))
    with _GATES_LOCK:
        if where not in _GATES:
            find = partial(find_file, state_dir, agent_folder=where[1])
            _GATES[where] = Gates(Store(find, logging.getLogger(__name__).warning), Clock())
        return _GATES[where]


class MaasUsageCheck(AgentCheck):  # type: ignore[misc] # the base library ships no types
    """Submit what one instance reports.

    Runs that come sooner than `min_collection_interval` repeat the last attempt whole, its failure included, and
    ask the cloud nothing.

    Args:
        gates: those of the keys; shared by all checks of the process where none are given.
        clock: tells the time.
    """

    HA_SUPPORTED = True  # an API is polled from one place

    def __init__(self, *args: Any, gates: Optional[Gates] = None, clock: Optional[Clock] = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gates = gates
        self._clock = clock or Clock()
        self._collector: Optional[Collector] = None
        self._began = 0.0
        self._batch: Optional[Batch] = None
        self._warned: List[str] = []
        self._cancelled = False
        self.check_initializations.append(self._set_up)

    def check(self, _: Any) -> None:
        """Run a cycle, or repeat the last; raise MaasError when nothing was collected, after `api.up 0` went out."""
        collector = self._collector
        assert collector is not None, "the Agent runs the initializations first"
        now = self._clock.monotonic()
        due = self._batch is None or now - self._began >= collector.instance.min_collection_interval - SLACK
        if due:
            self._began, self._batch, self._warned = now, None, []
            for text in load_warnings([collector.instance], self._clock.now()):
                self._warned.append(_named_here(text))
            forewarn([collector], self._warned.append)
            self._batch = collector.cycle()
        assert self._batch is not None
        if not self._cancelled:  # what was cut off because the Agent drops the instance is no failure
            self._submit(self._batch, repeated=not due)

    def cancel(self) -> None:
        """End the running cycle: the Agent calls this when it drops the instance."""
        self._cancelled = True
        if self._collector is not None:
            self._collector.cancel()

    def _set_up(self) -> None:
        try:
            instance = load({"init_config": self.init_config, "instances": [self.instance]})[0]
            source = self._scrubbed(provider(instance.credentials))
            gates = self._gates or shared_gates(instance.state_dir)
            consumer = Consumer(f"agent {self.check_id} {instance.display_name}", INCREMENTS)
            transport = AgentTransport(self.http, self._make_client, instance.tls_ca_cert)
            collector = Collector(instance, source, transport, gates, self._clock, consumer=consumer)
            collector.plan()  # what cannot be planned is a fault of the configuration too
        except ConfigError as error:
            raise ConfigurationError(_named_here(str(error))) from None
        self._collector = collector

    def _make_client(self) -> RequestsWrapper:
        return RequestsWrapper(self.instance or {}, self.init_config, self.HTTP_CONFIG_REMAPPER, self.log)

    def _scrubbed(self, source: Provider) -> Provider:
        def provide() -> Credentials:
            credentials = source()
            for secret in credentials.secrets():
                self.register_secret(secret)
            return credentials

        return provide

    def _submit(self, batch: Batch, repeated: bool) -> None:
        # What was submitted before may have grown too old meanwhile to be shown as now.
        for sample in samples(fresh_points(batch.points, self._clock.now()), repeated):
            getattr(self, sample.nature)(sample.name, sample.value, sample.tags)
        texts = [problem.text for problem in batch.problems if problem.level != "I"]
        if not repeated:
            for problem in batch.problems:
                if problem.level == "I":
                    self.log.info("%s", problem.text)
        decisive = texts.pop(0) if texts and not batch.collected else None
        for text in [*texts, *self._warned]:
            self.warning(text)
        if decisive is not None:
            raise MaasError(decisive)


def _named_here(text: str) -> str:
    return text.replace("instances[0]", "instance", 1)  # the Agent hands over each on its own
