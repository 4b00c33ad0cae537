"""Limits of a YAML document, checked before it is loaded: a few lines of aliases can expand to a billion values."""

from __future__ import annotations

from typing import Dict, Iterable, List, Set

import yaml

MAX_DEPTH = 50
"""Nested lists and mappings. A hundred thousand would crash the C parser, and the process with it."""
MAX_VALUES = 50_000
"""Values of a document, with all aliases and merge keys expanded."""


def is_deep(events: Iterable[yaml.Event]) -> bool:
    """Return whether a document is nested deeper than MAX_DEPTH. Parsing stops there."""
    depth = 0
    try:
        for event in events:
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                return True
    except yaml.MarkedYAMLError as error:
        # PyYAML 6.0.4 and later has a limit of its own, which it reaches before it yields the first event.
        if "nesting depth" in str(error.problem):
            return True
        raise
    return False


def count_values(root: yaml.Node) -> int:
    """Count the values of a document, at most MAX_VALUES + 1, which is also the count of one that contains itself."""
    counts: Dict[yaml.Node, int] = {}
    counted: Set[yaml.Node] = set()
    stack = [root]
    while stack:
        node = stack[-1]
        if node in counted:
            stack.pop()
        elif node in counts:
            stack.pop()
            counted.add(node)
            counts[node] = min(MAX_VALUES + 1, 1 + sum(counts[part] for part in _parts(node)))
        else:
            counts[node] = MAX_VALUES + 1  # until its parts are counted: only a node that contains itself is met before
            stack.extend(part for part in _parts(node) if part not in counts)
    return counts[root]


def _parts(node: yaml.Node) -> List[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
