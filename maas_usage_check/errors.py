"""What can go wrong, and the number under which it is published.

MaasError
├── ConfigError   the file or the arguments are wrong: exit code 2, nothing runs
└── QueryError    one question to the cloud went unanswered; its `result` says which way
"""

from __future__ import annotations

from enum import IntEnum


class Result(IntEnum):
    """Name the outcome of a cycle: the field `result_code` of `huawei_maas_api`.

    0 and 1 describe a cycle; every other number is also a way in which one query fails. The numbers are a
    contract: they are never reused.
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


RETRYABLE = frozenset({Result.TIMED_OUT, Result.NETWORK, Result.SERVER_ERROR})
"""Failures that another try within the same cycle may cure."""


def one_line(text: str) -> str:
    """Blank what a terminal or a log would not show as part of the line: it may quote a file or a server."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in text)


class MaasError(Exception):
    """Anything raised on purpose; its text is one line for a person, without a secret."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class ConfigError(MaasError):
    """The configuration or the arguments are wrong; the text names the key's path and the remedy."""


class QueryError(MaasError):
    """A query got no believable answer.

    Args:
        result: which way it failed.
        text: one line that says what happened and what to do.
        retry_after: seconds that the cloud asked for, when it did.
        is_consequence: nothing was sent, because of an earlier failure, or for want of time or rate.
        clock_off: seconds by which this machine's clock is ahead of the cloud's, where that is known.
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
