"""The Datadog Agent's check, built on the collector of the command line."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any, Dict, List, Optional, Tuple

from datadog_checks.base import AgentCheck, ConfigurationError
from datadog_checks.base.utils.http import RequestsWrapper

from ..clock import Clock
from ..cloud import Credentials, Provider, provider
from ..collection import Batch, Collector, run_cycle
from ..collection.preflight import run_preflight
from ..config import load, load_warnings, with_defaults
from ..errors import ConfigError, MaasError
from ..ledger import INCREMENTS, Consumer
from ..metrics.datadog import samples
from ..metrics.points import fresh_points
from ..scheduling import WINDOW_S, Schedulers
from ..state import Store, find_file
from .agent_transport import AgentTransport

try:
    import datadog_agent  # the Agent builds it in
except ImportError:
    from datadog_checks.base.stubs import datadog_agent

SLACK = 15.0
"""Seconds: a run may be early by the Agent's own interval and still collects."""

# Shared by all instances of the process that use the same access key.
_SCHEDULERS: Dict[Tuple[Optional[str], str], Schedulers] = {}
_SCHEDULERS_LOCK = threading.Lock()


def shared_schedulers(state_dir: Optional[str]) -> Schedulers:
    """Find the schedulers over the store of a folder, or over the one in the Agent's own."""
    where = (state_dir, str(datadog_agent.get_config("run_path") or ""))
    with _SCHEDULERS_LOCK:
        if where not in _SCHEDULERS:
            find = partial(find_file, state_dir, agent_folder=where[1])
            _SCHEDULERS[where] = Schedulers(Store(find, logging.getLogger(__name__).warning), Clock())
        return _SCHEDULERS[where]


class MaasUsageCheck(AgentCheck):  # type: ignore[misc] # the base library ships no types
    """Submit the points of one instance.

    A run before `min_collection_interval` has passed repeats the last result, also a failure, without a query.

    Args:
        schedulers: of the access keys; by default those that all checks of the process share.
        clock: the clock.
    """

    HA_SUPPORTED = True  # of redundant Agents only the active one queries the API

    def __init__(
        self, *args: Any, schedulers: Optional[Schedulers] = None, clock: Optional[Clock] = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._schedulers = schedulers
        self._clock = clock or Clock()
        self._collector: Optional[Collector] = None
        self._last_start_s = 0.0
        self._batch: Optional[Batch] = None
        self._cycle_warnings: List[str] = []
        self._cancelled = False
        self.check_initializations.append(self._set_up)

    def check(self, _: Any) -> None:
        """Run a cycle, or repeat the last result. If nothing was collected, submit `api.up 0` and raise MaasError."""
        collector = self._collector
        assert collector is not None, "the Agent runs the initializations first"
        now = self._clock.monotonic()
        due = self._batch is None or now - self._last_start_s >= collector.instance.min_collection_interval - SLACK
        if due:
            self._last_start_s, self._batch, self._cycle_warnings = now, None, []
            for text in load_warnings([collector.instance], self._clock.now()):
                self._cycle_warnings.append(_agent_path(text))
            run_preflight([collector], self._cycle_warnings.append)
            (self._batch,) = run_cycle([collector])
        assert self._batch is not None
        if not self._cancelled:  # a cancelled cycle is not a failure
            self._submit(self._batch, repeated=not due)

    def cancel(self) -> None:
        """Cancel the running cycle: the Agent calls this when it removes the instance."""
        self._cancelled = True
        if self._collector is not None:
            self._collector.cancel()

    def _set_up(self) -> None:
        try:
            instance = load({"init_config": self.init_config, "instances": [self.instance]})[0]
            source = self._registering_secrets(provider(instance.credentials))
            schedulers = self._schedulers or shared_schedulers(instance.state_dir)
            consumer = Consumer(f"agent {self.check_id} {instance.display_name}", INCREMENTS)
            transport = AgentTransport(self._make_client, instance, schedulers.proxy_guard)
            collector = Collector(
                instance, source, transport, schedulers, self._clock, consumer=consumer, rate_extension_s=WINDOW_S
            )
            collector.plan()  # raises ConfigError
        except ConfigError as error:
            raise ConfigurationError(_agent_path(str(error))) from None
        self._collector = collector

    def _make_client(self) -> RequestsWrapper:
        options = with_defaults(self.instance or {}, self.init_config)  # the Agent takes only some from init_config
        return RequestsWrapper(options, self.init_config, self.HTTP_CONFIG_REMAPPER, self.log)

    def _registering_secrets(self, source: Provider) -> Provider:
        """Wrap a provider so that the Agent removes its secrets from logs."""

        def provide() -> Credentials:
            credentials = source()
            for secret in credentials.secrets():
                self.register_secret(secret)
            return credentials

        return provide

    def _submit(self, batch: Batch, repeated: bool) -> None:
        # Points of a repeated batch may have expired.
        for sample in samples(fresh_points(batch.points, self._clock.now()), repeated):
            getattr(self, sample.nature)(sample.name, sample.value, sample.tags)
        texts = [problem.text for problem in batch.problems if problem.level != "I"]
        if not repeated:
            for problem in batch.problems:
                if problem.level == "I":
                    self.log.info("%s", problem.text)
        failure = texts.pop(0) if texts and not batch.collected else None
        for text in [*texts, *self._cycle_warnings]:
            self.warning(text)
        if failure is not None:
            raise MaasError(failure)


def _agent_path(text: str) -> str:
    return text.replace("instances[0]", "instance", 1)  # the Agent passes each instance separately
