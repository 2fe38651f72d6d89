"""A collector's rows as Arrow batches of the declared types.

Belongs here: building columns, and saying exactly which value does not fit.
Does not belong here: converting values (`fitting`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

import pyarrow as pa

from lake_assets.catalog import Dataset
from lake_assets.sources.errors import FieldMismatch, SourceMismatch
from lake_assets.sources.fitting import FITS
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
        fits = FITS[column.type]
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
