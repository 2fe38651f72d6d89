"""The table of types against the engine's own: none is missing, and no door changes a value."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_api.query.value_types import MAX_TYPE_DEPTH, MAX_TYPE_PARTS, SCALARS, Door, type_names
from lake_api.query.worker.lowering import Unsupported, beyond, lowered, restored
from tests.query.type_cases import GROUPS


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with contextlib.closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def test_no_type_of_the_engine_is_missing(engine: Any) -> None:
    rows = engine.execute("SELECT DISTINCT logical_type FROM duckdb_types()").fetchall()
    # JSON is a VARCHAR of its own.
    assert {name for (name,) in rows} | {"JSON"} == type_names()


@pytest.mark.parametrize("door", list(Door))
def test_every_column_of_the_engines_own_test_table_passes_every_door(
    engine: Any, door: Door
) -> None:
    whole = engine.sql("FROM test_all_types()")
    for name in whole.columns:
        relation = engine.sql(f'SELECT "{name}" FROM test_all_types()')
        expected = engine.sql(f'SELECT CAST("{name}" AS VARCHAR) FROM test_all_types()').fetchall()
        read = _through(relation, door)
        assert len(read) == len(expected) == 3
        if door is Door.KEPT:
            kind = str(relation.types[0])
            assert (
                restored(engine.from_arrow(read), [kind]).project("CAST(#1 AS VARCHAR)").fetchall()
                == expected
            ), name
        nulls = [value is None for (value,) in expected]
        column = read.column(0)
        if pa.types.is_union(column.type):
            assert [value is None for value in column.to_pylist()] == nulls, name
        else:
            assert column.is_null().to_pylist() == nulls, name


def _through(relation: Any, door: Door) -> Any:
    """The one column as the door has it."""
    table: Any = None
    place: int | None = None
    try:
        change = lowered(relation.columns, relation.types, door, exact=True)
        table = change.apply(relation).to_arrow_table()
    except duckdb.Error as error:
        place = beyond(error)
    if table is None:
        change = lowered(relation.columns, relation.types, door, text_columns=[place or 0])
        table = change.apply(relation).to_arrow_table()
    if door is Door.PARQUET:
        file = io.BytesIO()
        pq.write_table(table, file)
        table = pq.read_table(io.BytesIO(file.getvalue()))
    return table


def test_the_cases_have_every_scalar_type(engine: Any) -> None:
    cases = [sql for group in GROUPS.values() for sql, _ in group]
    kinds = {str(engine.sql(f"SELECT {sql}").types[0]) for sql in cases}
    names = {kind.partition("(")[0].strip('"') for kind in kinds}
    # A TYPE can't be made by what the guard lets through.
    assert set(SCALARS) - names == {"TYPE"}


def test_a_type_that_the_table_lacks_is_refused(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scalars = {name: kind for name, kind in SCALARS.items() if name != "BIT"}
    monkeypatch.setattr("lake_api.query.worker.lowering.SCALARS", scalars)
    monkeypatch.setattr("lake_api.query.worker.lowering._TEMPLATES", {})
    relation = engine.sql("SELECT 1 AS a, ['1'::BIT] AS b")
    with pytest.raises(Unsupported) as caught:
        lowered(relation.columns, relation.types, Door.ROWS)
    assert (caught.value.column, caught.value.kind) == ("b", "BIT[]")


def test_types_that_are_too_deep_or_too_wide_are_refused(engine: Any) -> None:
    deep = f"INTEGER{'[]' * (MAX_TYPE_DEPTH + 1)}"
    wide = f"STRUCT({', '.join(f'c{place} INTEGER' for place in range(MAX_TYPE_PARTS))})"
    for kind in (deep, wide):
        relation = engine.sql(f"SELECT NULL::{kind} AS v")
        with pytest.raises(Unsupported):
            lowered(relation.columns, relation.types, Door.ROWS)
