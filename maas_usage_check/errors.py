"""Errors, and the result codes under which they are published.

MaasError
├── ConfigError   the file or the arguments are invalid: exit code 2, nothing runs
└── QueryError    one query to the cloud failed; `result` is the kind of failure
"""

from __future__ import annotations

import contextlib
from enum import IntEnum
from typing import Iterator

from msgspec import Struct


class Result(IntEnum):
    """The outcome of a cycle or query: the field `result_code` of `huawei_maas_api`.

    0 and 1 describe only a cycle. The numbers are a contract: they are never reused.
    """

    OK = 0
    PARTIAL = 1
    NO_CREDENTIALS = 2
    KEY_REFUSED = 3
    KEY_LOCKED = 4
    BACKING_OFF = 5
    CLOCK_OFF = 6
    CREDENTIALS_EXPIRED = 7
    PERMISSION_DENIED = 8
    NO_PROJECT = 9
    NOT_FOUND = 10
    THROTTLED = 11
    OVER_RATE = 12
    TIMED_OUT = 13
    NETWORK = 14
    SERVER_ERROR = 15
    REQUEST_REJECTED = 16
    BAD_ANSWER = 17
    NOTHING_KEPT = 18
    INTERNAL = 19
    PROXY_REFUSED = 20


def one_line(text: str) -> str:
    """Replace unprintable characters with spaces: the text may quote a file or a server."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in text)


class MaasError(Exception):
    """Base of the plugin's errors. The text is one line for people, without a secret."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class ConfigError(MaasError):
    """The configuration or the arguments are invalid. The text names the path of the config key and the remedy."""


@contextlib.contextmanager
def located(path: str) -> Iterator[None]:
    """Raise the ValueError of a parser as a ConfigError that names the path of the value."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


class QueryError(MaasError):
    """A query failed, or its response is invalid.

    Args:
        result: the kind of failure.
        text: one line: what happened, and what to do.
        retry_after: seconds to wait, if the cloud sent them.
        is_consequence: nothing was sent, because of an earlier failure, the deadline or the rate limit.
        clock_off: seconds by which this machine's clock is ahead of the cloud's, if known.
    """

    def __init__(
        self,
        result: Result,
        text: str,
        retry_after: float | None = None,
        is_consequence: bool = False,
        clock_off: float | None = None,
    ) -> None:
        super().__init__(text)
        self.result = result
        self.is_consequence = is_consequence
        self.retry_after = retry_after
        self.clock_off = clock_off


def internal_error(error: BaseException) -> QueryError:
    """Make the error of a bug. Only the type of the exception is shown: its text may contain a secret."""
    return QueryError(Result.INTERNAL, f"a bug in this plugin ({type(error).__name__}): please report it")


class Problem(Struct, frozen=True):
    """One thing that went wrong.

    Attributes:
        level: E if nothing was collected because of it, W for other problems, I for information.
        text: one line.
        key: names the part that recovers as a whole, such as an instance's hours; empty where it is logged once.
    """

    level: str
    text: str
    key: str

    def __str__(self) -> str:
        return f"{self.level}! {self.text}"
