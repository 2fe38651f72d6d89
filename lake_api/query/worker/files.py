"""Batches of rows as files: CSV, JSON lines, Parquet, Arrow, Avro, and kept results.

Belongs here: one writer per form, compression, names that a form can't have.
Does not belong here: values as text (`column_text`), where batches come from (`extract`).

Everything is imported when the worker starts: once it is locked, it can read no library any more.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any, Protocol, cast

import fastavro.write
import pyarrow as pa
import pyarrow.parquet as pq

from lake_api.query.messages import ROWS_PER_BATCH, Compression, FileForm
from lake_api.query.worker.avro_schema import avro_columns, avro_schema
from lake_api.query.worker.column_text import csv_header, csv_lines, json_lines
from lake_api.query.worker.encode import lost_warning

_ROW_GROUP_ROWS = 122_880
_ROW_GROUP_BYTES = 32 * 1024 * 1024
_PARQUET_CODECS: Mapping[Compression, str] = {
    Compression.NONE: "none",
    Compression.GZIP: "gzip",
    Compression.ZSTD: "zstd",
}


class RowFile(Protocol):
    """A file that takes batches; `warnings` are what its reader should know."""

    warnings: tuple[str, ...]

    def write(self, batch: Any) -> None:
        """Add rows."""
        ...


_NONE: Set[str] = frozenset()


class _Writer:
    warnings: tuple[str, ...] = ()

    def __init__(
        self, write: Callable[[Any], None], finish: Callable[[], None], *, lost: Set[str] = _NONE
    ) -> None:
        self.write = write
        self.finish = finish
        self.lost = lost
        """Columns with numbers that the form does not have."""


@contextmanager
def open_file(
    sink: Any,
    form: FileForm,
    compression: Compression,
    *,
    columns: Sequence[str],
    column_types: Sequence[str],
    schema: Any,
) -> Generator[RowFile]:
    """A file over `sink`, whole when the block is left without an error.

    Args:
        sink: A file object to write to.
        form: What the file is.
        compression: How it is compressed.
        columns: The names of the columns, which may repeat.
        column_types: Their types in the engine's words.
        schema: Their Arrow types.
    """
    out = pa.PythonFile(sink, mode="w")
    is_wrapped = compression is not Compression.NONE and form is not FileForm.PARQUET
    if is_wrapped:
        out = pa.CompressedOutputStream(out, compression.value)
    names = unique(columns)
    match form:
        case FileForm.ROWS:
            writer = _kept_rows(out, schema)
        case FileForm.CSV:
            out.write(csv_header(names))
            writer = _lines(out, lambda batch: csv_lines(batch, column_types))
        case FileForm.JSONL:
            writer = _json_lines(out, names, column_types)
        case FileForm.PARQUET:
            writer = _parquet(out, names, schema, compression)
        case FileForm.ARROW:
            writer = _arrow(out, names, schema)
        case FileForm.AVRO:
            writer = _avro(out, names, column_types, schema)
    if tuple(columns) != tuple(names):
        writer.warnings = ("columns that shared a name are numbered: " + ", ".join(names),)
    yield cast(RowFile, writer)
    writer.finish()
    if writer.lost:
        writer.warnings += tuple(map(lost_warning, sorted(writer.lost)))
    if is_wrapped:
        out.close()


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """The names, with numbers behind those that were there before."""
    found: dict[str, None] = {}
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in found:
            number += 1
            candidate = f"{name}_{number}"
        found[candidate.lower()] = None
    return tuple(_spelled(names, found))


def _spelled(names: Iterable[str], lowered: Iterable[str]) -> Iterable[str]:
    """The unique names in their own spelling."""
    for name, low in zip(names, lowered, strict=True):
        yield name + low[len(name) :]


def _lines(out: Any, text: Callable[[Any], bytes]) -> _Writer:
    def write(batch: Any) -> None:
        out.write(text(batch))

    return _Writer(write, out.flush)


def _json_lines(out: Any, names: Sequence[str], column_types: Sequence[str]) -> _Writer:
    lost: set[str] = set()

    def write(batch: Any) -> None:
        out.write(json_lines(batch, names, column_types, lost=lost))

    return _Writer(write, out.flush, lost=lost)


def _kept_rows(out: Any, schema: Any) -> _Writer:
    """Batches of equal size; columns are called by their place, for names may repeat."""
    placed = pa.schema([field.with_name(f"c{place}") for place, field in enumerate(schema)])
    options = pa.ipc.IpcWriteOptions(compression="zstd", unify_dictionaries=True)
    writer = pa.ipc.new_file(out, placed, options=options)
    waiting = _Waiting(placed)

    def flush(rows: int) -> None:
        writer.write_batch(waiting.take(rows))

    def write(batch: Any) -> None:
        waiting.add(batch)
        while waiting.rows >= ROWS_PER_BATCH:
            flush(ROWS_PER_BATCH)

    def finish() -> None:
        if waiting.rows:
            flush(waiting.rows)
        writer.close()

    return _Writer(write, finish)


class _Waiting:
    """Rows that wait for enough others."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._batches: list[Any] = []
        self.rows = 0
        self.size_bytes = 0

    def add(self, batch: Any) -> None:
        self._batches.append(pa.RecordBatch.from_arrays(batch.columns, schema=self._schema))
        self.rows += batch.num_rows
        self.size_bytes += batch.nbytes

    def table(self, rows: int) -> Any:
        """The first rows, taken away."""
        table = pa.Table.from_batches(self._batches, schema=self._schema)
        rest = table.slice(rows)
        self._batches = rest.to_batches()
        self.rows, self.size_bytes = rest.num_rows, rest.nbytes
        return table.slice(0, rows)

    def take(self, rows: int) -> Any:
        """The first rows as one batch, taken away."""
        [batch] = self.table(rows).combine_chunks().to_batches()
        return batch


