"""A configuration file read as YAML, in which no mapping gives a key twice: YAML itself would keep the last."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, Iterator, List, Set, Tuple

import yaml

from ..errors import ConfigError
from .yaml_size import DEEPEST, MOST_VALUES, count_values, is_deep

# The C parser where there is one: the pure one would take longer than a whole cycle.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

LARGEST_FILE = 256 * 1024
"""Bytes; what the limits of the lists let through is far smaller."""

Placed = Tuple[yaml.Node, str]
"""A node and the path of keys that leads to it."""


def read_yaml(path: str) -> Any:
    """Read a file; raise ConfigError where it cannot be read, is not YAML, too large, or gives a key twice."""
    content = _read(path)
    try:
        if is_deep(yaml.parse(content, LOADER)):
            raise ConfigError(f"{path}: is nested more than {DEEPEST} levels deep; mind brackets and dashes")
        loader = LOADER(content)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            if count_values(root) > MOST_VALUES:
                raise ConfigError(
                    f"{path}: comes to more than {MOST_VALUES:,} values with what its aliases (`*name`) and merge keys "
                    "(`<<`) repeat; write less"
                )
            _refuse_repeated_keys(root, path)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not YAML; mind indentation, colons and quotes there") from None
    except (ValueError, RecursionError):  # an impossible date; brackets without end
        raise ConfigError(f"{path}: not YAML that can be used; quote dates, and check that they exist") from None


def _read(path: str) -> bytes:
    try:
        # Asked before it is opened: opening a pipe would wait for a writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError(f"{path}: is not a regular file; name a YAML file as --config")
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check --config") from None
    if len(content) > LARGEST_FILE:
        raise ConfigError(f"{path}: is larger than {LARGEST_FILE // 1024} KiB; write less, or another file")
    return content


def _refuse_repeated_keys(root: yaml.Node, path: str) -> None:
    """Go through the nodes before merge keys are resolved: what is merged and then overridden is no repetition."""
    seen: Set[yaml.Node] = set()
    waiting: List[Placed] = [(root, "")]
    for node, at in waiting:  # which grows meanwhile
        if node in seen:  # an alias
            continue
        seen.add(node)
        if isinstance(node, yaml.MappingNode):
            waiting.extend(_values(node, at, path))
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend((item, f"{at}[{i}]") for i, item in enumerate(node.value))


def _values(mapping: yaml.MappingNode, at: str, path: str) -> Iterator[Placed]:
    lines: Dict[Tuple[str, str], int] = {}
    for key, value in mapping.value:
        if not isinstance(key, yaml.ScalarNode):  # a list or a mapping as a key is refused when it is constructed
            continue
        name, line, place = (key.tag, key.value), key.start_mark.line + 1, f"{at}.{key.value[:60]}".lstrip(".")
        if name in lines:
            raise ConfigError(
                f"{path}: {place}: is there twice, in lines {lines[name]} and {line}; "
                "write it once, with all that it is to hold"
            )
        lines[name] = line
        yield value, place
