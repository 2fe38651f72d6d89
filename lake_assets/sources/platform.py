"""The platform database: declared columns of a Postgres table, streamed as Arrow batches.

Belongs here: reading Postgres through ADBC, one consistent view per export.
Does not belong here: which tables there are (`lake_assets.datasets`), writing (`storage`), what
becomes of a Postgres type (`postgres_types`, `postgres_values`).

An export is one read-only REPEATABLE READ transaction in UTC, so that all days of a range come
from the same state.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as postgres
import pyarrow as pa

from lake_assets.catalog import Column, ColumnType, Dataset, Kind, PostgresSource
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.postgres_session import (
    DEFAULT_LOCK_TIMEOUT_S,
    open_session,
    rows_of,
    source_error,
)
from lake_assets.sources.postgres_types import Reading, reading_of
from lake_assets.sources.postgres_values import Decoder, Nulled
from lake_assets.sources.read_ahead import read_ahead
from lake_assets.sources.waiting import interruptible


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformTable:
    """One table as the database has it: its columns' types by name, and how to read it.

    `types` are names of `pg_catalog`, of the base type for a domain, or `other`; `shown_types` are
    as people write them.
    """

    dataset: Dataset
    types: Mapping[str, str]
    watermark_is_indexed: bool
    watermark_is_never_null: bool = False
    shown_types: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def missing(self) -> tuple[str, ...]:
        """Declared columns that the table does not have; they are exported as nulls."""
        return tuple(name for name in self.dataset.column_names if name not in self.types)

    @property
    def readings(self) -> Mapping[str, Reading]:
        """How each column that the table has is read.

        Raises:
            SourceMismatch: a column is of a type that can't be read as the declared one.
        """
        readings: dict[str, Reading] = {}
        for column in self.dataset.columns:
            if column.name not in self.types:
                continue
            reading = reading_of(self.types[column.name], column.type)
            if reading is None:
                shown = self.shown_types.get(column.name) or self.types[column.name]
                raise SourceMismatch(
                    f"{self.dataset.partition}: column `{column.name}` is declared "
                    f"{column.type.value} and is `{shown}` in Postgres, which is not read as that; "
                    "declare it as another type, such as string, or change the table"
                )
            readings[column.name] = reading
        return readings


class PlatformExport:
    """One dataset's rows within one transaction; `nulled` counts by day what became null."""

    def __init__(self, connection: postgres.Connection, table: PlatformTable) -> None:
        self.connection = connection
        self.table = table
        # Here, so that a type that is not read is refused before the first row is.
        self._readings = table.readings
        self.nulled: dict[date, Mapping[str, Nulled]] = {}

    def day(self, day: date) -> Generator[pa.RecordBatch]:
        """The rows of one partition: those of the UTC day, or all of them for a snapshot.

        Close it where it is not read to its end: the transaction can't end under an open cursor.

        Raises:
            SourceError: the database broke off, cancelled the statement, or has the table locked.
            SchemaMismatch: a row does not fit the declaration.
        """
        table, cancel = self.table, self.connection.adbc_cancel
        decoder = Decoder(table.dataset, self._readings, table.shown_types)
        self.nulled[day] = decoder.nulled
        statement = select_statement(table, day)
        with self.connection.cursor() as cursor:
            try:
                interruptible(lambda: cursor.execute(statement), cancel=cancel)
                yield from read_ahead(map(decoder.decode, _batches(cursor)), cancel=cancel)
            except adbc_driver_manager.Error as error:
                raise source_error(error, table=table_name(table.dataset)) from error


def _batches(cursor: postgres.Cursor) -> Iterator[pa.RecordBatch]:
    # Not `fetch_record_batch`: its errors come without their SQLSTATE, as errors of a file.
    results = cursor._results  # pyright: ignore[reportPrivateUsage]
    if results is None:
        return
    with results.reader as reader:
        while True:
            try:
                yield reader.read_next_batch()
            except StopIteration:
                return


@contextmanager
def open_export(
    url: str, dataset: Dataset, *, lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT_S
) -> Generator[PlatformExport]:
    """Open the transaction that a dataset is exported in. `url` is a libpq URL.

    Raises:
        SourceUnavailable: the database does not answer.
        SourceMismatch: it has no such table, or a required column is missing or of another type.
    """
    with open_session(url, lock_timeout_s=lock_timeout_s) as connection:
        table = _describe(connection, dataset)
        yield PlatformExport(connection, table)


