"""How large a YAML document would grow, known before it does: a few lines of aliases can stand for a billion values."""

from __future__ import annotations

from typing import Dict, Iterable, List, Set

import yaml

DEEPEST = 50
"""Lists and mappings within one another; the parser in C would take the process down with a hundred thousand."""
MOST_VALUES = 50_000
"""What a document may come to, each alias and merge key counted as all that it repeats."""


def is_deep(events: Iterable[yaml.Event]) -> bool:
    """Tell whether a document is nested deeper than the limit, and parse no further than that."""
    depth = 0
    try:
        for event in events:
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                return True
    except yaml.MarkedYAMLError as error:
        # PyYAML from 6.0.4 on reads ahead to a limit of its own, before it tells of the first bracket.
        if "nesting depth" in str(error.problem):
            return True
        raise
    return False


def count_values(root: yaml.Node) -> int:
    """Count the values of a document's nodes; what holds itself, or is over the limit, counts as just over it."""
    counts: Dict[yaml.Node, int] = {}
    counted: Set[yaml.Node] = set()
    waiting = [root]
    while waiting:
        node = waiting[-1]
        if node in counted:
            waiting.pop()
        elif node in counts:
            waiting.pop()
            counted.add(node)
            counts[node] = min(MOST_VALUES + 1, 1 + sum(counts[part] for part in _parts(node)))
        else:
            counts[node] = MOST_VALUES + 1  # until its parts are counted: only one that holds itself is met till then
            waiting.extend(part for part in _parts(node) if part not in counts)
    return counts[root]


def _parts(node: yaml.Node) -> List[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
