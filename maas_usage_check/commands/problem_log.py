"""What a daemon logs of its problems: each once an hour, what is new at once, and the recovery."""

from __future__ import annotations

import math
import re
from typing import Callable, Collection, Dict, Iterable, Set, Tuple

from ..collection import Problem

AGAIN_AFTER = 3600.0
CONFIGURATION = "configuration"
"""The key of a configuration with which no cycle can run."""
CHANGING = re.compile(r"\. Retrying in .*? in the next cycle|\[[^]]*\]|\b[\da-fA-F-]{8,}\b|\d+(?:[.,:]\d+)*")
"""What may differ between two texts of one cause: the wait after a refusal, ids of requests, numbers."""


class ProblemLog:
    """Pass problems on without flooding the log.

    Args:
        say: takes one line, its level first, as Telegraf reads it from standard error.
        monotonic: seconds that never jump.
    """

    def __init__(self, say: Callable[[str], None], monotonic: Callable[[], float]) -> None:
        self._say = say
        self._monotonic = monotonic
        self._said: Dict[str, Dict[str, Tuple[float, str]]] = {}

    def report(self, problems: Iterable[Problem], answered: Collection[str] = ()) -> None:
        """Log the problems of one cycle and what has recovered.

        A text is logged once an hour, and at once where its `W!` has become an `E!`.

        Args:
            problems: of all instances, also of those that were not collected in this cycle.
            answered: the keys of problems that are over where none of the problems has them.
        """
        now = self._monotonic()
        failing: Set[str] = set()
        for problem in problems:
            if problem.level == "I" or not problem.key:
                self._say(str(problem))
                continue
            failing.add(problem.key)
            said = self._said.setdefault(problem.key, {})
            text = CHANGING.sub("", problem.text)
            at, level = said.get(text, (-math.inf, "W"))
            if now - at >= AGAIN_AFTER or problem.level < level:  # "E" before "W"
                said[text] = now, problem.level
                self._say(str(problem))
        for key in [key for key in self._said if key in answered and key not in failing]:
            del self._said[key]
            self._say(f"I! {key}: recovered")
        for said in self._said.values():
            for text in [text for text, (at, _) in said.items() if now - at >= AGAIN_AFTER]:
                del said[text]
