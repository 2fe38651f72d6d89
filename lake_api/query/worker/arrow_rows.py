"""Rows as an Arrow IPC stream, in the engine's own types.

Belongs here: the schema's metadata, the byte cap, what is changed of the engine's types.
Does not belong here: running the query (`session`).

Arrow is loaded when the worker starts: once it is locked, it can read no library any more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from lake_api.query.worker.encode import EncodedRows, RowTooLarge, cut_warning

# Arrow's own allocator reserves address space by the gigabyte, which a worker does not have.
pa.set_memory_pool(pa.system_memory_pool())


def first_row(table: Any) -> list[Any] | None:
    """The values of the first row, by column; two columns may share a name."""
    return [_python(column[0]) for column in table.columns] if table.num_rows else None


def _python(value: Any) -> Any:
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        # A day that Python does not know.
        return str(value)


def encode_arrow(
    table: Any,
    *,
    columns: Sequence[str],
    types: Sequence[str],
    row_cap: int,
    byte_cap: int,
    metadata: Mapping[str, str],
    known_warnings: Sequence[str],
    warnings: Sequence[str],
) -> EncodedRows:
    """Whole rows until a cap is reached.

    Args:
        table: The rows, with one more than the cap where there are more.
        columns: The names of the columns, which may repeat.
        types: Their types in the engine's words.
        row_cap: Rows at most.
        byte_cap: Bytes of rows at most.
        metadata: What the schema says beside this.
        known_warnings: What the caller should know, and is told by others too.
        warnings: What else it should know.

    Raises:
        RowTooLarge: not even the first row fits.
    """
    batch = table.slice(0, row_cap).combine_chunks()
    rows = _fitting(batch, byte_cap)
    is_cut = rows < batch.num_rows
    told = (*warnings, *((cut_warning(rows, byte_cap, "Arrow"),) if is_cut else ()))
    schema = _schema(table.schema, columns).with_metadata(
        {
            **metadata,
            "lake.row_count": str(rows),
            "lake.truncated": "true" if rows < table.num_rows else "false",
            "lake.column_types": msgspec.json.encode(types).decode(),
            "lake.warnings": msgspec.json.encode((*known_warnings, *told)).decode(),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pa.Table.from_arrays(_utc(batch.slice(0, rows), schema), schema=schema))
    document = sink.getvalue().to_pybytes()
    return EncodedRows(document=document, count=rows, is_cut=is_cut, warnings=told)


def _schema(schema: Any, columns: Sequence[str]) -> Any:
    """The engine's schema with the text's own names, and with UTC under its usual name."""
    fields = [
        field.with_name(name).with_type(_named_utc(field.type))
        for field, name in zip(schema, columns, strict=True)
    ]
    return pa.schema(fields)


def _named_utc(kind: Any) -> Any:
    return pa.timestamp(kind.unit, tz="UTC") if pa.types.is_timestamp(kind) and kind.tz else kind


def _utc(table: Any, schema: Any) -> list[Any]:
    return [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]


def _fitting(table: Any, byte_cap: int) -> int:
    """How many rows fit."""
    if _size_bytes(table, table.num_rows) <= byte_cap:
        return table.num_rows
    fits, too_many = 0, table.num_rows
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if _size_bytes(table, middle) <= byte_cap:
            fits = middle
        else:
            too_many = middle
    if not fits:
        raise RowTooLarge
    return fits


def _size_bytes(table: Any, rows: int) -> int:
    batches = table.slice(0, rows).to_batches()
    return sum(pa.ipc.get_record_batch_size(batch) for batch in batches)
