"""Forcing a batch into the declared schema, or saying exactly why it does not fit.

Belongs here: casts that lose nothing, column order, required columns.
Does not belong here: repairing data. A value that does not fit fails the write.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

from lake_assets.catalog import Column, Dataset
from lake_assets.storage.schema import ARROW_TYPES, arrow_schema

_INT64_DIGITS = 19
_SAFE_DIGITS = 38
"""What a decimal of 128 bits holds of any digits; a longer text may only have zeros at its end."""


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
        return cast_exactly(array, expected)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(
            f"{where} is declared {column.type.value} and came as {actual} with a value that "
            f"does not fit: {str(error).splitlines()[0]}"
        ) from error


def cast_exactly(array: pa.Array, expected: pa.DataType) -> pa.Array:
    """A cast that gives every value exactly.

    Arrow by itself refuses every int64 as a decimal, also those that fit, and makes other numbers
    of those with more digits than 128 bits can hold, without an error; 1e-45 becomes 0.

    Raises:
        pyarrow.ArrowInvalid: a value does not fit.
    """
    if pa.types.is_decimal(expected):
        if pa.types.is_integer(array.type):
            wide = pa.decimal128(_INT64_DIGITS + expected.scale, expected.scale)
            array = pc.cast(array, wide)
        elif pa.types.is_string(array.type):
            array = _few_digits(_written_out(array))
    return pc.cast(array, expected, safe=True)


def _written_out(array: pa.Array) -> pa.Array:
    has_exponent = pc.call_function(
        "match_substring", [array], pc.MatchSubstringOptions("e", ignore_case=True)
    )
    if not has_exponent.true_count:
        return array
    return pa.array([_plain(text) for text in array.to_pylist()], pa.string())


def _plain(text: str | None) -> str | None:
    """A number without an exponent, unless that would be longer than any that fits."""
    if text is None or "e" not in text.lower():
        return text
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise pa.ArrowInvalid(f"{text[:_SAFE_DIGITS]!r} is no number") from error
    if not number.is_finite() or abs(number.adjusted()) > _SAFE_DIGITS:
        raise pa.ArrowInvalid(f"{text[:_SAFE_DIGITS]} has too many digits")
    return f"{number:f}"


def _few_digits(array: pa.Array) -> pa.Array:
    longest = pc.call_function("max", [pc.call_function("binary_length", [array])]).as_py() or 0
    if longest <= _SAFE_DIGITS:
        return array
    array = pc.call_function(
        "replace_substring_regex",
        [array],
        pc.ReplaceSubstringOptions(pattern=r"^(-?[0-9]*\.[0-9]*?)0+$", replacement=r"\1"),
    )
    longest = pc.call_function("max", [pc.call_function("binary_length", [array])]).as_py() or 0
    if longest > _SAFE_DIGITS:
        raise pa.ArrowInvalid(f"a number has more than {_SAFE_DIGITS} digits")
    return array


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
