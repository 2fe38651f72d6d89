"""The tables of the platform database, as the catalogue declares them.

Belongs here: CREATE, indexes, keys, the mark by which sample tables are known.
Does not belong here: rows.
"""

from typing import LiteralString

from psycopg import Connection, sql

from lake_assets.catalog import Column, ColumnType
from lake_assets.sample_data.frame import grid_of
from lake_assets.sample_data.keys import key_plan
from lake_assets.sample_data.spec import SampleDataRefused
from lake_assets.sample_data.tables import Table

MARK = "Sample data of the lake: may be dropped and filled again at any time."

_MOST_KEY_COLUMNS = 32
_POSTGRES_TYPES: dict[ColumnType, LiteralString] = {
    ColumnType.STRING: "text",
    ColumnType.INT64: "bigint",
    ColumnType.FLOAT64: "double precision",
    ColumnType.BOOL: "boolean",
    ColumnType.TIMESTAMP: "timestamptz",
    ColumnType.DATE: "date",
    ColumnType.DECIMAL: "numeric(18,6)",
    ColumnType.JSON: "jsonb",
}


def identifier(table: Table) -> sql.Identifier:
    """The table's name with its schema, quoted."""
    return sql.Identifier(table.source.schema, table.source.table)


def columns(table: Table) -> sql.Composed:
    """The names of its columns, in their order."""
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in table.dataset.columns)


def create(connection: Connection, table: Table) -> None:
    """Create the schema and the table where they are missing, and mark a new table as ours."""
    schema = sql.Identifier(table.source.schema)
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
    if mark_of(connection, table) is not None:
        return
    definitions = sql.SQL(", ").join(_definition(column) for column in table.dataset.columns)
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(identifier(table), definitions))
    connection.execute(
        sql.SQL("COMMENT ON TABLE {} IS {}").format(identifier(table), sql.Literal(MARK))
    )


def index(connection: Connection, table: Table) -> None:
    """Index the watermark and declare the primary key, where they are missing."""
    watermark = sql.Identifier(table.dataset.watermark)
    name = sql.Identifier(_short(f"{table.source.table}_{table.dataset.watermark}_idx"))
    connection.execute(
        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(
            name, identifier(table), watermark
        )
    )
    if identifies_rows(table) and not _has_primary_key(connection, table):
        key = sql.SQL(", ").join(sql.Identifier(column) for column in table.dataset.key)
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(identifier(table), key)
        )


def identifies_rows(table: Table) -> bool:
    """Whether the declared key is unique over the whole table, and not only within a day."""
    key = table.dataset.key
    is_unique = table.is_snapshot or key_plan(table, grid_of(table)).over_days
    return is_unique and 0 < len(key) <= _MOST_KEY_COLUMNS


def drop(connection: Connection, table: Table) -> None:
    """Drop a table that is ours.

    Raises:
        SampleDataRefused: it is not.
    """
    refuse_foreign(connection, table)
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(identifier(table)))


def refuse_foreign(connection: Connection, table: Table) -> None:
    """Let only missing tables and sample tables pass.

    Raises:
        SampleDataRefused: the database has a table of that name that was not made as sample data.
    """
    if mark_of(connection, table) not in {None, MARK}:
        raise SampleDataRefused(
            f"table {table.source.schema}.{table.source.table} exists and is not sample data: "
            "use an empty database"
        )


def mark_of(connection: Connection, table: Table) -> str | None:
    """The comment of the table, empty where it has none; None where there is no table."""
    row = connection.execute(
        "SELECT coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
        (table.source.schema, table.source.table),
    ).fetchone()
    return str(row[0]) if row else None


def _definition(column: Column) -> sql.Composed:
    required: LiteralString = " NOT NULL" if column.required else ""
    type_name = sql.SQL(_POSTGRES_TYPES[column.type])
    return sql.SQL("{} {}{}").format(sql.Identifier(column.name), type_name, sql.SQL(required))


def _has_primary_key(connection: Connection, table: Table) -> bool:
    row = connection.execute(
        "SELECT 1 FROM information_schema.table_constraints WHERE constraint_type = 'PRIMARY KEY' "
        "AND table_schema = %s AND table_name = %s",
        (table.source.schema, table.source.table),
    ).fetchone()
    return row is not None


def _short(name: str) -> str:
    return name[-63:]
