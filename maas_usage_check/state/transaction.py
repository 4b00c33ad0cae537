"""One transaction: small entries by kind and name, and statements on all tables."""

from __future__ import annotations

import sqlite3
from typing import Type, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class Transaction:
    """An open transaction.

    A kind of entry is a msgspec Struct whose fields all have defaults. Its `max_age_s`, if it has one, is the time in
    seconds after its last change until an entry is deleted; its `stored_kind`, the name of a kind that was renamed.
    """

    def __init__(self, connection: sqlite3.Connection, now_s: float = 0.0) -> None:
        self.run = connection.execute
        self.run_many = connection.executemany
        self._now_s = now_s

    def get(self, kind: Type[T], name: str) -> T:
        """Return an entry; a missing one has its defaults. Raise a ValueError if it is damaged."""
        return decode(self.read(stored_kind(kind), name), kind)

    def read(self, kind: str, name: str) -> bytes:
        """Return the stored text of an entry, which may be damaged; empty if there is none."""
        statement = "SELECT CAST(value AS BLOB) FROM entries WHERE kind = ? AND name = ?"
        found = self.run(statement, (kind, name)).fetchone()
        return (found[0] or b"null") if found else b""

    def put(self, name: str, entry: msgspec.Struct) -> None:
        """Set an entry. A new one deletes those of its kind that are past their age."""
        kind, text = stored_kind(type(entry)), msgspec.json.encode(entry).decode()
        statement = "UPDATE entries SET value = ?, changed = ? WHERE kind = ? AND name = ?"
        if not self.run(statement, (text, self._now_s, kind, name)).rowcount:
            self.run("INSERT INTO entries VALUES (?, ?, ?, ?)", (kind, name, text, self._now_s))
            oldest_s = self._now_s - getattr(entry, "max_age_s", float("inf"))
            self.run("DELETE FROM entries WHERE kind = ? AND changed < ?", (kind, oldest_s))


def stored_kind(kind: Type[msgspec.Struct]) -> str:
    """Return the class name, or the name under which entries of a renamed class are stored."""
    return str(getattr(kind, "stored_kind", kind.__name__))


def decode(text: bytes, kind: Type[T]) -> T:
    """Decode an entry; an empty text has the defaults. Raise a ValueError if it is damaged."""
    try:
        return msgspec.json.decode(text, type=kind) if text else kind()
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from None
