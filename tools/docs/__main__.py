"""Run every check; exit with 1 if there is a problem."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import List, Sequence

from . import chinese, contributing, costs, facts, generated, links, names
from .pages import Check, Pages

ROOT = Path(__file__).resolve().parents[2]
CHECKS: List[Check] = [
    links.broken,
    links.unreachable,
    chinese.differences,
    generated.stale,
    generated.left_over,
    generated.faults,
    generated.measurements,
    names.files,
    names.metrics,
    names.queries,
    names.commands,
    names.configurations,
    names.keys,
    names.result_codes,
    names.readme,
    facts.alerts,
    facts.exporter,
    facts.collector,
    facts.policies,
    costs.polling,
    costs.models,
    costs.rate,
    contributing.targets,
    contributing.files,
    contributing.rooms,
    contributing.workflow,
    contributing.form,
]


def main(root: Path = ROOT, checks: Sequence[Check] = CHECKS) -> int:
    """Print the problems, one a line."""
    pages = Pages(root)
    problems = sorted(problem for check in checks for problem in check(pages))
    for problem in problems:
        print(problem)  # noqa: T201
    found = f"{len(problems)} problems" if problems else "no problem"
    print(f"{len(list(pages))} pages, {len(checks)} checks, {found}")  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
