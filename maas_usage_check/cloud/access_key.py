"""An access key: the variables that name its parts, and the refusal of values that cannot be one."""

from __future__ import annotations

import re
from typing import Any, List, Optional, Sequence, Tuple

from msgspec import Struct

from ..config import is_secret
from ..errors import QueryError, Result

Names = Tuple[str, str, str]
"""The names of access key, secret key and token, as the user knows them."""

VARIABLES = (
    ("HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN"),
    ("HUAWEI_ACCESS_KEY", "HUAWEI_SECRET_KEY", "HW_SECURITY_TOKEN"),
    ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"),
)
"""In this order. Huawei's own script reads these too."""

PARTS = ("access key", "secret key", "security token")

PRINTABLE = r"[\x21-\x7e]+"
PLACEHOLDER = r"\$\{|%%|\{\{|@\{|^\$\w+$|^%\w+%$|^<.*>$|^ENC\[|^\.+$"
"""What an agent or a shell should have replaced, and the `...` of the documentation."""

SUSPECT = frozenset(" \"',$%{<[.@=:")
"""Without one of these, a printable value of ASCII has no flaw."""
SK_LENGTH = 40
SK_FORM = f"[A-Za-z0-9]{{{SK_LENGTH}}}"
IN_TOKEN = rf"(?<![\w+/.-]){SK_FORM}(?![\w+/.-])"
"""Base64 often has 40 letters and digits in a row; alone they are a secret key."""


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


def make_credentials(values: Sequence[Any], names: Names, where: str, is_file: bool = True) -> Credentials:
    """Check the access key, the secret key and, if there is one, the token; raise QueryError (NO_CREDENTIALS).

    The access key and the token are sent as they are, so neither may look like a secret key. In a file no value may
    contain a quote; elsewhere it may only not begin or end with one.
    """
    ak, sk, token = parts = [clean(str(value or "")) for value in values]
    for name, value in zip(names, parts):
        flaw = _flaw(value, value if is_file else value[:1] + value[-1:], is_token=name == names[-1])
        if flaw:
            raise no_credentials(f"{name} from {where} {flaw}")
    for name, value, form in ((names[0], ak, SK_FORM), (names[-1], token, IN_TOKEN)):
        if value and (value == sk or (len(value) >= SK_LENGTH and re.search(form, value))):
            raise no_credentials(f"{name} from {where} looks like a secret key: write each value in its own place")
    for name, value in zip(names, (ak, sk)):
        if not value:
            raise no_credentials(f"{where} has no {name}: add it")
    return Credentials(ak, sk, token or None)


def clean(value: str) -> str:
    """Remove blanks, and one pair of quotes: `docker --env-file` keeps them."""
    value = value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1].strip() if is_quoted else value


def no_credentials(text: str) -> QueryError:
    """Make the error of a source without a usable key."""
    return QueryError(Result.NO_CREDENTIALS, text)


def _flaw(value: str, unquoted: str, is_token: bool) -> Optional[str]:
    """Describe the flaw of a value, if it has one; `unquoted` is the part of it that must not contain a quote."""
    if value.isascii() and value.isprintable() and SUSPECT.isdisjoint(value):  # nearly always: no pattern is compiled
        return None
    if '"' in unquoted or "'" in unquoted:
        return "contains a quote: write the value without quotes"
    if "," in value and not is_token:
        return "contains a comma: write each value in its own place"
    if re.search(PLACEHOLDER, value):
        return "is a placeholder: write the value, or set the variable that should replace it"
    if not re.fullmatch(PRINTABLE, value):
        return "contains a blank or an invalid character: copy it again"
    name = re.match(r"([\w-]+)[=:]", value)
    if name and is_secret(name[1]):
        return f"begins with a name and `{value[name.end() - 1]}`: write the value alone"
    return None
