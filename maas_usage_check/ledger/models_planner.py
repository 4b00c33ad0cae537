"""The planner of Cloud Eye: the list of models, their minutes, and with `hourly` their hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Sequence, Tuple

from ..cloud.cloud_eye import CloudEye
from ..cloud.source import HourSeries
from ..config import Instance
from ..config.ranges import month_window
from ..errors import Problem
from ..state import Store, UnusableError
from .compaction import OldHours, compact, is_due
from .hour_store import HourStore
from .hour_values import DAY, HOURS_KEPT, ZEROS
from .live_minutes import HeldMinutes, LiveMinutes
from .model_list import REMEMBERED_FOR, ListedModel, ListReader, ModelList
from .planner import Account, CycleEnd, PartialBatch, QueryTask, Stored, Texts, state_problem
from .schema import Transaction
from .sweep import ModelSweep
from .watermarks import HOURS, Consumer, is_new, save_watermark

if TYPE_CHECKING:
    from .budgets import Budget

NAMED = 5
"""Names of a long list that a warning shows."""


class ModelsPlanner:
    """Plan the queries about the models of a project in one cycle, and store the answers; see Planner.

    Args:
        source: Cloud Eye.
        instance: whose models.
        store: the state.
        consumer: receives the points.
        now_ms: the cycle's time, milliseconds since 1970.
    """

    texts = Texts(
        "models", "Cloud Eye: ", "some values of models are missing", "Some hours of models were not queried",
        "Hours and counters of models are paused",
    )  # fmt: skip

    def __init__(self, source: CloudEye, instance: Instance, store: Store, consumer: Consumer, now_ms: int) -> None:
        self.source = source
        self.has_hours = instance.hourly
        self._instance = instance
        self._store = store
        self._consumer = consumer
        self._now_ms = now_ms
        self._live: Optional[LiveMinutes] = None  # while no list was read
        self._sweep = self._sweep_of("")
        self._notices: List[str] = []
        self._unknown_models: Dict[str, str] = {}
        self._failure: Optional[UnusableError] = None

    def plan(self, account: Account, answered: bool) -> Sequence[QueryTask]:
        """Plan the list, if it is due, else the queries about its models."""
        self._sweep = self._sweep_of(account.project_id)
        models = self._stored_list()
        if not models.is_due(self._now_ms):
            return list(self._about(models))
        scope = self._sweep.scope
        return [ListReader(self._store, scope, self._now_ms, self._with_new_list, self._with_old_list).task()]

    def finish(self) -> Sequence[str]:
        """Store which minutes the consumer has; return a text for each rejected value."""
        if self._live is None:
            return ()
        if self._consumer.kind == HOURS and self._live.is_answered:
            with self._store.entry(HeldMinutes, self._held_name) as held:
                self._live.update(held)
        return list(dict.fromkeys([*self._live.warnings, *self._sweep.warnings]))

    def is_answered(self, end: CycleEnd) -> bool:
        """Return whether any query about minutes succeeded."""
        return self._live is not None and self._live.is_answered

    def stored(self, transaction: Transaction, account: Account, consumer: Consumer, answered: bool) -> Stored:
        """Read the models of the list, and those of earlier lists."""
        sweep = self._sweep_of(account.project_id)
        models = transaction.get(ModelList, sweep.scope)
        if answered:
            sweep.begin(transaction)
        # A consumer that has a watermark of the project was there before any model that is new to it appeared.
        project = HourStore(transaction, sweep.scope, 0)
        had_cycles = not is_new(project, consumer)
        save_watermark(project, consumer, ZEROS)
        compaction = f"{consumer.name} models"
        compacts = answered and is_due(transaction, compaction)
        since_ms = 0 if compacts else self._now_ms - HOURS_KEPT
        found = list(sweep.hour_stores(transaction, models.with_hours(since_ms)))
        if compacts:
            compact(transaction, compaction, list(map(_old_hours, found)), self._instance.zone)
        first, emitted_since = sweep.first_hour(transaction), self._now_ms - REMEMBERED_FOR
        emitted = [(series, hours, first) for listed, series, hours in found if listed.seen > emitted_since]
        budgets = list(self._budgets(found, models, sweep.began_ms(transaction)))
        return Stored(emitted, counts_all=had_cycles, budgets=budgets)

    def details(self, end: CycleEnd, emitted: bool) -> PartialBatch:
        """Build the points of minutes; report new unknown metrics of the list, and configured models not in it."""
        where = self._instance.display_name
        points = list(self._live.build_points(self._instance, end.tags)) if self._live else []
        unknown = self._unknown_models.items()
        problems = [Problem("W", f"{where}: {text}", f"{where} {config_key}") for config_key, text in unknown]
        if self._failure and emitted and not end.failure:
            problems.append(state_problem(where, "models' state", self.texts.unplanned, self._failure))
        problems += [Problem("W", f"{where}: {text}", "") for text in self._notices]
        answered = {f"{where} prices", f"{where} limits"} if self._live else set()
        return PartialBatch(points, {}, problems, bool(self._failure), answered)

    def _budgets(
        self, found: Sequence[Tuple[ListedModel, HourSeries, HourStore]], models: ModelList, began_ms: int
    ) -> Iterator[Budget]:
        if self._instance.has_budget:
            from .budgets import COST, Member, find_budgets

            month = month_window(self._now_ms, self._instance.zone())
            members = [
                Member(series, hours, models.unused(listed, began_ms))
                for listed, series, hours in found
                if listed.seen > month.start - DAY
            ]
            yield from find_budgets(self._instance, COST, month, members)

    def _with_old_list(self) -> Sequence[QueryTask]:
        models = self._stored_list()
        return list(self._about(models)) if models.is_usable(self._now_ms) else []

    def _with_new_list(self, unknown: Sequence[str]) -> Sequence[QueryTask]:
        if unknown:
            self._notices.append(
                f"Cloud Eye lists {len(unknown)} metrics that have no place here and are left out: {shorten(unknown)}"
            )
        return list(self._about(self._stored_list()))

    def _about(self, models: ModelList) -> Iterator[QueryTask]:
        self._unknown_models = dict(self._find_unknown_models(models))
        held = None
        if self._consumer.kind == HOURS:
            with self._store.entry(HeldMinutes, self._held_name) as held:
                pass
        self._live = LiveMinutes(self.source, models, held, self._now_ms)
        yield from self._live.plan()
        if self.has_hours:
            try:
                yield from self._sweep.plan(models)
            except UnusableError as failure:  # there are minutes all the same
                self._failure = failure

    def _find_unknown_models(self, models: ModelList) -> Iterator[Tuple[str, str]]:
        """Yield the config key, and a warning that names the models of it that no list had."""
        prices, names = self._instance.prices, self._instance.model_names
        known = {each.dimensions.api_id for each in models.models}
        known |= {names[api_id] for api_id in known if api_id in names}
        for path, configured in (("prices.models", prices.models if prices else {}), ("limits", self._instance.limits)):
            unknown = sorted(configured.keys() - known)
            if unknown:
                text = f"Cloud Eye names no model {shorten(unknown)}: check the id, or its name in model_names"
                yield path.partition(".")[0], f"{path}: {text}"

    @property
    def _held_name(self) -> str:
        return f"{self._consumer.name} {self._sweep.scope}"

    def _sweep_of(self, project_id: str) -> ModelSweep:
        return ModelSweep(self.source, self._instance, self._store, project_id, self._now_ms)

    def _stored_list(self) -> ModelList:
        with self._store.entry(ModelList, self._sweep.scope) as models:
            return models


def _old_hours(found: Tuple[ListedModel, HourSeries, HourStore]) -> OldHours:
    _, series, hour_store = found
    # A file without the price waits for a day: another one over the same state may have it.
    kept_ms = HOURS_KEPT if series.prices else HOURS_KEPT + DAY
    return OldHours(hour_store, series.prices, series.currency, kept_ms)


def shorten(names: Sequence[str]) -> str:
    """Write the first names of a list."""
    return ", ".join(sorted(names)[:NAMED]) + (", ..." if len(names) > NAMED else "")
