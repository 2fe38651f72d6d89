"""Derivations over rows that a test writes down."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lake_assets.catalog import PARTITION_COLUMN, load_catalog
from lake_assets.models.derivation import derivation_of
from lake_assets.models.in_sql import run_sql
from lake_assets.storage.conform import conform
from lake_assets.storage.schema import arrow_schema

Row = Mapping[str, Any]


def inputs_of(partition: str, rows: Mapping[str, Iterable[Row]]) -> dict[str, pa.Table]:
    """The inputs of a derived dataset: each row has the columns that matter to the test."""
    catalog = load_catalog()
    derivation = derivation_of(catalog[partition])
    found: dict[str, pa.Table] = {}
    for upstream, window in derivation.windows.items():
        schema = arrow_schema(catalog[upstream])
        fields = [schema.field(name).with_nullable(True) for name in window.columns]
        fields.append(pa.field(PARTITION_COLUMN, pa.date32()))
        full = [
            {field.name: row.get(field.name) for field in fields} for row in rows.get(upstream, ())
        ]
        found[upstream] = pa.Table.from_pylist(full, schema=pa.schema(fields))
    return found


@pytest.fixture
def derived():
    """The rows of a day of a derived dataset, by key, checked against its declaration."""

    def compute(partition: str, day: date, rows: Mapping[str, Iterable[Row]]) -> dict[str, Row]:
        dataset = load_catalog()[partition]
        with duckdb.connect(config={"threads": "1"}) as connection:
            table = run_sql(connection, derivation_of(dataset), inputs_of(partition, rows), day=day)
        moment = pa.scalar(datetime(2026, 11, 22, 3, tzinfo=UTC), pa.timestamp("us", tz="UTC"))
        stamped = table.append_column("generated_at", pa.repeat(moment, table.num_rows))
        fitted = pa.Table.from_batches(
            [conform(batch, dataset) for batch in stamped.to_batches()], arrow_schema(dataset)
        )
        (key,) = dataset.key
        return {row[key]: row for row in fitted.to_pylist()}

    return compute
