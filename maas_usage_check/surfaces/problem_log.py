"""What a daemon says of its problems: each once, again after an hour, and when it is over."""

from __future__ import annotations

from typing import Callable, Dict, Iterable

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
        self._said: Dict[str, float] = {}

    def report(self, problems: Iterable[Problem]) -> None:
        """Take the problems of one cycle; no trouble at all means that every one is over."""
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
            if key not in self._said or now - self._said[key] >= AGAIN_AFTER:
                self._said[key] = now
                self._say(str(problem))
