"""Where the access key comes from: the environment, a file, or the SDK's own sources. Never the configuration.

A source is called once per cycle, so that a key that was put in its place is used at the next one.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any, Callable, Dict, List, Mapping, Optional

from msgspec import Struct

from ..config import CredentialsSource
from ..errors import QueryError, Result

AK, SK, TOKEN = "HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN"
LARGEST_FILE = 65_536
ASSIGNMENT = re.compile(r"(?:export\s+)?(HW_[A-Z_]+)\s*=\s*(.*)")
KEY = re.compile(r"[\x21-\x7e]+")


class Credentials(Struct, frozen=True):
    """Hold an access key. It prints as nothing, so that no log or traceback can show it."""

    ak: str
    sk: str
    token: Optional[str] = None

    def __repr__(self) -> str:
        return "Credentials(...)"

    def secrets(self) -> List[str]:
        """List what must never be shown."""
        return [secret for secret in (self.ak, self.sk, self.token) if secret]


Provider = Callable[[], Credentials]


def provider(source: CredentialsSource, environ: Mapping[str, str] = os.environ) -> Provider:
    """Make the provider that a configuration names. Calling it raises QueryError (NO_CREDENTIALS)."""
    if source.source == "env":
        return lambda: from_environment(environ)
    if source.source == "file":
        path = source.path or ""
        return lambda: from_file(path)
    from .sdk_credentials import SdkProvider

    ask = SdkProvider()
    return lambda: Credentials(*ask())


def from_environment(environ: Mapping[str, str]) -> Credentials:
    """Read HW_ACCESS_KEY, HW_SECRET_KEY and, for temporary keys, HW_SECURITY_TOKEN."""
    missing = [name for name in (AK, SK) if not environ.get(name, "").strip()]
    if missing:
        raise _none(
            f"{' and '.join(missing)} not set in the environment: export them where the agent starts, "
            "or use `credentials: {source: file, path: ...}`"
        )
    return _made({name: environ.get(name, "").strip() for name in (AK, SK, TOKEN)}, "the environment")


def from_file(path: str) -> Credentials:
    """Read a credentials file of any of the three shapes; raise QueryError (NO_CREDENTIALS)."""
    try:
        # Asked before it is opened: opening a pipe would wait for a writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise _none(f"credentials file {path} is not a regular file; name a file")
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise _none(f"credentials file {path} cannot be read ({why}): check the path and who may read it") from None
    return parse(content, path)


def parse(content: bytes, path: str) -> Credentials:
    """Read the content of a credentials file: HW_ACCESS_KEY=... lines, one line AK,SK, or AK, SK, token on lines."""
    try:
        text = content.decode("utf-8-sig") if len(content) <= LARGEST_FILE else ""
    except UnicodeDecodeError:
        raise _none(f"credentials file {path} is not UTF-8 text; save it as plain text") from None
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    assignments = [ASSIGNMENT.fullmatch(line) for line in lines]
    if lines and all(assignments):
        values = {found[1]: found[2].strip("\"'") for found in assignments if found}
    else:
        parts = [part.strip() for part in (lines[0].split(",") if len(lines) == 1 else lines)]
        if len(parts) not in (2, 3):
            raise _none(
                f"credentials file {path} has none of the three shapes: HW_ACCESS_KEY=... lines, one line AK,SK, "
                "or AK and SK on lines of their own"
            )
        if "=" in parts[0]:
            raise _none(
                f"credentials file {path} gives an access key that holds `=`: name the lines {AK}=... and {SK}=..."
            )
        values = dict(zip((AK, SK, TOKEN), parts))
    return _made(values, f"credentials file {path}")


def readable_by_others(path: str, environ: Mapping[str, str] = os.environ) -> Optional[str]:
    """Say that the mode of a file lets its group or everyone read it, with the remedy; None where it does not.

    Modes mean nothing on Windows, nor in the folder from which systemd hands a service its credentials: since version
    254 they are 0440 there, and an ACL keeps them from everybody else.
    """
    handed_over = environ.get("CREDENTIALS_DIRECTORY")
    if os.name != "posix" or (handed_over and os.path.dirname(path) == handed_over):
        return None
    try:
        if not os.stat(path).st_mode & (stat.S_IRGRP | stat.S_IROTH):
            return None
    except (OSError, ValueError):
        return None
    return f"others can read it: chown it to the user who runs this, and chmod 600 {path}"


def _made(values: Dict[str, Any], where: str) -> Credentials:
    for name in (AK, SK, TOKEN):
        value = values.get(name)
        if not value and name != TOKEN:
            raise _none(f"{where} has no {name}: add it")
        if value and not KEY.fullmatch(value):
            raise _none(f"{name} from {where} holds a blank or a character that no key has: copy it again")
    return Credentials(values[AK], values[SK], values.get(TOKEN) or None)


def _none(text: str) -> QueryError:
    return QueryError(Result.NO_CREDENTIALS, text)
