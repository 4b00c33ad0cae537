"""The Datadog Agent's surface: a check over the same collector that the command line runs."""

from __future__ import annotations

import logging
from typing import Any, List, Optional

from datadog_checks.base import AgentCheck, ConfigurationError

from .agent import AgentState, AgentTransport
from .collector import Batch, Collector
from .config import load
from .credentials import Credentials, Provider, provider
from .cycles import forewarn
from .doubtful import doubts
from .errors import ConfigError, MaasError
from .gate import Clock, Gates
from .metadata import metric_name

SLACK = 15.0
"""Seconds, the Agent's own interval: a schedule of exactly `min_collection_interval` must never miss its turn."""

CACHE_ID = "all_instances"
CACHE_KEY = f"maas_usage_check:{CACHE_ID}_state"
"""As the base library would name it, but for its `name` of the instance: one state must serve all of them."""

# Shared on purpose, and locked inside: all instances of the process that use one key must wait for one another.
GATES = Gates(AgentState(CACHE_KEY, logging.getLogger(__name__).warning), Clock())


class MaasUsageCheck(AgentCheck):  # type: ignore[misc] # the base library ships no types
    """Submit what one instance reports as gauges.

    Runs that come sooner than `min_collection_interval` repeat the last attempt whole, its failure included, and
    ask the cloud nothing.

    Args:
        gates: those of the keys; shared by all checks of the process.
        clock: tells the time.
    """

    HA_SUPPORTED = True  # an API is polled from one place

    def __init__(self, *args: Any, gates: Gates = GATES, clock: Optional[Clock] = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gates = gates
        self._clock = clock or Clock()
        self._collector: Optional[Collector] = None
        self._began = 0.0
        self._batch: Optional[Batch] = None
        self._warned: List[str] = []
        self._cancelled = False
        self.check_initializations.append(self._set_up)

    def persistent_cache_id(self) -> str:
        """Stay the same whatever is edited, so that a new tag does not lose a wait after a refusal."""
        return CACHE_ID

    def check(self, _: Any) -> None:
        """Run a cycle, or repeat the last; raise MaasError when nothing was collected, after `api.up 0` went out."""
        collector = self._collector
        assert collector is not None, "the Agent runs the initializations first"
        now = self._clock.monotonic()
        if self._batch is None or now - self._began >= collector.instance.min_collection_interval - SLACK:
            self._began, self._batch, self._warned = now, None, []
            for text in doubts([collector.instance], self._clock.now()):
                self._warned.append(_named_here(text))
            forewarn([collector], self._warned.append)
            self._batch = collector.cycle()
        if not self._cancelled:  # what was cut off because the Agent drops the instance is no failure
            self._submit(self._batch)

    def cancel(self) -> None:
        """End the running cycle: the Agent calls this when it drops the instance."""
        self._cancelled = True
        if self._collector is not None:
            self._collector.cancel()

    def _set_up(self) -> None:
        try:
            instance = load({"init_config": self.init_config, "instances": [self.instance]})[0]
            source = self._scrubbed(provider(instance.credentials))
            collector = Collector(instance, source, AgentTransport(self.http), self._gates, self._clock)
            collector.plan()  # what cannot be planned is a fault of the configuration too
        except ConfigError as error:
            raise ConfigurationError(_named_here(str(error))) from None
        self._collector = collector

    def _scrubbed(self, source: Provider) -> Provider:
        def provide() -> Credentials:
            credentials = source()
            for secret in credentials.secrets():
                self.register_secret(secret)
            return credentials

        return provide

    def _submit(self, batch: Batch) -> None:
        for point in batch.points:
            tags = [f"{key}:{value}" for key, value in point.tags.items()]
            for field, value in point.fields.items():
                self.gauge(metric_name(point.measurement, field), value, tags)
        texts = [problem.text for problem in batch.problems]
        decisive = texts.pop(0) if texts and not batch.collected else None
        for text in [*texts, *self._warned]:
            self.warning(text)
        if decisive is not None:
            raise MaasError(decisive)


def _named_here(text: str) -> str:
    return text.replace("instances[0]", "instance", 1)  # the Agent hands over each on its own
