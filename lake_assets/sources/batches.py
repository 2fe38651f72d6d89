"""A collector's rows as Arrow batches of the declared types.

Belongs here: building columns, and saying exactly which value does not fit.
Does not belong here: converting values: a collector gives each value in its declared type.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import islice

import pyarrow as pa

from lake_assets.catalog import ColumnType, Dataset
from lake_assets.sources.errors import FieldMismatch, SourceMismatch
from lake_assets.storage.schema import arrow_field

BATCH_ROWS = 5_000


def to_batches(rows: Iterable[Mapping[str, object]], dataset: Dataset) -> Iterator[pa.RecordBatch]:
    """The rows in batches; none for no rows.

    Raises:
        SourceMismatch: a row has an undeclared column, or a value of another type.
    """
    left = iter(rows)
    while some := list(islice(left, BATCH_ROWS)):
        yield _batch(some, dataset)


def _batch(rows: Sequence[Mapping[str, object]], dataset: Dataset) -> pa.RecordBatch:
    extra = {name for row in rows for name in row} - set(dataset.column_names)
    if extra:
        raise SourceMismatch(f"{dataset.partition}: the collector made `{min(extra)}`, undeclared")
    arrays: list[pa.Array] = []
    for column in dataset.columns:
        values = [row.get(column.name) for row in rows]
        fits = _FITS[column.type]
        wrong = next((value for value in values if value is not None and not fits(value)), None)
        if wrong is not None:
            raise FieldMismatch(
                f"{dataset.partition}: column `{column.name}` is declared {column.type.value} and "
                f"came as {_kind(wrong)}",
                field=column.name,
            )
        arrays.append(pa.array(values, type=arrow_field(column).type))
    return pa.RecordBatch.from_arrays(arrays, names=list(dataset.column_names))


def _kind(value: object) -> str:
    naive = isinstance(value, datetime) and value.tzinfo is None
    return f"{type(value).__name__}{' without a zone' if naive else ''}"


# Arrow would cut 1.5 to 1, and take a time without zone for UTC.
_FITS: Mapping[ColumnType, Callable[[object], bool]] = {
    ColumnType.STRING: lambda value: isinstance(value, str),
    ColumnType.JSON: lambda value: isinstance(value, str),
    ColumnType.INT64: lambda value: isinstance(value, int) and not isinstance(value, bool),
    ColumnType.FLOAT64: lambda value: isinstance(value, float),
    ColumnType.BOOL: lambda value: isinstance(value, bool),
    ColumnType.TIMESTAMP: lambda value: isinstance(value, datetime) and value.tzinfo is not None,
    ColumnType.DATE: lambda value: isinstance(value, date) and not isinstance(value, datetime),
    ColumnType.DECIMAL: lambda value: isinstance(value, Decimal),
}
