"""What a daemon says of its problems: each once, again after an hour, and when it is over."""

from __future__ import annotations

import math
from typing import Callable, Dict, Iterable, Tuple

from ..cycle import Problem

AGAIN_AFTER = 3600.0


class ProblemLog:
    """Pass problems on without flooding the log.

    Args:
        say: takes one line, its level first, as Telegraf reads it from standard error.
        monotonic: seconds that never jump.
    """

    def __init__(self, say: Callable[[str], None], monotonic: Callable[[], float]) -> None:
        self._say = say
        self._monotonic = monotonic
        self._said: Dict[str, Tuple[float, str]] = {}

    def report(self, problems: Iterable[Problem]) -> None:
        """Take the problems of one cycle; what is missing is over, and what has become an error is said anew."""
        now = self._monotonic()
        current: Dict[str, Problem] = {}
        for problem in problems:
            if problem.level == "I" or not problem.key:
                self._say(str(problem))
            else:
                current[problem.key] = problem
        for key in [key for key in self._said if key not in current]:
            del self._said[key]
            self._say(f"I! {key}: recovered")
        for key, problem in current.items():
            at, level = self._said.get(key, (-math.inf, "W"))
            if now - at >= AGAIN_AFTER or problem.level < level:  # "E" before "W"
                self._said[key] = now, problem.level
                self._say(str(problem))
