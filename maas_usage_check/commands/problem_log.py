"""Log the problems of a daemon: a new one immediately, a lasting one once an hour, and its recovery."""

from __future__ import annotations

import math
import re
from typing import Callable, Collection, Dict, Iterable, Set, Tuple

from ..errors import Problem

REPEAT_AFTER = 3600.0
"""Seconds between two lines about the same problem."""
CONFIGURATION = "configuration"
"""The problem key of a configuration error that prevents all cycles."""
VARIABLE_PARTS = re.compile(
    r"\. Retrying in .*? (?:in the next cycle|at once)|\[[^]]*\]|\b[\da-fA-F-]{8,}\b|\d+(?:[.,:]\d+)*"
)
"""The parts of a text that vary for the same cause: the wait after a refusal, request ids, numbers."""


class ProblemLog:
    """Deduplicate problems, so that they do not flood the log.

    Args:
        log: logs one line that starts with its level (`E! `), as Telegraf reads it from standard error.
        monotonic: the monotonic clock, in seconds.
    """

    def __init__(self, log: Callable[[str], None], monotonic: Callable[[], float]) -> None:
        self._log = log
        self._monotonic = monotonic
        self._logged: Dict[str, Dict[str, Tuple[float, str]]] = {}

    def report(self, problems: Iterable[Problem], answered: Collection[str] = ()) -> None:
        """Log the problems of one cycle and the recoveries.

        A text is logged once an hour, and immediately when its `W!` becomes an `E!`.

        Args:
            problems: those of all instances, including instances that were not collected in this cycle.
            answered: the problem keys that were checked; those without a problem have recovered.
        """
        now = self._monotonic()
        failing: Set[str] = set()
        for problem in problems:
            if problem.level == "I" or not problem.key:
                self._log(str(problem))
                continue
            failing.add(problem.key)
            logged = self._logged.setdefault(problem.key, {})
            text = VARIABLE_PARTS.sub("", problem.text)
            logged_at, level = logged.get(text, (-math.inf, "W"))
            if now - logged_at >= REPEAT_AFTER or problem.level < level:  # "E" < "W"
                logged[text] = now, problem.level
                self._log(str(problem))
        for problem_key in [each for each in self._logged if each in answered and each not in failing]:
            del self._logged[problem_key]
            self._log(f"I! {problem_key}: recovered")
        for logged in self._logged.values():
            for text in [text for text, (logged_at, _) in logged.items() if now - logged_at >= REPEAT_AFTER]:
                del logged[text]
