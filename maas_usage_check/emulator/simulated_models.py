"""What the models of the emulator's account did, minute by minute, and how much of it Cloud Eye knows at a moment."""

from __future__ import annotations

import functools
import uuid
from typing import Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from .arrivals import DAY, HOUR, Restatement, noise
from .usage_by_minute import MINUTE, SPELL, Caller, Counts, Minute, added, minute, together, whole

RETENTION = 30 * DAY
LATEST = 12 * MINUTE
ONE_IN = 8
"""How many minutes there are for each that is late."""
WEIGHTS = (1.0, 0.5, 0.3)
"""How busy the first, second and third are, of models and of keys; the fourth is as the first, and so on."""
KEYLESS = ("", 0.1)


class ModelHour(NamedTuple):
    """Hold what Cloud Eye says of an hour; tokens are whole."""

    total_tokens: int
    prompt_tokens: int
    completion_tokens: int
    requests: int
    errors: int


class SimulatedModels:
    """Work out any minute of any model, the same each time, and what is known of it at a moment.

    A series is a model and one of its keys, or None for all of its calls, those without a key too.

    Args:
        models: how many there are.
        keys: how many there are; each uses each model.
        delay: seconds from the end of a minute until it is there.
        late: one minute in eight is there only later, up to 12 minutes after its end.
        busy: whether a model was asked anything in the minute that begins at a moment, milliseconds.
        appears: from which moment on, milliseconds, a model is used; the others always were.
        missing: whether the minute that begins at a moment, milliseconds, was lost for all.
        inclusive_end: a value at exactly the end of what is asked is answered; what the cloud does is unknown.
    """

    def __init__(
        self,
        models: int = 3,
        keys: int = 3,
        *,
        delay: float = 60,
        late: bool = False,
        busy: Optional[Callable[[str, int], bool]] = None,
        appears: Mapping[str, int] = {},
        missing: Optional[Callable[[int], bool]] = None,
        inclusive_end: bool = True,
    ) -> None:
        ids = [noise("model", i).hex() + noise("service", i).hex() for i in range(models)]
        names = [str(uuid.UUID(bytes=noise("key", i) + noise("token", i))) for i in range(keys)]
        shares = [(name, WEIGHTS[i % len(WEIGHTS)]) for i, name in enumerate(names)] + [KEYLESS]
        self._callers: Dict[str, Dict[Optional[str], Tuple[Caller, ...]]] = {}
        for i, model in enumerate(ids):
            callers = tuple((name, share * WEIGHTS[i % len(WEIGHTS)]) for name, share in shares)
            self._callers[model] = {None: callers, **{caller[0]: (caller,) for caller in callers[:-1]}}
        self._delay = int(delay * 1000)
        self._late = late
        self._busy = busy
        self._appears = dict(appears)
        self._missing = missing
        self.inclusive_end = inclusive_end
        self._restated: Dict[Tuple[str, Optional[str], int], Tuple[Restatement, ...]] = {}

    def ids(self) -> List[str]:
        """List the models."""
        return list(self._callers)

    def key_ids(self, model: str) -> List[str]:
        """List the keys that use a model."""
        return [key for key in self._callers.get(model, {}) if key is not None]

    def restate(self, model: str, key: Optional[str], start: int, factor: float, at: int) -> None:
        """Say from the moment `at` on that the hour that begins at `start` is so many times what its minutes add up to.

        Both are milliseconds; the minutes stay as they were, and so do the model's other series. A factor of 0 takes
        the hour back, so that it has no value. Of several restatements the newest holds.
        """
        known = self._restated.get((model, key, start), ())
        self._restated[model, key, start] = (*known, (at, factor))

    def minute(self, model: str, key: Optional[str], start: int) -> Optional[Minute]:
        """Say what the minute that begins at a moment, milliseconds, is once it is there; None: without any request."""
        callers = self._callers.get(model, {}).get(key)
        if callers is None or self._silent(model, start):
            return None
        return minute(model, callers[0], start) if len(callers) == 1 else together(model, callers, start)

    def is_available(self, model: str, start: int, now: int) -> bool:
        """Say whether a minute is known at a moment, and not older than what is kept; both are milliseconds."""
        late = max(0, LATEST - self._delay) * _lateness(model, start) // 255 if self._late else 0
        return start + MINUTE + self._delay + late <= now <= start + RETENTION

    def available_minutes(
        self, model: str, key: Optional[str], start: int, end: int, now: int
    ) -> Iterator[Tuple[int, Minute]]:
        """Go through the minutes that begin in `[start, end)` and are known at a moment; all are milliseconds."""
        first, last = max(start, now - RETENTION), min(end, now)
        for at in range(-(-first // MINUTE) * MINUTE, last, MINUTE):
            found = self.minute(model, key, at)
            if found and self.is_available(model, at, now):
                yield at, found

    def reported(self, model: str, key: Optional[str], start: int, now: int) -> bool:
        """Say whether a series reported anything for a minute since a moment; both are milliseconds."""
        minutes = range(now // MINUTE * MINUTE, start, -MINUTE)  # the newest first, for it is soon found
        return any(self.is_available(model, at, now) and self.minute(model, key, at) for at in minutes)

    def counts(self, model: str, key: Optional[str], start: int, end: int, now: int) -> Counts:
        """Add up the minutes that begin in `[start, end)` and are known at a moment; an hour as it is said then."""
        callers = self._callers.get(model, {}).get(key)
        if callers and self._undisturbed(model, start, end, now):
            counts = whole(model, callers, start, end)
        else:
            counts = added(found for _, found in self.available_minutes(model, key, start, end, now))
        factor = self._factor(model, key, start, now) if end - start == HOUR else 1.0
        return counts if factor == 1 else _times(counts, factor)

    def hour(self, model: str, key: Optional[str], start: int, now: int) -> ModelHour:
        """Say what the cloud says at a moment of the hour that begins at `start`; both are milliseconds."""
        said = self.counts(model, key, start, start + HOUR, now)
        errors = said.errors_4xx + said.errors_5xx
        return ModelHour(said.total_tokens, said.prompt_tokens, said.completion_tokens, said.requests, errors)

    def _silent(self, model: str, start: int) -> bool:
        return (
            start < self._appears.get(model, 0)
            or (self._busy is not None and not self._busy(model, start))
            or (self._missing is not None and self._missing(start))
        )

    def _undisturbed(self, model: str, start: int, end: int, now: int) -> bool:
        """Say whether a stretch is of whole spells, of which nothing was silent and all is known."""
        pure = self._busy is None and self._missing is None and start >= self._appears.get(model, 0)
        latest = max(self._delay, LATEST) if self._late else self._delay
        return pure and start % SPELL == end % SPELL == 0 and now - RETENTION <= start and end + latest <= now

    def _factor(self, model: str, key: Optional[str], start: int, now: int) -> float:
        past = [known for known in self._restated.get((model, key, start), ()) if known[0] <= now]
        return sorted(past, key=lambda restatement: restatement[0])[-1][1] if past else 1.0


@functools.lru_cache(maxsize=200_000)
def _lateness(model: str, start: int) -> int:
    """Draw how late a minute is, of 255; most are not at all."""
    seed = noise("late", model, start)
    return 0 if seed[0] % ONE_IN else seed[1]


def _times(counts: Counts, factor: float) -> Counts:
    """Multiply, rounding down, so that there are never more errors than requests."""
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
