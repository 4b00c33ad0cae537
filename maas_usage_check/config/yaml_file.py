"""Read a configuration file as YAML. Duplicate keys are an error: YAML itself would use the last."""

from __future__ import annotations

import codecs
import os
import stat
from typing import Any, Dict, Set, Tuple

import yaml
from yaml.composer import Composer

from ..errors import ConfigError

MAX_FILE_BYTES = 256 * 1024
"""1,000 instances with 250 bytes each. The YAML of a file of this size is parsed in a second."""

Loader: Any = yaml.SafeLoader

if hasattr(yaml, "CSafeLoader"):  # the Python parser would take longer than a whole cycle

    class Loader(Composer, yaml.CSafeLoader):  # type: ignore[no-redef]
        """Parse in C, compose in Python: deep nesting is a RecursionError, but would crash the composer in C."""

        def __init__(self, content: str) -> None:
            Composer.__init__(self)
            yaml.CSafeLoader.__init__(self, content)


def read_yaml(path: str) -> Any:
    """Read a file; raise ConfigError if it is unreadable, too large, not UTF-8 or YAML, or has a duplicate key."""
    loader = Loader(_read(path))
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _refuse_duplicate_keys(root, "", path, set())
        return loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not valid YAML; check indentation, colons and quotes there") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deep; check brackets and dashes") from None
    except ValueError:  # a date that does not exist
        raise ConfigError(
            f"{path}: contains a value that YAML cannot load; quote dates, and check that they exist"
        ) from None
    finally:
        loader.dispose()


def decode_text(content: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark; raise ValueError with the likely encoding and the remedy.

    UTF-16 is refused although YAML allows it: every file of ours has the same encoding.
    """
    zeros = max(content[::2].count(0), content[1::2].count(0))
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or zeros > len(content) // 4:
        raise ValueError("UTF-16, not UTF-8; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text, perhaps GBK; save it as UTF-8") from None


def _read(path: str) -> str:
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
    try:
        return decode_text(content)
    except ValueError as error:
        raise ConfigError(f"{path}: not valid YAML: it is {error}") from None


def _refuse_duplicate_keys(node: yaml.Node, at: str, path: str, seen: Set[yaml.Node]) -> None:
    """Walk the nodes before merge keys are resolved: overriding a merged key is no duplicate."""
    if node in seen:  # an alias
        return
    seen.add(node)
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _refuse_duplicate_keys(item, f"{at}[{i}]", path, seen)
    elif isinstance(node, yaml.MappingNode):
        lines: Dict[Tuple[str, str], int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):  # construct_document refuses a list or a mapping as a key
                continue
            name, line, place = (key.tag, key.value), key.start_mark.line + 1, f"{at}.{key.value[:60]}".lstrip(".")
            if name in lines:
                raise ConfigError(
                    f"{path}: {place}: duplicate key, in lines {lines[name]} and {line}; merge them into one"
                )
            lines[name] = line
            _refuse_duplicate_keys(value, place, path, seen)
