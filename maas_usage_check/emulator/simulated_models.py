"""Simulated models of the emulator's account: their usage per minute, and when Cloud Eye makes it available."""

from __future__ import annotations

import functools
import uuid
from typing import Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from .arrivals import DAY, HOUR, Ms, Restatement, noise
from .usage_by_minute import (
    MINUTE,
    PATTERN_LENGTH,
    Caller,
    Counts,
    Minute,
    caller_minute,
    combined_minute,
    sum_counts,
    sum_patterns,
)

RETENTION = 30 * DAY
MAX_DELAY = 12 * MINUTE
LATE_ONE_IN = 8
"""One minute in so many is late."""
WEIGHTS = (1.0, 0.5, 0.3)
"""Weights of the first, second and third model, and of the keys; the fourth has the weight of the first, and so on."""
KEYLESS = ("", 0.1)


class ModelHour(NamedTuple):
    """What Cloud Eye reports for an hour, in whole tokens."""

    total_tokens: int
    prompt_tokens: int
    completion_tokens: int
    requests: int
    errors: int


class SimulatedModels:
    """Compute any minute of any model, and whether it is available at a given time.

    A series is a model and one of its key ids, or None for all of its calls, those without a key included.

    Args:
        models: number of models.
        keys: number of keys; each uses every model.
        delay: seconds from the end of a minute until it is available.
        late: one minute in eight is available later, up to 12 minutes after its end.
        busy: whether a model had requests in the minute that begins at a time.
        appears: when a model is first used; models that are not listed always were.
        missing: whether the minute that begins at a time was lost for all models.
        inclusive_end: a value at exactly the end of a query is answered; unknown of the real cloud.
    """

    def __init__(
        self,
        models: int = 3,
        keys: int = 3,
        *,
        delay: float = 60,
        late: bool = False,
        busy: Optional[Callable[[str, Ms], bool]] = None,
        appears: Mapping[str, Ms] = {},
        missing: Optional[Callable[[Ms], bool]] = None,
        inclusive_end: bool = True,
    ) -> None:
        model_ids = [noise("model", i).hex() + noise("service", i).hex() for i in range(models)]
        key_ids = [str(uuid.UUID(bytes=noise("key", i) + noise("token", i))) for i in range(keys)]
        shares = [(key_id, WEIGHTS[i % len(WEIGHTS)]) for i, key_id in enumerate(key_ids)] + [KEYLESS]
        self._callers: Dict[str, Dict[Optional[str], Tuple[Caller, ...]]] = {}
        for i, model in enumerate(model_ids):
            callers = tuple((key_id, share * WEIGHTS[i % len(WEIGHTS)]) for key_id, share in shares)
            self._callers[model] = {None: callers, **{caller[0]: (caller,) for caller in callers[:-1]}}
        self._delay_ms = int(delay * 1000)
        self._late = late
        self._busy = busy
        self._appears = dict(appears)
        self._missing = missing
        self.inclusive_end = inclusive_end
        self._restatements: Dict[Tuple[str, Optional[str], Ms], Tuple[Restatement, ...]] = {}

    def ids(self) -> List[str]:
        """List the models."""
        return list(self._callers)

    def key_ids(self, model: str) -> List[str]:
        """List the keys that use a model."""
        return [key_id for key_id in self._callers.get(model, {}) if key_id is not None]

    def restate(self, model: str, key_id: Optional[str], start: Ms, factor: float, at: Ms) -> None:
        """Report the hour that begins at `start` as `factor` times the sum of its minutes, from the time `at` on.

        Its minutes and the model's other series do not change. A factor of 0 takes the hour back: it has no value.
        The newest of several restatements applies.
        """
        known = self._restatements.get((model, key_id, start), ())
        self._restatements[model, key_id, start] = (*known, (at, factor))

    def minute(self, model: str, key_id: Optional[str], start: Ms) -> Optional[Minute]:
        """Return the minute that begins at `start`, available or not; None if it has no request."""
        callers = self._callers.get(model, {}).get(key_id)
        if callers is None or self._is_silent(model, start):
            return None
        return caller_minute(model, callers[0], start) if len(callers) == 1 else combined_minute(model, callers, start)

    def is_available(self, model: str, start: Ms, now: Ms) -> bool:
        """Return whether a minute has arrived and is still retained."""
        late = max(0, MAX_DELAY - self._delay_ms) * _lateness(model, start) // 255 if self._late else 0
        return start + MINUTE + self._delay_ms + late <= now <= start + RETENTION

    def available_minutes(
        self, model: str, key_id: Optional[str], start: Ms, end: Ms, now: Ms
    ) -> Iterator[Tuple[Ms, Minute]]:
        """Iterate over the available minutes that begin in `[start, end)`."""
        first, last = max(start, now - RETENTION), min(end, now)
        for at in range(-(-first // MINUTE) * MINUTE, last, MINUTE):
            minute = self.minute(model, key_id, at)
            if minute and self.is_available(model, at, now):
                yield at, minute

    def has_reported(self, model: str, key_id: Optional[str], start: Ms, now: Ms) -> bool:
        """Return whether a series has an available minute since `start`."""
        minutes = range(now // MINUTE * MINUTE, start, -MINUTE)  # newest first: found soonest
        return any(self.is_available(model, at, now) and self.minute(model, key_id, at) for at in minutes)

    def counts(self, model: str, key_id: Optional[str], start: Ms, end: Ms, now: Ms) -> Counts:
        """Sum the available minutes that begin in `[start, end)`; for a full hour its restatement is applied."""
        callers = self._callers.get(model, {}).get(key_id)
        if callers and self._is_complete(model, start, end, now):
            counts = sum_patterns(model, callers, start, end)
        else:
            counts = sum_counts(minute for _, minute in self.available_minutes(model, key_id, start, end, now))
        factor = self._restatement_factor(model, key_id, start, now) if end - start == HOUR else 1.0
        return counts if factor == 1 else _scale(counts, factor)

    def hour(self, model: str, key_id: Optional[str], start: Ms, now: Ms) -> ModelHour:
        """Return what the cloud reports at `now` for the hour that begins at `start`."""
        counts = self.counts(model, key_id, start, start + HOUR, now)
        errors = counts.errors_4xx + counts.errors_5xx
        return ModelHour(counts.total_tokens, counts.prompt_tokens, counts.completion_tokens, counts.requests, errors)

    def _is_silent(self, model: str, start: Ms) -> bool:
        return (
            start < self._appears.get(model, 0)
            or (self._busy is not None and not self._busy(model, start))
            or (self._missing is not None and self._missing(start))
        )

    def _is_complete(self, model: str, start: Ms, end: Ms, now: Ms) -> bool:
        """Return whether a period has whole patterns only, no silent minute, and all minutes available."""
        never_silent = self._busy is None and self._missing is None and start >= self._appears.get(model, 0)
        max_delay = max(self._delay_ms, MAX_DELAY) if self._late else self._delay_ms
        is_aligned = start % PATTERN_LENGTH == end % PATTERN_LENGTH == 0
        return never_silent and is_aligned and now - RETENTION <= start and end + max_delay <= now

    def _restatement_factor(self, model: str, key_id: Optional[str], start: Ms, now: Ms) -> float:
        past = [known for known in self._restatements.get((model, key_id, start), ()) if known[0] <= now]
        return sorted(past, key=lambda restatement: restatement[0])[-1][1] if past else 1.0


@functools.lru_cache(maxsize=200_000)
def _lateness(model: str, start: Ms) -> int:
    """Draw how late a minute is, 0 to 255; most are not late."""
    seed = noise("late", model, start)
    return 0 if seed[0] % LATE_ONE_IN else seed[1]


def _scale(counts: Counts, factor: float) -> Counts:
    """Multiply, rounding down, so that errors never exceed requests."""
    prompt, completion = int(counts.prompt_tokens * factor), int(counts.completion_tokens * factor)
    other = counts.total_tokens - counts.prompt_tokens - counts.completion_tokens
    return Counts(
        int(counts.requests * factor),
        prompt,
        completion,
        prompt + completion + int(other * factor),
        int(counts.errors_4xx * factor),
        int(counts.errors_5xx * factor),
    )
