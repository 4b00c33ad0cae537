"""Load the access key from the environment, a file, or the SDK's own sources; never from the configuration.

A provider is called once per cycle, so a replaced key is used in the next cycle.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Callable, Dict, List, Mapping, Optional

from ..config import CredentialsSource, decode_text
from .access_key import PARTS, VARIABLES, Credentials, Names, clean, make_credentials, no_credentials

__all__ = [
    "Credentials", "Provider", "chosen_variables", "from_environment", "from_file", "parse", "provider",
    "readable_by_others",
]  # fmt: skip

MAX_FILE_BYTES = 65_536
ASSIGNMENT = r"(?:export\s+)?(\w+)\s*=(.*)"
CONSOLE_COLUMNS = ("Access Key Id", "Secret Access Key", "")
"""Of the credentials.csv that the console offers when a key is created. It has no token."""

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
    return lambda: make_credentials(fetch(), PARTS, "the SDK's own sources", is_file=False)


def from_environment(environ: Mapping[str, str]) -> Credentials:
    """Read the first pair of VARIABLES of which one is set and, for temporary keys, its token."""
    remedy = "export them where the agent starts, or use `credentials: {source: file, path: ...}`"
    where = "the environment"
    return _from_variables(environ, where, lambda names: f"{names} not set in {where}: {remedy}", is_file=False)


def from_file(path: str) -> Credentials:
    """Read a credentials file in one of its formats; raise QueryError (NO_CREDENTIALS)."""
    return parse(_read(path, f"credentials file {path}"), path)


def parse(content: bytes, path: str) -> Credentials:
    """Parse a credentials file: variables, one line AK,SK, AK, SK and token on lines of their own, or the console's."""
    where = f"credentials file {path}"
    lines = [line.strip() for line in _decode(content, where).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    variables = {
        match[1]: _without_comment(match[2]) for match in (re.fullmatch(ASSIGNMENT, line) for line in lines) if match
    }
    if any(_is_known(name) for name in variables):
        return _from_variables(variables, where, lambda names: f"{where} has no {names}: add it on a line of its own")
    if lines and CONSOLE_COLUMNS[0].lower() in lines[0].lower():
        return _from_console(lines, where)
    values = [_without_comment(line) for line in lines]
    if len(values) == 1:
        values = values[0].split(",")
        if len(values) > 2:
            raise no_credentials(
                f"{where} has {len(values)} parts on one line: write AK,SK, or keep the console's file with its header"
            )
    if len(values) not in (2, 3):
        raise no_credentials(
            f"{where} has none of the three shapes: HW_ACCESS_KEY=... lines, one line AK,SK, "
            "or AK and SK on lines of their own"
        )
    if "=" in values[0]:
        raise no_credentials(
            f"{where} has `=` in the access key: write the lines as HW_ACCESS_KEY=... and HW_SECRET_KEY=..."
        )
    return make_credentials([*values, ""][:3], PARTS, where)


def chosen_variables(variables: Mapping[str, str], where: str) -> Names:
    """Return the variables of the key: those of the first pair of which one is set. One that is missing is named too.

    HW_ACCESS_KEY, HW_SECRET_KEY and HW_SECURITY_TOKEN may have _FILE appended. Raise QueryError if both forms are set.
    """
    pair = next((names for names in VARIABLES if any(_forms_set(variables, name) for name in names[:2])), VARIABLES[0])

    def choose(name: str) -> str:
        forms = _forms_set(variables, name)
        if len(forms) > 1:
            raise no_credentials(f"{' and '.join(forms)} are both set in {where}: remove one")
        return forms[0] if forms else name

    return choose(pair[0]), choose(pair[1]), choose(pair[2])


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


def _from_variables(
    variables: Mapping[str, str], where: str, missing_text: Callable[[str], str], is_file: bool = True
) -> Credentials:
    names = chosen_variables(variables, where)
    values: Dict[str, str] = {name: clean(variables.get(name, "")) for name in names}
    missing = [name for name in names[:2] if not values[name]]
    if missing:
        raise no_credentials(missing_text(" and ".join(missing)))
    for name, path in values.items():
        if name.endswith("_FILE"):
            # The path is not shown: it may be the key itself, by mistake.
            file = f"the file of {name} in {where}"
            values[name] = clean(_decode(_read(path, file), file))
            if not values[name]:
                raise no_credentials(f"{file} is empty: write the value into it")
    return make_credentials(list(values.values()), names, where, is_file)


def _forms_set(variables: Mapping[str, str], name: str) -> List[str]:
    forms = (name, f"{name}_FILE") if name in VARIABLES[0] else (name,)
    return [form for form in forms if clean(variables.get(form, ""))]


def _is_known(name: str) -> bool:
    return any(name in names for names in VARIABLES) or (name.endswith("_FILE") and name[:-5] in VARIABLES[0])


def _from_console(lines: List[str], where: str) -> Credentials:
    import csv  # rare, and not free at the start of a `collect`

    try:
        header, *rows = ([cell.strip() for cell in row] for row in csv.reader(lines, skipinitialspace=True) if any(row))
    except csv.Error:  # NUL
        header, rows = [], []
    header = [name.lower() for name in header]
    columns = [name.lower() for name in CONSOLE_COLUMNS[:2]]
    if not set(columns).issubset(header):
        problem = "but its columns are not separated by commas"
    elif len(rows) != 1:
        problem = f"and {len(rows)} keys instead of one"
    elif len(rows[0]) != len(header):
        problem = f"and a row of {len(rows[0])} columns instead of {len(header)}"
    else:
        return make_credentials([rows[0][header.index(name)] for name in columns] + [""], CONSOLE_COLUMNS, where)
    raise no_credentials(f"{where} has the console's header, {problem}: download it again, or write one line AK,SK")


def _without_comment(text: str) -> str:
    quoted = re.fullmatch(r"""\s*("[^"]*"|'[^']*')\s*(?:#.*)?""", text)
    return quoted[1] if quoted else re.split(r"\s#", text)[0]


def _read(path: str, file: str) -> bytes:
    try:
        # Checked before it is opened: opening a pipe would wait for a writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise no_credentials(f"{file} is not a regular file; name a file")
        with open(path, "rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise no_credentials(f"{file} cannot be read ({reason}): check the path and who may read it") from None
    if len(content) > MAX_FILE_BYTES:
        raise no_credentials(f"{file} is larger than {MAX_FILE_BYTES // 1024} KiB: name a file with the key alone")
    return content


def _decode(content: bytes, file: str) -> str:
    try:
        return decode_text(content)
    except ValueError as error:
        raise no_credentials(f"{file} is {error}") from None
