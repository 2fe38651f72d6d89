"""Opening the database: SQLite in a file by default, Postgres by URL.

Belongs here: engine, sessions, migrations at start.
Does not belong here: queries (each domain's `store.py`).
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from lake_api.database.base import Table
from lake_api.errors import ServiceUnavailable
from lake_api.settings import SettingsError

_MIGRATIONS = Path(__file__).parent / "migrations"
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}
_BUSY_TIMEOUT_MS = 10_000
_CONNECT_TIMEOUT_S = 5
_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
# A table of ours: a file or schema that was replaced by another one is no database of ours.
_LOOK = text("SELECT version_num FROM alembic_version LIMIT 1")
_ANSWER_S = 2.0
# Alembic keeps what it works on in module globals: one thread of a process at a time.
_MIGRATING = threading.Lock()


class Database:
    """The database of one process. Made by `open`, ended by `close`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @classmethod
    async def open(cls, url: str) -> "Database":
        """The database at a URL, its tables brought up to date.

        Args:
            url: `sqlite:///file` or `postgresql://…`; the driver is ours to choose.

        Raises:
            SettingsError: it is no URL of a database that is supported, or can't be opened.
        """
        parsed = _parse(url)
        try:
            await asyncio.to_thread(_migrate, parsed)
            engine = create_async_engine(
                parsed, pool_pre_ping=parsed.drivername != "sqlite+aiosqlite"
            )
        except (OSError, SQLAlchemyError) as error:
            raise _unusable(error) from error
        if parsed.get_backend_name() == "sqlite":
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return cls(engine)

    @staticmethod
    def require_usable(url: str) -> None:
        """Bring the tables up to date, so that a database that can't serve is found at the start.

        Raises:
            SettingsError: the URL is none, the database does not answer, or it holds the tables
                of another program or of a newer version of the service.
        """
        parsed = _parse(url)
        try:
            engine = _plain_engine(parsed)
            try:
                with engine.connect() as connection:
                    _require_ours(connection)
            finally:
                engine.dispose()
            _migrate(parsed)
        except (OSError, SQLAlchemyError) as error:
            raise _unusable(error) from error

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[AsyncSession]:
        """A transaction: committed at the end of the block, undone when it fails.

        Raises:
            ServiceUnavailable: the database does not answer (`database_unavailable`).
        """
        try:
            async with self._sessions.begin() as session:
                yield session
        except DBAPIError as error:
            if error.connection_invalidated or not _is_ours(error):
                raise database_unavailable() from error
            raise
        except OSError as error:
            raise database_unavailable() from error

    async def answers(self) -> bool:
        """Whether it can be read within a moment."""
        try:
            async with asyncio.timeout(_ANSWER_S), self.session() as session:
                await session.execute(_LOOK)
        except (ServiceUnavailable, SQLAlchemyError, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


async def take_turn(session: AsyncSession, name: str) -> None:
    """Hold the turn of a name until the transaction ends, whichever replica's it is.

    What is written after this and counted then is counted with what all others have written.
    """
    # SQLite has one writer at a time by itself, from its first write on.
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(_TURN, {"name": name})


def open_engine(url: str, *, lock_timeout_s: float) -> Engine:
    """The same database for a thread of one's own, with one connection.

    Args:
        url: as `Database.open` takes it; its tables are up to date.
        lock_timeout_s: how long a statement waits for another writer.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() != "sqlite":
        # psycopg is both; a database that hangs must not hold up whoever waits for it.
        options = {
            "connect_timeout": 2,
            "tcp_user_timeout": int(lock_timeout_s * 1_000),
            "options": f"-c lock_timeout={int(lock_timeout_s)}s",
        }
        return create_engine(parsed, pool_size=1, max_overflow=0, connect_args=options)
    engine = create_engine(parsed.set(drivername="sqlite"), pool_size=1, max_overflow=0)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "connect", _prepare_writer(lock_timeout_s))
    return engine


def _prepare_writer(lock_timeout_s: float) -> Callable[[Any, object], None]:
    def prepare(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(lock_timeout_s * 1_000)}")
        # With a write-ahead log nothing of a committed row is lost when the process ends, however
        # it ends; only a machine that loses power may lose the last ones.
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()

    return prepare


def _is_ours(error: DBAPIError) -> bool:
    """Whether a statement broke a rule of a table, which is the domain's business to explain."""
    return type(error).__name__ in {"IntegrityError", "DataError", "ProgrammingError"}


def database_unavailable() -> ServiceUnavailable:
    """What is told when the database does not answer."""
    return ServiceUnavailable(
        "The service's database does not answer.",
        code="database_unavailable",
        hint="Try again in a moment.",
        retry=True,
        retry_after_s=5,
    )


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    driver = _DRIVERS.get(parsed.get_backend_name()) if parsed is not None else None
    if parsed is None or driver is None:
        # Not the text itself: it may have a password.
        raise SettingsError("LAKE_DATABASE_URL: must begin with sqlite:/// or postgresql://")
    return parsed.set(drivername=driver)


def _migrate(url: URL) -> None:
    """Bring all tables up to date; two processes that start at once take turns."""
    engine = _plain_engine(url)
    try:
        with engine.connect() as connection:
            config = _migrations()
            config.attributes["connection"] = connection
            with _MIGRATING:
                command.upgrade(config, "heads")
    finally:
        engine.dispose()


def _plain_engine(url: URL) -> Engine:
    """An engine for one thread that waits a few seconds at most for a server to answer."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url, connect_args={"connect_timeout": _CONNECT_TIMEOUT_S})
    url = url.set(drivername="sqlite")
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _migrations() -> Config:
    config = Config()
    # The configuration's own syntax would read a % of the path as the start of a name.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _require_ours(connection: Connection) -> None:
    scripts = ScriptDirectory.from_config(_migrations())
    known = {script.revision for script in scripts.walk_revisions()}
    found = set(MigrationContext.configure(connection).get_current_heads())
    if foreign := found - known:
        raise SettingsError(
            "LAKE_DATABASE_URL: the database belongs to another program or to a newer version of "
            f"the service (revision {min(foreign)[:40]}); name an empty database, or start that "
            "version"
        )
    if not found and (
        clash := set(inspect(connection).get_table_names()) & set(Table.metadata.tables)
    ):
        raise SettingsError(
            f"LAKE_DATABASE_URL: the database has a table `{min(clash)}` of another program; name "
            "an empty database"
        )


def _unusable(error: Exception) -> SettingsError:
    # Not the driver's own words: they may hold the URL with its password.
    return SettingsError(
        f"LAKE_DATABASE_URL: the database can't be opened ({type(error).__name__}); it must exist, "
        "answer, and let the service's role make tables"
    )


def _prepare_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
