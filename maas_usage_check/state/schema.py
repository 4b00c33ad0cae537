"""The tables of the state file, and the steps by which a file of an earlier version gets them."""

from __future__ import annotations

import sqlite3

from .failures import MOVE_AWAY, UnusableError

APPLICATION_ID = 0x4D614155
"""In the file's header (`PRAGMA application_id`): marks the file as this plugin's."""
LEDGER = """
CREATE TABLE clock (id INTEGER PRIMARY KEY, at INTEGER);
INSERT INTO clock VALUES (1, 0);

-- `began` is 0 until the history begins. frozen_... are the sums of the hours before `frozen_until`: they are final.
-- counted_... are the counters.
CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT UNIQUE, began INTEGER DEFAULT 0, hours_from INTEGER DEFAULT 0,
    frozen_until INTEGER DEFAULT 0, asked INTEGER DEFAULT 0, checked INTEGER DEFAULT 0,
    frozen_total_tokens INTEGER DEFAULT 0, frozen_prompt_tokens INTEGER DEFAULT 0,
    frozen_completion_tokens INTEGER DEFAULT 0, frozen_requests INTEGER DEFAULT 0, frozen_errors INTEGER DEFAULT 0,
    counted_total_tokens INTEGER DEFAULT 0, counted_prompt_tokens INTEGER DEFAULT 0,
    counted_completion_tokens INTEGER DEFAULT 0, counted_requests INTEGER DEFAULT 0, counted_errors INTEGER DEFAULT 0);

-- `changed` is the logical time of the last change. It is 0 while an hour without use is not settled: no point yet.
CREATE TABLE hours (series INTEGER, start INTEGER, total_tokens INTEGER, prompt_tokens INTEGER,
    completion_tokens INTEGER, requests INTEGER, errors INTEGER, settled INTEGER, changed INTEGER,
    PRIMARY KEY (series, start)) WITHOUT ROWID;

-- The pending windows. The part from `newer` on is queried next; NULL totals: the whole window is.
CREATE TABLE questions (series INTEGER, start INTEGER, until INTEGER, newer INTEGER, total_tokens INTEGER,
    prompt_tokens INTEGER, completion_tokens INTEGER, requests INTEGER, errors INTEGER,
    PRIMARY KEY (series, start, until)) WITHOUT ROWID;

CREATE TABLE consumers (name TEXT, series INTEGER, at INTEGER, total_tokens INTEGER, prompt_tokens INTEGER,
    completion_tokens INTEGER, requests INTEGER, errors INTEGER,
    PRIMARY KEY (name, series)) WITHOUT ROWID;
"""
DAYS_3 = """
CREATE TABLE prices (id INTEGER PRIMARY KEY, currency TEXT, prompt TEXT, completion TEXT,
    UNIQUE (currency, prompt, completion));
INSERT INTO prices VALUES (0, '', '', '');

CREATE TABLE days (series INTEGER, start INTEGER, until INTEGER, price INTEGER, hours INTEGER, total_tokens INTEGER,
    prompt_tokens INTEGER, completion_tokens INTEGER, requests INTEGER, errors INTEGER,
    PRIMARY KEY (series, start, price)) WITHOUT ROWID;
"""
DAYS = """
-- The prices of a million tokens that days kept, as decimal numbers; row 0 is none. `cached_prompt` is empty if it is
-- the same as `prompt`; `since` is a date, empty without one.
CREATE TABLE prices (id INTEGER PRIMARY KEY, currency TEXT, prompt TEXT, completion TEXT, cached_prompt TEXT,
    since TEXT, is_off_peak INTEGER, UNIQUE (currency, prompt, completion, cached_prompt, since, is_off_peak));
INSERT INTO prices VALUES (0, '', '', '', '', '', 0);

-- Hours of 62 days ago and older are days with bounds of their own: the sums of the `hours` that are known and had this
-- price, or 0 without one. `cached_tokens` are those of the prompt that are priced as cached.
CREATE TABLE days (series INTEGER, start INTEGER, until INTEGER, price INTEGER, hours INTEGER, total_tokens INTEGER,
    prompt_tokens INTEGER, completion_tokens INTEGER, requests INTEGER, errors INTEGER, cached_tokens INTEGER,
    PRIMARY KEY (series, start, price)) WITHOUT ROWID;
"""
LEDGER_TABLES = ("clock", "series", "hours", "questions", "consumers")


def _to_1(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE entries (kind TEXT, name TEXT, value TEXT, changed REAL, PRIMARY KEY (kind, name))"
    )


def _to_2(connection: sqlite3.Connection) -> None:
    """Create the tables of the ledger, which it made itself before, without some of the defaults at first."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'clock'").fetchone()
    old = LEDGER_TABLES if found else ()
    for table in old:
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in LEDGER.split(";\n"):
        connection.execute(statement)
    for table in old:
        connection.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM old_{table}")  # noqa: S608 - our own names
        connection.execute(f"DROP TABLE old_{table}")
    if old:
        connection.execute("INSERT INTO entries SELECT kind, name, value, 0 FROM notes")
        connection.execute("DROP TABLE notes")


def _to_3(connection: sqlite3.Connection) -> None:
    for statement in DAYS_3.split(";\n"):
        connection.execute(statement)


def _to_4(connection: sqlite3.Connection) -> None:
    """Give prices their date and hours, and days their cached tokens."""
    for table in ("prices", "days"):
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    _create_days(connection)
    connection.execute("INSERT INTO prices SELECT id, currency, prompt, completion, '', '', 0 FROM old_prices WHERE id")
    connection.execute("INSERT INTO days SELECT *, 0 FROM old_days")
    for table in ("prices", "days"):
        connection.execute(f"DROP TABLE old_{table}")


def _create_days(connection: sqlite3.Connection) -> None:
    for statement in DAYS.split(";\n"):
        connection.execute(statement)


STEPS = (_to_1, _to_2, _to_3, _to_4)
"""Each makes the version of its place, 1 first. What was released stays as it is."""
NEW = (_to_1, _to_2, _create_days)
"""Make the current version of a new file."""
VERSION = len(STEPS)


def is_current(connection: sqlite3.Connection, path: str) -> bool:
    """Return False for a file to migrate, or a new one; raise UnusableError for one that is not ours."""
    # In one statement: between two, another process may create the tables.
    application_id, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT COUNT(*) FROM sqlite_master) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application_id != APPLICATION_ID:
        if application_id or tables:
            raise UnusableError(f"{path}: cannot use the state: it is another program's", MOVE_AWAY)
        return False
    if version > VERSION:
        problem = f"{path}: cannot use the state: a newer version of this plugin wrote it"
        raise UnusableError(problem, "update, or set state_dir")
    return bool(version == VERSION)


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring a file to the current version in one transaction: a kill leaves either version."""
    if is_current(connection, path):
        return
    connection.execute("BEGIN IMMEDIATE")  # of processes that start at once, one does it
    if not is_current(connection, path):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for step in STEPS[version:] if version else NEW:
            step(connection)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")
