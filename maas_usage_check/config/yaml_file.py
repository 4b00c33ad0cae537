"""Read a configuration file as YAML. Duplicate keys are an error: YAML itself would use the last."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, Iterator, List, Set, Tuple

import yaml

from ..errors import ConfigError
from .yaml_size import MAX_DEPTH, MAX_VALUES, count_values, is_deep

# The C parser if available: the Python one would take longer than a whole cycle.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_FILE_BYTES = 256 * 1024
"""A configuration within the limits of its lists is far smaller."""

NodePath = Tuple[yaml.Node, str]
"""A node and its path of keys."""


def read_yaml(path: str) -> Any:
    """Read a file; raise ConfigError if it is unreadable, too large, not YAML, or has a duplicate key."""
    content = _read(path)
    try:
        if is_deep(yaml.parse(content, LOADER)):
            raise ConfigError(f"{path}: is nested more than {MAX_DEPTH} levels deep; check brackets and dashes")
        loader = LOADER(content)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            if count_values(root) > MAX_VALUES:
                raise ConfigError(
                    f"{path}: expands to more than {MAX_VALUES:,} values through aliases (`*name`) and merge keys "
                    "(`<<`); shorten it"
                )
            _refuse_duplicate_keys(root, path)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not valid YAML; check indentation, colons and quotes there") from None
    except (ValueError, RecursionError):  # a date that does not exist; deep nesting
        raise ConfigError(
            f"{path}: contains a value that YAML cannot load; quote dates, and check that they exist"
        ) from None


def _read(path: str) -> bytes:
    try:
        # Checked before opening: opening a pipe would wait for a writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError(f"{path}: is not a regular file; pass a YAML file as --config")
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check --config") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES // 1024} KiB; shorten it, or check --config")
    return content


def _refuse_duplicate_keys(root: yaml.Node, path: str) -> None:
    """Walk the nodes before merge keys are resolved: overriding a merged key is no duplicate."""
    seen: Set[yaml.Node] = set()
    queue: List[NodePath] = [(root, "")]
    for node, at in queue:  # grows during the loop
        if node in seen:  # an alias
            continue
        seen.add(node)
        if isinstance(node, yaml.MappingNode):
            queue.extend(_values(node, at, path))
        elif isinstance(node, yaml.SequenceNode):
            queue.extend((item, f"{at}[{i}]") for i, item in enumerate(node.value))


def _values(mapping: yaml.MappingNode, at: str, path: str) -> Iterator[NodePath]:
    lines: Dict[Tuple[str, str], int] = {}
    for key, value in mapping.value:
        if not isinstance(key, yaml.ScalarNode):  # construct_document refuses a list or a mapping as a key
            continue
        name, line, place = (key.tag, key.value), key.start_mark.line + 1, f"{at}.{key.value[:60]}".lstrip(".")
        if name in lines:
            raise ConfigError(f"{path}: {place}: duplicate key, in lines {lines[name]} and {line}; merge them into one")
        lines[name] = line
        yield value, place