def _parquet(
    out: Any,
    names: Sequence[str],
    schema: Any,
    compression: Compression,
) -> _Writer:
    stored = pa.schema(
        [pa.field(name, _plain(field.type)) for name, field in zip(names, schema, strict=True)]
    )
    writer = pq.ParquetWriter(
        out,
        stored,
        compression=_PARQUET_CODECS[compression],
        write_statistics=cast(Any, columns_with_statistics(stored)),
    )
    waiting = _Waiting(stored)

    def flush() -> None:
        writer.write_table(waiting.table(waiting.rows))

    def write(batch: Any) -> None:
        cells = [
            _as(column, field.type) for column, field in zip(batch.columns, stored, strict=True)
        ]
        waiting.add(pa.RecordBatch.from_arrays(cells, schema=stored))
        if waiting.rows >= _ROW_GROUP_ROWS or waiting.size_bytes >= _ROW_GROUP_BYTES:
            flush()

    def finish() -> None:
        if waiting.rows:
            flush()
        writer.close()

    return _Writer(write, finish)


def columns_with_statistics(schema: Any) -> list[str]:
    """The leaves of a Parquet file of this schema that get statistics: all but those of floats.

    Parquet leaves NaN out of minimum and maximum, and readers prune by these: a filter on a column
    of floats would lose rows, or take NaN for a number.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    described = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    leaves = [described.column(place) for place in range(len(described))]
    floats = {leaf.path for leaf in leaves if _is_float(leaf)}
    # A name with a dot can be spelled as a leaf of another column: both go without.
    return [leaf.path for leaf in leaves if leaf.path not in floats]


def _is_float(leaf: Any) -> bool:
    return leaf.physical_type in {"FLOAT", "DOUBLE"} or leaf.logical_type.type == "FLOAT16"


def _arrow(out: Any, names: Sequence[str], schema: Any) -> _Writer:
    stored = pa.schema(
        [pa.field(name, _plain(field.type)) for name, field in zip(names, schema, strict=True)]
    )
    writer = pa.ipc.new_stream(out, stored)

    def write(batch: Any) -> None:
        cells = [
            _as(column, field.type) for column, field in zip(batch.columns, stored, strict=True)
        ]
        writer.write_batch(pa.RecordBatch.from_arrays(cells, schema=stored))

    return _Writer(write, writer.close)


def _avro(out: Any, names: Sequence[str], column_types: Sequence[str], schema: Any) -> _Writer:
    described = avro_schema(names, schema)
    fields = [field["name"] for field in described["fields"]]
    writer: Any = fastavro.write.Writer(out, described)

    def write(batch: Any) -> None:
        cells = avro_columns(batch, column_types)
        for row in zip(*cells, strict=True):
            writer.write(dict(zip(fields, row, strict=True)))

    return _Writer(write, writer.flush)


def _plain(kind: Any) -> Any:
    """The type that other readers know: no dictionaries, and UTC under its usual name."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.timestamp(kind.unit, tz="UTC") if pa.types.is_timestamp(kind) and kind.tz else kind


def _as(column: Any, kind: Any) -> Any:
    return column if column.type == kind else column.cast(kind)
