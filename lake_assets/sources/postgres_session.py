"""Sessions with a Postgres database: how they are opened and set, and what their errors mean.

Belongs here: settings of a session, connecting, SQLSTATEs.
Does not belong here: statements about any table (`platform`, `unplaced`).
"""

from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as postgres

from lake_assets.sources.errors import (
    SourceCancelled,
    SourceError,
    SourceLocked,
    SourceMismatch,
    SourceUnavailable,
)
from lake_assets.sources.waiting import interruptible

DEFAULT_LOCK_TIMEOUT_S = 10.0

_CONNECT_TIMEOUT_S = 15
_SESSION = (
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_read_only", "on"),
    ("timezone", "UTC"),
    ("application_name", "lake-export"),
    # What text looks like must not depend on a role's or a database's own settings.
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "3"),
)
# A backend that waits for a lock notices a client that is gone only where it is told to look.
# Servers before version 14 do not know the setting.
_LOOK_FOR_CLIENT = (
    "SELECT set_config(name, '2000', false) FROM pg_catalog.pg_settings"
    " WHERE name = 'client_connection_check_interval'"
)


def with_session(url: str, *, lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT_S) -> str:
    """The URL with the session settings of an export added to its `options`."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    session = (*_SESSION, ("lock_timeout", str(round(lock_timeout_s * 1000))))
    settings = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in session)
    query["options"] = f"{query.get('options', '')} {settings}".strip()
    query.setdefault("connect_timeout", str(_CONNECT_TIMEOUT_S))
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


@contextmanager
def open_session(url: str, *, lock_timeout_s: float) -> Generator[postgres.Connection]:
    """One read-only transaction in UTC that sees one state of the database.

    Raises:
        SourceUnavailable: the database does not answer.
        SourceMismatch: it refuses.
    """
    full = with_session(url, lock_timeout_s=lock_timeout_s)
    try:
        connection = interruptible(
            lambda: postgres.connect(full), cancel=None, discard=lambda late: late.close()
        )
    except adbc_driver_manager.Error as error:
        raise source_error(error) from error
    with connection:
        rows_of(connection, _LOOK_FOR_CLIENT)
        yield connection


def rows_of(
    connection: postgres.Connection, statement: str, *, table: str = ""
) -> list[tuple[object, ...]]:
    """All rows of a statement with few of them; `table` is what a lock is told of.

    Raises:
        SourceError: by what went wrong.
    """

    def ask() -> list[tuple[object, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    try:
        return interruptible(ask, cancel=connection.adbc_cancel)
    except adbc_driver_manager.Error as error:
        raise source_error(error, table=table) from error


def source_error(error: adbc_driver_manager.Error, *, table: str = "") -> SourceError:
    """Postgres says by SQLSTATE whether trying again may help."""
    state = (getattr(error, "sqlstate", None) or "").strip("\x00")
    text = str(error).strip().splitlines()[0]
    if state == "55P03":
        return SourceLocked(
            f"{table or 'a table'} is locked by another session, such as one that changes its "
            "columns or was left open in a transaction: see pg_stat_activity and "
            "pg_blocking_pids(), end that session or wait for it; LAKE_PLATFORM_LOCK_TIMEOUT_S is "
            "how long an export waits"
        )
    if state == "57014":
        return SourceCancelled(
            f"the platform database cancelled the statement: {text}; run it again by hand when it "
            "is known why"
        )
    # 08 connection, 40 serialization, 53 resources, 57 shutdown; none: libpq could not connect.
    if not state or state[:2] in {"08", "40", "53", "57"}:
        return SourceUnavailable(f"the platform database did not answer: {text}")
    return SourceMismatch(f"the platform database refused the export: {text}")
