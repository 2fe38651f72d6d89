"""The query service's own database: declared columns of one of its tables, as Arrow batches.

Belongs here: reading SQLite or Postgres, whichever the service uses, in one transaction per export.
Does not belong here: the tables themselves (the service makes them), reading the platform database
(`platform`, which also reads this one where it is Postgres).
"""

import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import cast
from urllib.parse import quote

import pyarrow as pa

from lake_assets.catalog import Column, ColumnType, Dataset, PostgresSource, ServiceSource
from lake_assets.sources.batches import to_batches
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable

_BUSY_TIMEOUT_S = 10.0
_FETCHED_ROWS = 5_000
_SQLITE = "sqlite:///"

DayReader = Callable[[date], Generator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceExport:
    """One state of a table: `read` gives the rows of a UTC day, but for days in `removed`.

    Of those the service has removed its rows, which the lake has: reading one raises
    `SourceMismatch`, since what is left would take the place of more.
    """

    read: DayReader
    removed: frozenset[date]


@contextmanager
def open_service_export(url: str, dataset: Dataset) -> Generator[ServiceExport]:
    """What reads the rows of a day; all days of an export come from the same state.

    Args:
        url: `sqlite:///file` or `postgresql://…`, as the service is given it.
        dataset: what to read; its columns are the table's, by name.

    Raises:
        SourceUnavailable: the database does not answer.
        SourceMismatch: it has no such table or column, or the URL is of another database.
    """
    table = _table(dataset)
    if url.startswith(_SQLITE):
        with _open_sqlite(url.removeprefix(_SQLITE), dataset, table) as read:
            yield read
        return
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise SourceMismatch("LAKE_DATABASE_URL must begin with sqlite:/// or postgresql://")
    # The driver imports pandas where that is installed: half a second for runs that need it.
    from lake_assets.sources.platform import open_export  # noqa: PLC0415
    from lake_assets.sources.postgres_session import rows_of  # noqa: PLC0415

    as_postgres = replace(dataset, source=PostgresSource(table=table))
    with open_export(f"postgresql://{rest}", as_postgres) as source:
        if source.table.missing:
            raise _lacks(dataset, source.table.missing[0])
        (found,) = rows_of(source.connection, f"SELECT to_regclass('{table}_pruned') IS NOT NULL")
        removed: frozenset[date] = frozenset()
        if found[0]:
            statement = f"SELECT day FROM {table}_pruned"  # noqa: S608 - a declared name
            removed = frozenset(cast(date, row[0]) for row in rows_of(source.connection, statement))
        yield _export(dataset, removed, source.day)


@contextmanager
def _open_sqlite(file: str, dataset: Dataset, table: str) -> Generator[ServiceExport]:
    path = Path(file.partition("?")[0])
    if not path.is_file():
        raise SourceUnavailable(
            f"{dataset.partition}: the service's database is not there: it is made when the "
            "service starts"
        )
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro",
            uri=True,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
        )
    except sqlite3.Error as error:
        raise _unavailable(error) from error
    with closing(connection):
        try:
            connection.execute("BEGIN")
            found = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        except sqlite3.Error as error:
            raise _unavailable(error) from error
        missing = [name for name in dataset.column_names if name not in found]
        if missing:
            raise _lacks(dataset, missing[0])

        def read(day: date) -> Generator[pa.RecordBatch]:
            return _sqlite_day(connection, dataset, table, day)

        yield _export(dataset, _removed_of_sqlite(connection, table), read)


def _removed_of_sqlite(connection: sqlite3.Connection, table: str) -> frozenset[date]:
    try:
        if not connection.execute(f"PRAGMA table_info({table}_pruned)").fetchall():
            return frozenset()
        found = connection.execute(f"SELECT day FROM {table}_pruned")  # noqa: S608 - a declared name
        return frozenset(date.fromisoformat(row[0]) for row in found)
    except sqlite3.Error as error:
        raise _unavailable(error) from error


def said_of_removed(day: date) -> str:
    """Why a removed day is not written, for people."""
    return (
        f"the service has removed its rows of {day}, which are in the lake; the day stays there as "
        "it is"
    )


def _export(dataset: Dataset, removed: frozenset[date], read: DayReader) -> ServiceExport:
    def read_day(day: date) -> Generator[pa.RecordBatch]:
        if day in removed:
            raise SourceMismatch(f"{dataset.partition}: {said_of_removed(day)}")
        return read(day)

    return ServiceExport(read=read_day, removed=removed)


def _sqlite_day(
    connection: sqlite3.Connection, dataset: Dataset, table: str, day: date
) -> Generator[pa.RecordBatch]:
    names = ", ".join(dataset.column_names)
    statement = (
        f"SELECT {names} FROM {table}"  # noqa: S608 - declared names only
        f" WHERE {dataset.watermark} >= ? AND {dataset.watermark} < ?"
        f" ORDER BY {', '.join((dataset.watermark, *dataset.key))}"
    )
    # Timestamps are stored as text in UTC, which sorts as they do.
    bounds = (f"{day} 00:00:00", f"{day + timedelta(days=1)} 00:00:00")
    try:
        with closing(connection.execute(statement, bounds)) as cursor:
            yield from to_batches(_rows(cursor, dataset.columns), dataset)
    except sqlite3.Error as error:
        raise _unavailable(error) from error


def _rows(cursor: sqlite3.Cursor, columns: Sequence[Column]) -> Iterator[Mapping[str, object]]:
    while some := cursor.fetchmany(_FETCHED_ROWS):
        for row in some:
            yield {
                column.name: _value(column, value)
                for column, value in zip(columns, row, strict=True)
            }


def _value(column: Column, value: object) -> object:
    """SQLite keeps numbers, texts and nothing else."""
    match column.type, value:
        case ColumnType.TIMESTAMP, str():
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        case ColumnType.FLOAT64, int():
            return float(value)
        case ColumnType.BOOL, int():
            return bool(value)
        case _:
            return value


def _table(dataset: Dataset) -> str:
    if not isinstance(dataset.source, ServiceSource):
        raise SourceMismatch(f"{dataset.partition} is not read from the service's database")
    return dataset.source.table


def _lacks(dataset: Dataset, column: str) -> SourceMismatch:
    return SourceMismatch(
        f"{dataset.partition}: the service's database has no column `{column}` in this table: it "
        "belongs to another version of the service"
    )


def _unavailable(error: sqlite3.Error) -> SourceUnavailable:
    return SourceUnavailable(f"the service's database did not answer: {error}")
