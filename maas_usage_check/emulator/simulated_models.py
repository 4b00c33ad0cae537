"""Cloud Eye's view of the simulated account: each model and API key by the minute, and when that is available."""

from __future__ import annotations

import functools
import uuid
from collections import defaultdict
from typing import Callable, DefaultDict, Dict, Iterator, List, Mapping, Optional, Tuple

from .callers import MINUTE, Caller, Callers, Minute, hour_usage, minute_of
from .traffic import API_KEYS, DAY, HOUR, STEADY, Ms, Restatement, Traffic, Usage, factor_at, noise, sum_usage

RETENTION = 30 * DAY
DELAY, MAX_DELAY = MINUTE, 12 * MINUTE
"""From a minute's end until it is available."""
LATE_ONE_IN = 8
"""One minute in so many is late."""
WEIGHTS = (10, 5, 3)
"""Shares of the first, second and third model; the fourth has the share of the first, and so on."""
LABELS = [label for label in API_KEYS if label]
"""Of the keys, in turn. Calls from the online experience have no key."""
Series = Tuple[str, Optional[str]]
"""A model, and one of its key ids, or None for all of its calls, those without a key included."""


class SimulatedModels:
    """Compute any minute of any model, and whether it is available at a given time.

    Args:
        models: number of models.
        keys: number of keys; each uses every model. Those of one label share its calls equally; the calls of a label
            without a key have no key id.
        traffic: the actual usage.
        late: one minute in eight is available later than a minute after its end, up to 12 minutes after it.
        busy: whether a model had requests in the minute that begins at a time.
        appears: when a model is first used; models that are not listed always were.
        inclusive_end: a value at exactly the end of a query is answered; unknown of the real cloud.
    """

    def __init__(
        self,
        models: int = 3,
        keys: int = 3,
        traffic: Traffic = STEADY,
        *,
        late: bool = False,
        busy: Optional[Callable[[str, Ms], bool]] = None,
        appears: Mapping[str, Ms] = {},
        inclusive_end: bool = True,
    ) -> None:
        self.key_labels = {
            str(uuid.UUID(bytes=noise("key", i) + noise("token", i))): LABELS[i % len(LABELS)] for i in range(keys)
        }
        """The label of each key id."""
        self.series = _divide(models, self.key_labels)
        self._traffic = traffic
        self._late = late
        self._busy = busy
        self._appears = dict(appears)
        self.inclusive_end = inclusive_end
        self._restatements: DefaultDict[Tuple[Series, Ms], List[Restatement]] = defaultdict(list)

    def ids(self) -> List[str]:
        """List the models."""
        return list(dict.fromkeys(model for model, _ in self.series))

    def key_ids(self, model: str) -> List[str]:
        """List the keys that use a model."""
        return [key_id for of, key_id in self.series if of == model and key_id is not None]

    def restate(self, model: str, key_id: Optional[str], start: Ms, factor: float, at: Ms) -> None:
        """Report the hour that begins at `start` as `factor` times the sum of its minutes, from the time `at` on.

        Its minutes and the model's other series do not change. A factor of 0 takes the hour back: it has no value.
        The newest of several restatements applies.
        """
        self._restatements[(model, key_id), start].append((at, factor))

    def minute(self, model: str, key_id: Optional[str], start: Ms) -> Optional[Minute]:
        """Return the minute that begins at `start`, available or not; None if it has no request."""
        callers = self.series.get((model, key_id))
        if not callers or self._is_silent(model, start):
            return None
        return minute_of(self._traffic, model, callers, start)

    def is_available(self, model: str, start: Ms, now: Ms) -> bool:
        """Return whether a minute has arrived and is still retained."""
        late = (MAX_DELAY - DELAY) * _lateness(model, start) // 255 if self._late else 0
        return start + MINUTE + DELAY + late <= now <= start + RETENTION

    def available_minutes(
        self, model: str, key_id: Optional[str], start: Ms, end: Ms, now: Ms
    ) -> Iterator[Tuple[Ms, Minute]]:
        """Iterate over the available minutes that begin in `[start, end)`."""
        first, last = max(start, now - RETENTION), min(end, now)
        for at in range(-(-first // MINUTE) * MINUTE, last, MINUTE):
            found = self.minute(model, key_id, at)
            if found and self.is_available(model, at, now):
                yield at, found

    def has_reported(self, model: str, key_id: Optional[str], start: Ms, now: Ms) -> bool:
        """Return whether a series has an available minute since `start`."""
        minutes = range(now // MINUTE * MINUTE, start, -MINUTE)  # newest first: found soonest
        return any(self.is_available(model, at, now) and self.minute(model, key_id, at) for at in minutes)

    def hour(self, model: str, key_id: Optional[str], start: Ms, now: Ms) -> Usage:
        """Return what the cloud reports at `now` for the hour that begins at `start`."""
        callers = self.series.get((model, key_id))
        if callers and self._is_complete(model, start, now):
            usage = hour_usage(self._traffic, callers, start)
        else:
            usage = sum_usage(
                found.usage for _, found in self.available_minutes(model, key_id, start, start + HOUR, now)
            )
        known = self._restatements.get(((model, key_id), start))
        return usage.scale(factor_at(known, now)) if known else usage

    def _is_silent(self, model: str, start: Ms) -> bool:
        return start < self._appears.get(model, 0) or not (self._busy is None or self._busy(model, start))

    def _is_complete(self, model: str, start: Ms, now: Ms) -> bool:
        """Return whether no minute of an hour is silent, and all are available."""
        never_silent = self._busy is None and start >= self._appears.get(model, 0)
        return never_silent and now - RETENTION <= start <= now - HOUR - (MAX_DELAY if self._late else DELAY)


def _divide(models: int, key_labels: Mapping[str, str]) -> Dict[Series, Callers]:
    """Divide each label's calls among its keys, and the calls of each key among the models."""
    owners = [*key_labels.items(), *((None, label) for label in API_KEYS if label not in key_labels.values())]
    weights = [WEIGHTS[i % len(WEIGHTS)] for i in range(models)]
    series: Dict[Series, Callers] = {}
    for i, weight in enumerate(weights):
        model = noise("model", i).hex() + noise("service", i).hex()
        series[model, None] = ()
        for key_id, label in owners:
            keys = [owner for owner, of in owners if of == label]
            before = keys.index(key_id) * sum(weights) + sum(weights[:i])
            caller = Caller(label, before, weight, len(keys) * sum(weights))
            series[model, None] += (caller,)
            if key_id is not None:
                series[model, key_id] = (caller,)
    return series


@functools.lru_cache(maxsize=200_000)
def _lateness(model: str, start: Ms) -> int:
    """Draw how late a minute is, 0 to 255; most are not late."""
    seed = noise("late", model, start)
    return 0 if seed[0] % LATE_ONE_IN else seed[1]
