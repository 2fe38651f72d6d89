"""The platform database: declared columns of a Postgres table, streamed as Arrow batches.

Belongs here: reading Postgres through ADBC, one consistent view per export.
Does not belong here: which tables there are (`lake_assets.datasets`), writing (`storage`).

An export is one read-only REPEATABLE READ transaction in UTC, so that all days of a range come
from the same state. NUMERIC arrives as text and is cast to the declared decimal by
`storage.conform`; casts that Postgres would round are never asked of it.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as postgres
import pyarrow as pa

from lake_assets.catalog import Column, ColumnType, Dataset, Kind, PostgresSource
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable
from lake_assets.sources.read_ahead import read_ahead

_TEXT_TYPES = frozenset({"text", "varchar", "bpchar", "name", "citext"})
_SESSION = (
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_read_only", "on"),
    ("timezone", "UTC"),
    ("application_name", "lake-export"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformTable:
    """One table as the database has it: its columns' types by name, and how to read it."""

    dataset: Dataset
    types: Mapping[str, str]
    watermark_is_indexed: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """Declared columns that the table does not have; they are exported as nulls."""
        return tuple(name for name in self.dataset.column_names if name not in self.types)


class PlatformExport:
    """One dataset's rows within one transaction."""

    def __init__(self, connection: postgres.Connection, table: PlatformTable) -> None:
        self.connection = connection
        self.table = table

    def day(self, day: date) -> Generator[pa.RecordBatch]:
        """The rows of one partition: those of the UTC day, or all of them for a snapshot.

        Close it where it is not read to its end: the transaction can't end under an open cursor.

        Raises:
            SourceUnavailable: the database broke off.
        """
        with self.connection.cursor() as cursor:
            try:
                cursor.execute(select_statement(self.table, day))
                with cursor.fetch_record_batch() as reader:
                    yield from read_ahead(map(_plain, reader))
            except adbc_driver_manager.Error as error:
                raise _source_error(error) from error


@contextmanager
def open_export(url: str, dataset: Dataset) -> Generator[PlatformExport]:
    """Open the transaction that a dataset is exported in. `url` is a libpq URL.

    Raises:
        SourceUnavailable: the database does not answer.
        SourceMismatch: it has no such table, or a required column is missing.
    """
    try:
        connection = postgres.connect(with_session(url))
    except adbc_driver_manager.Error as error:
        raise _source_error(error) from error
    with connection:
        try:
            table = _describe(connection, dataset)
        except adbc_driver_manager.Error as error:
            raise _source_error(error) from error
        yield PlatformExport(connection, table)


def with_session(url: str) -> str:
    """The URL with the session settings of an export added to its `options`."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    settings = " ".join(
        f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in _SESSION
    )
    query["options"] = f"{query.get('options', '')} {settings}".strip()
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


def select_statement(table: PlatformTable, day: date) -> str:
    """The SELECT that reads one partition: declared columns only, in declared order.

    Rows are ordered by watermark and key where an index gives the watermark's order for little.
    """
    dataset = table.dataset
    columns = ", ".join(_column_sql(column, table.types) for column in dataset.columns)
    statement = f"SELECT {columns} FROM {_table_sql(dataset)}"  # noqa: S608 - declared names only
    if dataset.kind is Kind.EVENT:
        watermark = _utc(dataset.column(dataset.watermark), table.types)
        start = datetime.combine(day, datetime.min.time(), tzinfo=UTC)
        end = start + timedelta(days=1)
        if dataset.column(dataset.watermark).type is ColumnType.DATE:
            statement += f" WHERE {watermark} = DATE '{day.isoformat()}'"
        elif table.types[dataset.watermark] == "timestamp":
            # Compared bare, so that an index on the column is of use.
            name = _quoted(dataset.watermark)
            statement += f" WHERE {name} >= TIMESTAMP '{start:%Y-%m-%d}'"
            statement += f" AND {name} < TIMESTAMP '{end:%Y-%m-%d}'"
        else:
            statement += f" WHERE {watermark} >= TIMESTAMPTZ '{start.isoformat()}'"
            statement += f" AND {watermark} < TIMESTAMPTZ '{end.isoformat()}'"
    if table.watermark_is_indexed:
        order = [name for name in (dataset.watermark, *dataset.key) if name in table.types]
        statement += " ORDER BY " + ", ".join(_quoted(name) for name in dict.fromkeys(order))
    return statement


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch without ADBC's wrappers: NUMERIC comes as text marked as opaque."""
    arrays = [
        column.storage if isinstance(column.type, pa.BaseExtensionType) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _describe(connection: postgres.Connection, dataset: Dataset) -> PlatformTable:
    source = _postgres_source(dataset)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.attname::text, t.typname::text, EXISTS ("  # noqa: S608 - quoted literals
            "  SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid"
            "  AND i.indkey[0] = a.attnum AND i.indpred IS NULL AND i.indisvalid)"
            " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = {_literal(source.schema)} AND c.relname = {_literal(source.table)}"
            " AND a.attnum > 0 AND NOT a.attisdropped"
        )
        found = {name: (kind, indexed) for name, kind, indexed in cursor.fetchall()}
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
        types={name: kind for name, (kind, _) in found.items()},
        watermark_is_indexed=found[dataset.watermark][1],
    )


def _postgres_source(dataset: Dataset) -> PostgresSource:
    if not isinstance(dataset.source, PostgresSource):
        raise SourceMismatch(f"{dataset.partition} is not read from the platform database")
    return dataset.source


def _column_sql(column: Column, types: Mapping[str, str]) -> str:
    name = _quoted(column.name)
    kind = types.get(column.name)
    if kind is None:
        return (
            f"NULL::text AS {name}"
            if _is_text(column)
            else f"NULL::{_NULLS[column.type]} AS {name}"
        )
    if _is_text(column) and kind not in _TEXT_TYPES:
        return f"{name}::text AS {name}"
    if column.type is ColumnType.FLOAT64 and kind == "numeric":
        return f"{name}::float8 AS {name}"
    if column.type is ColumnType.TIMESTAMP:
        return f"{_utc(column, types)} AS {name}"
    return name


_NULLS = {
    ColumnType.INT64: "int8",
    ColumnType.FLOAT64: "float8",
    ColumnType.BOOL: "bool",
    ColumnType.TIMESTAMP: "timestamptz",
    ColumnType.DATE: "date",
    ColumnType.DECIMAL: "text",
}


def _is_text(column: Column) -> bool:
    return column.type in {ColumnType.STRING, ColumnType.JSON}


def _utc(column: Column, types: Mapping[str, str]) -> str:
    """A timestamp without zone is UTC by house rule."""
    name = _quoted(column.name)
    return f"{name} AT TIME ZONE 'UTC'" if types.get(column.name) == "timestamp" else name


def _table_sql(dataset: Dataset) -> str:
    source = _postgres_source(dataset)
    return f"{_quoted(source.schema)}.{_quoted(source.table)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _source_error(error: adbc_driver_manager.Error) -> SourceUnavailable | SourceMismatch:
    """Postgres says by SQLSTATE class whether trying again may help."""
    state = getattr(error, "sqlstate", None) or ""
    text = str(error).strip().splitlines()[0]
    # 08 connection, 40 serialization, 53 resources, 57 shutdown; none: libpq could not connect.
    if not state.strip("\x00") or state[:2] in {"08", "40", "53", "57"}:
        return SourceUnavailable(f"the platform database did not answer: {text}")
    return SourceMismatch(f"the platform database refused the export: {text}")
