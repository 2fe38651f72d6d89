"""Filling the platform database with the sample.

Belongs here: connecting, copying rows, late rows, the report.
Does not belong here: what the rows are (`resolve`), DDL (`ddl`).
"""

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import Connection, sql

from lake_assets.catalog import Catalog, ColumnType
from lake_assets.sample_data import ddl
from lake_assets.sample_data.frame import Frame, Frames
from lake_assets.sample_data.resolve import make
from lake_assets.sample_data.spec import SampleDataBroken, SampleReport, SampleSpec, TableReport
from lake_assets.sample_data.tables import Table, sample_tables
from lake_assets.sample_data.values import to_arrow

_CSV = pa_csv.WriteOptions(include_header=False)


def load_sample_data(
    url: str,
    catalog: Catalog,
    spec: SampleSpec,
    *,
    progress: Callable[[str, int], None] | None = None,
) -> SampleReport:
    """Fill the tables behind every dataset that is exported from Postgres.

    Each table is dropped, created, filled and indexed in a transaction of its own, so that a
    reader never sees half of one. `progress` is called with the partition and its rows when a
    table is done.

    Raises:
        SampleDataRefused: a table exists that is not sample data; no table was changed.
        SampleDataBroken: the rows made for a table do not fit it; that table is as it was.
    """
    begin = time.perf_counter()
    tables = sample_tables(catalog)
    frames = Frames(tables, spec, make)
    reports: list[TableReport] = []
    with _connect(url) as connection:
        for table in tables.values():
            ddl.refuse_foreign(connection, table)
        for partition, table in tables.items():
            start = time.perf_counter()
            try:
                rows = _fill(connection, table, _frames_of(frames, table))
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                why = str(error).splitlines()[0]
                raise SampleDataBroken(
                    f"the rows made for {partition} do not fit: {why}"
                ) from error
            duration_s = time.perf_counter() - start
            name = f"{table.source.schema}.{table.source.table}"
            reports.append(
                TableReport(partition=partition, table=name, rows=rows, duration_s=duration_s)
            )
            if progress is not None:
                progress(partition, rows)
    return SampleReport(tables=tuple(reports), duration_s=time.perf_counter() - begin)


def create_tables(url: str, catalog: Catalog) -> None:
    """Create the tables of the catalogue that are missing, with their indexes, without rows."""
    with _connect(url) as connection:
        for table in sample_tables(catalog).values():
            with connection.transaction():
                ddl.create(connection, table)
                ddl.index(connection, table)


def late_rows(
    url: str,
    catalog: Catalog,
    day: date,
    rows: int,
    *,
    partitions: Sequence[str] | None = None,
) -> Mapping[str, int]:
    """Add rows to a past day, as a source does that sends them late.

    They are copies of rows that the day has, in the order of the table's key, with a new key and
    the old times: an export of that day made before does not have them, and one made after does.
    A day without rows gets none. Called again, it adds further ones.

    Returns:
        How many were added, by partition: to the event tables of `partitions`, or to all.
    """
    added: dict[str, int] = {}
    with _connect(url) as connection:
        for partition, table in sample_tables(catalog).items():
            wanted = partitions is None or partition in partitions
            if wanted and not table.is_snapshot and _new_key(table) is not None:
                with connection.transaction():
                    added[partition] = _add_late(connection, table, day, rows)
    return added


def batch(frame: Frame) -> pa.RecordBatch:
    """All columns of a frame, in the order of the declaration."""
    declared = frame.table.dataset.columns
    arrays = [to_arrow(frame.values(column.name), column.type) for column in declared]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in declared])


def _connect(url: str) -> Connection:
    return psycopg.connect(url, autocommit=True, options="-c timezone=UTC")


def _frames_of(frames: Frames, table: Table) -> Iterator[Frame]:
    for day in frames.days(table):
        for part, rows in enumerate(frames.parts(table, day)):
            if rows:
                yield frames.frame(table, day, part)


def _fill(connection: Connection, table: Table, frames: Iterator[Frame]) -> int:
    """Replace one table, in one transaction; how many rows it has."""
    with connection.transaction():
        ddl.drop(connection, table)
        ddl.create(connection, table)
        rows = _copy(connection, table, frames)
        ddl.index(connection, table)
        connection.execute(sql.SQL("ANALYZE {}").format(ddl.identifier(table)))
    return rows


def _copy(connection: Connection, table: Table, frames: Iterator[Frame]) -> int:
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT csv, FREEZE)").format(
        ddl.identifier(table), ddl.columns(table)
    )
    copied = 0
    # The next rows are made while the server takes the last ones.
    with (
        ThreadPoolExecutor(max_workers=1) as pool,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        pending = pool.submit(_next_text, frames)
        while True:
            text, rows = pending.result()
            if not rows:
                return copied
            pending = pool.submit(_next_text, frames)
            copy.write(text)
            copied += rows


def _next_text(frames: Iterator[Frame]) -> tuple[memoryview, int]:
    frame = next(frames, None)
    if frame is None:
        return memoryview(b""), 0
    text = io.BytesIO()
    # Arrow quotes every text and leaves nulls bare, which is how COPY tells '' from NULL.
    pa_csv.write_csv(batch(frame), text, _CSV)
    return text.getbuffer(), frame.rows


def _new_key(table: Table) -> str | None:
    """The text column of the key that a further row must have another value in."""
    for name in table.dataset.key:
        is_text = table.dataset.column(name).type is ColumnType.STRING
        if is_text and all(link.column != name for link in table.links):
            return name
    return None


def _add_late(connection: Connection, table: Table, day: date, rows: int) -> int:
    new = _new_key(table) or ""
    key, watermark = sql.Identifier(new), sql.Identifier(table.dataset.watermark)
    of_day = sql.SQL("FROM {} WHERE {} >= %s AND {} < %s AND {} {} '%%-late-%%'")
    bounds = (f"{day.isoformat()} 00:00+00", f"{(day + timedelta(days=1)).isoformat()} 00:00+00")
    early, late = (
        of_day.format(ddl.identifier(table), watermark, watermark, key, sql.SQL(comparison))
        for comparison in ("NOT LIKE", "LIKE")
    )
    known = connection.execute(sql.SQL("SELECT count(*) ") + late, bounds).fetchone()
    selected = sql.SQL(", ").join(
        sql.SQL("{} || {}").format(key, sql.Literal(f"-late-{known[0] if known else 0}"))
        if column.name == new
        else sql.Identifier(column.name)
        for column in table.dataset.columns
    )
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {} {} ORDER BY {} LIMIT %s").format(
        ddl.identifier(table), ddl.columns(table), selected, early, key
    )
    return connection.execute(statement, (*bounds, rows)).rowcount
