"""The Arrow schema that a dataset's declaration promises.

Belongs here: declared column types as Arrow types.
Does not belong here: forcing data into the schema (`conform`), types in SQL (`catalog.model`).
"""

from functools import cache

import pyarrow as pa

from lake_assets.catalog import Column, ColumnType, Dataset

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    ColumnType.STRING: pa.string(),
    ColumnType.INT64: pa.int64(),
    ColumnType.FLOAT64: pa.float64(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    ColumnType.DATE: pa.date32(),
    ColumnType.DECIMAL: pa.decimal128(18, 6),
    ColumnType.JSON: pa.string(),
}


def arrow_field(column: Column) -> pa.Field:
    """One column as an Arrow field; it is not nullable where the declaration requires a value."""
    return pa.field(
        column.name,
        ARROW_TYPES[column.type],
        nullable=not column.required,
        metadata={"description": column.description, "logical_type": column.type.value},
    )


@cache
def arrow_schema(dataset: Dataset) -> pa.Schema:
    """The schema of every Parquet object of a dataset, in declared column order."""
    return pa.schema([arrow_field(column) for column in dataset.columns])
