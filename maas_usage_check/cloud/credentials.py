"""Load the access key from the environment, a file, or the SDK's own sources; never from the configuration.

A provider is called once per cycle, so a replaced key is used in the next cycle.
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
MAX_FILE_BYTES = 65_536
ASSIGNMENT = r"(?:export\s+)?(HW_[A-Z_]+)\s*=\s*(.*)"
PRINTABLE = re.compile(r"[\x21-\x7e]+")


class Credentials(Struct, frozen=True):
    """Hold an access key. The repr shows no field, so no log or traceback can leak the key."""

    ak: str
    sk: str
    token: Optional[str] = None

    def __repr__(self) -> str:
        return "Credentials(...)"

    def secrets(self) -> List[str]:
        """List the values that must never be shown."""
        return [secret for secret in (self.ak, self.sk, self.token) if secret]


Provider = Callable[[], Credentials]


def provider(source: CredentialsSource, environ: Mapping[str, str] = os.environ) -> Provider:
    """Make the provider of a configured source. Calling the provider may raise QueryError (NO_CREDENTIALS)."""
    if source.source == "env":
        return lambda: from_environment(environ)
    if source.source == "file":
        path = source.path or ""
        return lambda: from_file(path)
    from .sdk_credentials import SdkProvider  # saves 4 million instructions of a `collect`

    fetch = SdkProvider()
    return lambda: Credentials(*fetch())


def from_environment(environ: Mapping[str, str]) -> Credentials:
    """Read HW_ACCESS_KEY, HW_SECRET_KEY and, for temporary keys, HW_SECURITY_TOKEN."""
    missing = [name for name in (AK, SK) if not environ.get(name, "").strip()]
    if missing:
        raise _no_credentials(
            f"{' and '.join(missing)} not set in the environment: export them where the agent starts, "
            "or use `credentials: {source: file, path: ...}`"
        )
    return _validated({name: environ.get(name, "").strip() for name in (AK, SK, TOKEN)}, "the environment")


def from_file(path: str) -> Credentials:
    """Read a credentials file in one of the three formats; raise QueryError (NO_CREDENTIALS)."""
    try:
        # Checked before it is opened: opening a pipe would wait for a writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise _no_credentials(f"credentials file {path} is not a regular file; name a file")
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise _no_credentials(
            f"credentials file {path} cannot be read ({reason}): check the path and who may read it"
        ) from None
    return parse(content, path)


def parse(content: bytes, path: str) -> Credentials:
    """Parse a credentials file: HW_ACCESS_KEY=... lines, one line AK,SK, or AK, SK and token on lines of their own."""
    try:
        text = content.decode("utf-8-sig") if len(content) <= MAX_FILE_BYTES else ""
    except UnicodeDecodeError:
        raise _no_credentials(f"credentials file {path} is not UTF-8 text; save it as plain text") from None
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    assignments = [re.fullmatch(ASSIGNMENT, line) for line in lines]
    if lines and all(assignments):
        values = {match[1]: match[2].strip("\"'") for match in assignments if match}
    else:
        parts = [part.strip() for part in (lines[0].split(",") if len(lines) == 1 else lines)]
        if len(parts) not in (2, 3):
            raise _no_credentials(
                f"credentials file {path} has none of the three shapes: HW_ACCESS_KEY=... lines, one line AK,SK, "
                "or AK and SK on lines of their own"
            )
        if "=" in parts[0]:
            raise _no_credentials(
                f"credentials file {path} has `=` in the access key: write the lines as {AK}=... and {SK}=..."
            )
        values = dict(zip((AK, SK, TOKEN), parts))
    return _validated(values, f"credentials file {path}")


def readable_by_others(path: str, environ: Mapping[str, str] = os.environ) -> Optional[str]:
    """Return a warning with its remedy if the file's mode lets its group or everyone read it, else None.

    Modes are not checked on Windows, nor in systemd's credentials directory: since systemd 254 the mode there is 0440,
    and an ACL excludes all other users.
    """
    systemd_directory = environ.get("CREDENTIALS_DIRECTORY")
    if os.name != "posix" or (systemd_directory and os.path.dirname(path) == systemd_directory):
        return None
    try:
        if not os.stat(path).st_mode & (stat.S_IRGRP | stat.S_IROTH):
            return None
    except (OSError, ValueError):
        return None
    return f"others can read it: chown it to the user who runs this, and chmod 600 {path}"


def _validated(values: Dict[str, Any], where: str) -> Credentials:
    for name in (AK, SK, TOKEN):
        value = values.get(name)
        if not value and name != TOKEN:
            raise _no_credentials(f"{where} has no {name}: add it")
        if value and not PRINTABLE.fullmatch(value):
            raise _no_credentials(f"{name} from {where} contains a blank or an invalid character: copy it again")
    return Credentials(values[AK], values[SK], values.get(TOKEN) or None)


def _no_credentials(text: str) -> QueryError:
    return QueryError(Result.NO_CREDENTIALS, text)
