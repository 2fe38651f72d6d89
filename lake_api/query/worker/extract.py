"""A query's rows, or a kept result's, streamed out of the worker as one file.

Belongs here: where the batches come from, the caps, the pipe's chunks.
Does not belong here: what a file looks like (`files`), views and the vote (`session`).

Nothing holds the whole: the engine gives batches as they are asked for, and a chunk is sent when it
is full. A pipe that nobody reads from stops the writer, and with it the engine.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute

from lake_api.query.messages import (
    ROWS_PER_BATCH,
    Chunk,
    Compression,
    Extraction,
    FileForm,
    StoredRows,
)
from lake_api.query.value_types import Door
from lake_api.query.worker.encode import UNWRITABLE, Unencodable
from lake_api.query.worker.execute import bound, derived
from lake_api.query.worker.files import open_file
from lake_api.query.worker.lowering import lowered, restored

# Its functions are made when it is loaded; type checkers do not see them.
pc: Any = pyarrow.compute
_CHUNK_BYTES = 1024 * 1024
_BATCH_BYTES = 16 * 1024 * 1024
_SAFE_INTEGER = 2**53 - 1
_SAFE_DIGITS = 15
_DOORS: Mapping[FileForm, Door] = {
    FileForm.ROWS: Door.KEPT,
    FileForm.CSV: Door.LINES,
    FileForm.JSONL: Door.LINES,
    FileForm.PARQUET: Door.PARQUET,
    FileForm.ARROW: Door.ARROW,
    FileForm.AVRO: Door.AVRO,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows in batches, with the names and types that their query gave them."""

    columns: tuple[str, ...]
    column_types: tuple[str, ...]
    schema: Any
    batches: Iterator[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What came of a file."""

    rows: int
    truncated: bool
    warnings: tuple[str, ...]
    text_columns: tuple[int, ...]


class ChunkPipe:
    """A file object whose bytes are sent on as chunks."""

    closed = False

    def __init__(self, job_id: int, send: Callable[[Chunk], None]) -> None:
        self._id = job_id
        self._send = send
        self._waiting = bytearray()
        self.total_bytes = 0
        self.rows = 0
        self.has_sent = False
        self._is_dropped = False

    def drop(self) -> None:
        """Take no more: a file that was broken off still writes its end when it is collected."""
        self._is_dropped = True
        self._waiting.clear()

    def write(self, data: Any) -> int:
        """Take bytes; send a chunk when there are enough of them."""
        size = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
        if self._is_dropped:
            return size
        self._waiting += data
        self.total_bytes += size
        while len(self._waiting) >= _CHUNK_BYTES:
            self.has_sent = True
            self._send(Chunk(id=self._id, data=bytes(self._waiting[:_CHUNK_BYTES]), rows=self.rows))
            del self._waiting[:_CHUNK_BYTES]
        return size

    def tell(self) -> int:
        """How many bytes were written."""
        return self.total_bytes

    def flush(self) -> None:
        """Nothing: chunks are sent when they are full."""

    def finish(self) -> None:
        """Send what is left."""
        if self._waiting:
            self._send(Chunk(id=self._id, data=bytes(self._waiting), rows=self.rows))
            self._waiting.clear()

    def close(self) -> None:
        """Nothing: the pipe outlives the file."""


def of_query(
    cursor: duckdb.DuckDBPyConnection, sql: str, form: FileForm, *, text_columns: Collection[int]
) -> Source:
    """The rows of a query, computed as they are asked for.

    Raises:
        Unsupported: a column has a type that can't be written.
    """
    relation = bound(cursor, sql)
    columns, kinds = tuple(relation.columns), relation.types
    change = lowered(columns, kinds, _DOORS[form], text_columns=text_columns)
    types = tuple(map(str, kinds))
    return derived(
        cursor, sql, relation, lambda whole: _source(change.apply(whole), columns, types)
    )


def of_stored(
    cursor: duckdb.DuckDBPyConnection,
    stored: StoredRows,
    form: FileForm,
    *,
    text_columns: Collection[int],
) -> Source:
    """The rows of a kept result."""
    reader = pa.ipc.open_file(pa.memory_map(stored.file))
    batches = (reader.get_batch(place) for place in range(reader.num_record_batches))
    rows = pa.RecordBatchReader.from_batches(reader.schema, batches)
    relation = restored(cursor.from_arrow(rows), stored.column_types)
    change = lowered(stored.columns, relation.types, _DOORS[form], text_columns=text_columns)
    return _source(change.apply(relation), stored.columns, stored.column_types)


def _source(
    relation: duckdb.DuckDBPyRelation, columns: tuple[str, ...], types: tuple[str, ...]
) -> Source:
    reader = relation.to_arrow_reader(ROWS_PER_BATCH)
    return Source(columns=columns, column_types=types, schema=reader.schema, batches=iter(reader))


def page_of(
    cursor: duckdb.DuckDBPyConnection, stored: StoredRows, *, first_row: int, rows: int
) -> tuple[Sequence[Sequence[Any]], tuple[str, ...]]:
    """Some rows of a kept result as the engine's Python values, and the types that they have."""
    reader = pa.ipc.open_file(pa.memory_map(stored.file))
    first_batch = first_row // ROWS_PER_BATCH
    last_batch = min((first_row + rows - 1) // ROWS_PER_BATCH + 1, reader.num_record_batches)
    batches = [reader.get_batch(place) for place in range(first_batch, last_batch)]
    if not batches:
        return [], stored.column_types
    table = pa.Table.from_batches(batches).slice(first_row - first_batch * ROWS_PER_BATCH, rows)
    relation = restored(cursor.from_arrow(table), stored.column_types)
    change = lowered(stored.columns, relation.types, Door.ROWS, exact=True)
    relation = change.apply(relation)
    # What is kept of a variant is its JSON.
    types = (
        "JSON" if known == "VARIANT" else str(kind)
        for kind, known in zip(relation.types, stored.column_types, strict=True)
    )
    return relation.fetchall(), tuple(types)


def write_file(
    source: Source, work: Extraction, pipe: ChunkPipe, *, check: Callable[[], None]
) -> Written:
    """Write rows until they end, or a cap is reached.

    Args:
        source: The rows.
        work: What is asked for.
        pipe: Where the bytes go.
        check: Is called between batches; raises when nobody wants the rest.

    Raises:
        Unencodable: a value can't be written.
    """
    exactness = _Exactness(source.schema, source.column_types)
    truncated, is_cut = False, False
    with open_file(
        pipe,
        work.form,
        work.compression,
        columns=source.columns,
        column_types=source.column_types,
        schema=source.schema,
    ) as file:
        for batch in _bounded(source.batches):
            check()
            if pipe.rows >= work.row_cap:
                # A row more than the cap proves that the file is truncated.
                truncated = True
                break
            if pipe.total_bytes >= work.byte_cap:
                truncated = is_cut = True
                break
            part = batch.slice(0, work.row_cap - pipe.rows)
            truncated = part.num_rows < batch.num_rows
            pipe.rows += part.num_rows
            if work.form is FileForm.ROWS:
                exactness.look_at(part)
            try:
                file.write(part)
            except UNWRITABLE as error:
                raise Unencodable(_first_bad(source, work, part)) from error
            if truncated:
                break
    pipe.finish()
    warnings = (
        (f"cut after {pipe.rows} rows: a result may have {work.byte_cap} bytes",) if is_cut else ()
    )
    return Written(
        rows=pipe.rows,
        truncated=truncated,
        warnings=(*file.warnings, *warnings),
        text_columns=tuple(sorted(exactness.damaged)),
    )


class _Nowhere:
    """A file object that keeps nothing."""

    closed = False

    def write(self, data: Any) -> int:
        return memoryview(data).nbytes

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _first_bad(source: Source, work: Extraction, batch: Any) -> str:
    """The column that can't be written, found by writing each of them alone."""
    for place, name in enumerate(source.columns):
        alone = batch.select([place])
        try:
            with open_file(
                _Nowhere(),
                work.form,
                Compression.NONE,
                columns=[name],
                column_types=[source.column_types[place]],
                schema=alone.schema,
            ) as file:
                file.write(alone)
        except UNWRITABLE:
            return name
    return ""


def _bounded(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches without empty ones, and with large ones in pieces."""
    for batch in batches:
        if not batch.num_rows:
            continue
        pieces = min(batch.num_rows, batch.nbytes // _BATCH_BYTES + 1)
        size = -(-batch.num_rows // pieces)
        for start in range(0, batch.num_rows, size):
            yield batch.slice(start, size)


class _Exactness:
    """Which columns of numbers have values that a JavaScript number can't hold."""

    def __init__(self, schema: Any, column_types: Sequence[str]) -> None:
        self.damaged: set[int] = set()
        self._wide = [
            place
            for place, (field, kind) in enumerate(zip(schema, column_types, strict=True))
            if field.type in {pa.int64(), pa.uint64()}
            or (pa.types.is_decimal(field.type) and field.type.precision > _SAFE_DIGITS)
            or kind == "UHUGEINT"
        ]

    def look_at(self, batch: Any) -> None:
        for place in self._wide:
            if place not in self.damaged and _is_damaged(batch.column(place)):
                self.damaged.add(place)


def _is_damaged(column: Any) -> bool:
    if pa.types.is_string(column.type):
        # Integers that Arrow has no type of.
        return any(int(text) > _SAFE_INTEGER for text in column.drop_null().to_pylist())
    ends = pc.min_max(column).as_py()
    if ends["min"] is None:
        return False
    largest = max(abs(ends["min"]), abs(ends["max"]))
    if not pa.types.is_decimal(column.type) or not column.type.scale:
        return largest > _SAFE_INTEGER
    if largest < Decimal(10) ** (_SAFE_DIGITS - column.type.scale):
        return False
    return any(
        Decimal(repr(float(value))) != value for value in column.to_pylist() if value is not None
    )
