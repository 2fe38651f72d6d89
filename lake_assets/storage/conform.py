"""Forcing a batch into the declared schema, or saying exactly why it does not fit.

Belongs here: casts that lose nothing, column order, required columns.
Does not belong here: repairing data. A value that does not fit fails the write.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from lake_assets.catalog import Column, Dataset
from lake_assets.storage.schema import ARROW_TYPES, arrow_schema


class SchemaMismatch(ValueError):
    """A batch does not fit the declaration; the message names column, expected and actual."""


def conform(batch: pa.RecordBatch, dataset: Dataset) -> pa.RecordBatch:
    """The batch with exactly the declared columns, types and order.

    Extra columns are refused: a source reads declared columns only. A column may only be missing
    where the declaration allows nulls; it is then all null.

    Raises:
        SchemaMismatch: a column is unknown, missing though required, null though required, of a
            type that can't be cast, or holds a value that the declared type can't hold.
    """
    names = batch.schema.names
    extra = [name for name in names if name not in dataset.column_names]
    if extra:
        raise SchemaMismatch(
            f"{dataset.partition}: column `{extra[0]}` is not declared; add it to the declaration "
            "or leave it out of the source"
        )
    by_name: Mapping[str, pa.Array] = dict(zip(names, batch.columns, strict=True))
    arrays = [
        _conform_column(by_name.get(column.name), column, dataset, batch.num_rows)
        for column in dataset.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(dataset))


def _conform_column(
    array: pa.Array | None, column: Column, dataset: Dataset, rows: int
) -> pa.Array:
    expected = ARROW_TYPES[column.type]
    where = f"{dataset.partition}: column `{column.name}`"
    if array is None:
        if column.required:
            raise SchemaMismatch(f"{where} is required and missing from the source")
        return pa.nulls(rows, expected)
    if array.type != expected:
        return _refuse_nulls(_cast(array, expected, where, column), where, column)
    return _refuse_nulls(array, where, column)


def _refuse_nulls(array: pa.Array, where: str, column: Column) -> pa.Array:
    if column.required and array.null_count:
        raise SchemaMismatch(f"{where} is required and has {array.null_count:,} null values")
    return array


def _cast(array: pa.Array, expected: pa.DataType, where: str, column: Column) -> pa.Array:
    actual: pa.DataType = array.type
    if not _may_cast(actual, expected):
        raise SchemaMismatch(f"{where} is declared {column.type.value} and came as {actual}")
    try:
        return pc.cast(array, expected, safe=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(
            f"{where} is declared {column.type.value} and came as {actual} with a value that "
            f"does not fit: {str(error).splitlines()[0]}"
        ) from error


def _may_cast(actual: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a cast keeps the meaning; numbers do not become text, nor text dates, unasked."""
    if pa.types.is_null(actual):
        return True
    if pa.types.is_string(expected):
        return (
            pa.types.is_large_string(actual)
            or pa.types.is_string_view(actual)
            or pa.types.is_dictionary(actual)
        )
    if pa.types.is_timestamp(expected):
        return pa.types.is_timestamp(actual) and actual.tz is not None
    if pa.types.is_date(expected):
        return pa.types.is_date(actual)
    if pa.types.is_boolean(expected):
        return False
    # Postgres sends NUMERIC as text: numbers written out are numbers.
    is_number = pa.types.is_integer(actual) or pa.types.is_floating(actual)
    return is_number or pa.types.is_decimal(actual) or pa.types.is_string(actual)
