"""A collector's rows as Arrow batches of the declared types.

Belongs here: building columns, and saying exactly which value does not fit.
Does not belong here: converting values: a collector gives each value in its declared type.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import pyarrow as pa

from lake_assets.catalog import Dataset
from lake_assets.sources.errors import SourceMismatch
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
        try:
            arrays.append(pa.array(values, type=arrow_field(column).type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError) as error:
            raise SourceMismatch(
                f"{dataset.partition}: column `{column.name}` is declared {column.type.value} and "
                f"came otherwise: {str(error).splitlines()[0]}"
            ) from error
    return pa.RecordBatch.from_arrays(arrays, names=list(dataset.column_names))