def select_statement(table: PlatformTable, day: date) -> str:
    """The SELECT that reads one partition: declared columns only, in declared order.

    Rows are ordered by watermark and key where an index gives the watermark's order for little.
    """
    dataset = table.dataset
    readings = table.readings
    columns = ", ".join(_column_sql(column, readings) for column in dataset.columns)
    statement = f"SELECT {columns} FROM {table_sql(dataset)}"  # noqa: S608 - declared names only
    if dataset.kind is Kind.EVENT:
        statement += f" WHERE {days_sql(table, day, day)}"
    if table.watermark_is_indexed:
        order = [name for name in (dataset.watermark, *dataset.key) if name in table.types]
        statement += " ORDER BY " + ", ".join(quoted(name) for name in dict.fromkeys(order))
    return statement


def days_sql(table: PlatformTable, first: date, last: date) -> str:
    """The condition on rows of the UTC days from `first` to `last`.

    The watermark is compared bare, so that an index on the column is of use.
    """
    name, end = quoted(table.dataset.watermark), last + timedelta(days=1)
    return f"{name} >= {moment_sql(table, first)} AND {name} < {moment_sql(table, end)}"


def moment_sql(table: PlatformTable, day: date) -> str:
    """The start of a UTC day, in the type of the watermark."""
    if table.dataset.column(table.dataset.watermark).type is ColumnType.DATE:
        return f"DATE '{day.isoformat()}'"
    if table.types[table.dataset.watermark] == "timestamp":
        return f"TIMESTAMP '{day.isoformat()}'"
    start = datetime.combine(day, datetime.min.time(), tzinfo=UTC)
    return f"TIMESTAMPTZ '{start.isoformat()}'"


_DESCRIBE = """
WITH RECURSIVE declared AS (
  SELECT a.attname, a.attnum, a.attrelid, a.atttypid, a.atttypmod, a.attnotnull
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = {schema} AND c.relname = {table} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND a.attnum > 0 AND NOT a.attisdropped
), resolved AS (
  SELECT attname, atttypid AS typid FROM declared
  UNION ALL
  SELECT r.attname, t.typbasetype FROM resolved r
  JOIN pg_catalog.pg_type t ON t.oid = r.typid WHERE t.typtype = 'd'
)
SELECT d.attname::text,
  CASE WHEN n.nspname = 'pg_catalog' THEN t.typname::text ELSE 'other' END,
  pg_catalog.format_type(d.atttypid, d.atttypmod),
  EXISTS (
    SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = d.attrelid
    AND i.indkey[0] = d.attnum AND i.indpred IS NULL AND i.indisvalid
  ),
  d.attnotnull
FROM declared d JOIN resolved r USING (attname)
JOIN pg_catalog.pg_type t ON t.oid = r.typid AND t.typtype <> 'd'
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
"""


def _describe(connection: postgres.Connection, dataset: Dataset) -> PlatformTable:
    source = _postgres_source(dataset)
    statement = _DESCRIBE.format(schema=_literal(source.schema), table=_literal(source.table))
    found = {str(row[0]): row[1:] for row in rows_of(connection, statement)}
    if not found:
        raise SourceMismatch(
            f"{dataset.partition}: the platform database has no table "
            f"{source.schema}.{source.table}, or this role may not see it"
        )
    required = [
        column.name for column in dataset.columns if column.required and column.name not in found
    ]
    if required or dataset.watermark not in found:
        name = required[0] if required else dataset.watermark
        raise SourceMismatch(
            f"{dataset.partition}: table {source.schema}.{source.table} has no column `{name}`, "
            "which the declaration requires"
        )
    return PlatformTable(
        dataset=dataset,
        types={name: str(row[0]) for name, row in found.items()},
        shown_types={name: str(row[1]) for name, row in found.items()},
        watermark_is_indexed=bool(found[dataset.watermark][2]),
        watermark_is_never_null=bool(found[dataset.watermark][3]),
    )


def _postgres_source(dataset: Dataset) -> PostgresSource:
    if not isinstance(dataset.source, PostgresSource):
        raise SourceMismatch(f"{dataset.partition} is not read from the platform database")
    return dataset.source


def _column_sql(column: Column, readings: Mapping[str, Reading]) -> str:
    name = quoted(column.name)
    reading = readings.get(column.name)
    if reading is None:
        return f"NULL::{_NULLS.get(column.type, 'text')} AS {name}"
    return name if reading.sql == "{}" else f"{reading.sql.format(name)} AS {name}"


_NULLS = {
    ColumnType.INT64: "int8",
    ColumnType.FLOAT64: "float8",
    ColumnType.BOOL: "bool",
    ColumnType.TIMESTAMP: "timestamptz",
    ColumnType.DATE: "date",
}


def table_name(dataset: Dataset) -> str:
    """The table as people write it."""
    source = _postgres_source(dataset)
    return f"{source.schema}.{source.table}"


def table_sql(dataset: Dataset) -> str:
    """The table as SQL writes it."""
    source = _postgres_source(dataset)
    return f"{quoted(source.schema)}.{quoted(source.table)}"


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
