"""Avro's types for the engine's: a schema, and columns as the values that it takes.

Belongs here: which Avro type a column becomes.
Does not belong here: writing the file (`files`).

Every column may be null. What Avro has no type of comes as text (`lowering`); 64-bit integers
without a sign and nested values become text here, as they are in CSV.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from lake_api.query.worker.column_text import text_of

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _is_long(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind)) and kind != pa.uint64()


def _is_zoned(kind: Any) -> bool:
    return bool(pa.types.is_timestamp(kind)) and kind.tz is not None


_TYPES: tuple[tuple[Callable[[Any], bool], Any], ...] = (
    (pa.types.is_boolean, "boolean"),
    (_is_long, "long"),
    (pa.types.is_floating, "double"),
    (pa.types.is_date32, {"type": "int", "logicalType": "date"}),
    (_is_zoned, {"type": "long", "logicalType": "timestamp-micros"}),
    (pa.types.is_timestamp, {"type": "long", "logicalType": "local-timestamp-micros"}),
    (pa.types.is_time64, {"type": "long", "logicalType": "time-micros"}),
    (pa.types.is_binary, "bytes"),
)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


def avro_schema(names: Sequence[str], schema: Any) -> dict[str, Any]:
    """The record type of a file; a name that Avro can't have is kept in `doc`."""
    fields: dict[str, dict[str, Any]] = {}
    for name, field in zip(names, schema, strict=True):
        called = _called(name, taken=fields)
        described: dict[str, Any] = {
            "name": called,
            "type": ["null", _type(field.type)],
            "default": None,
        }
        if called != name:
            described["doc"] = name
        fields[called] = described
    return {"type": "record", "name": "row", "namespace": "lake", "fields": list(fields.values())}


def _called(name: str, *, taken: dict[str, Any]) -> str:
    plain = name if _NAME.fullmatch(name) else "_" + _NOT_IN_NAMES.sub("_", name)
    candidate, number = plain, 1
    while candidate in taken:
        number += 1
        candidate = f"{plain}_{number}"
    return candidate


def _type(kind: Any) -> Any:
    if pa.types.is_decimal(kind):
        return {
            "type": "bytes",
            "logicalType": "decimal",
            "precision": kind.precision,
            "scale": kind.scale,
        }
    return next((avro for fits, avro in _TYPES if fits(kind)), "string")


def avro_columns(batch: Any, column_types: Sequence[str]) -> list[list[Any]]:
    """The columns of a batch as values that Avro's writer takes."""
    return [_values(column, kind) for column, kind in zip(batch.columns, column_types, strict=True)]


def _values(column: Any, kind: str) -> list[Any]:
    arrow = column.type
    if pa.types.is_timestamp(arrow):
        # Whole microseconds: quicker than Python's dates, and without their time zones.
        utc = column.cast(pa.timestamp("us", tz=arrow.tz))
        return utc.cast(pa.int64()).to_pylist()
    if pa.types.is_time64(arrow):
        return column.cast(pa.time64("us")).cast(pa.int64()).to_pylist()
    if pa.types.is_date32(arrow):
        return column.cast(pa.int32()).to_pylist()
    if _type(arrow) == "string":
        return text_of(column, kind).to_pylist()
    return column.to_pylist()
