"""Functions that models write by habit are refused with what DuckDB has in their place."""

import duckdb
import pytest

from lake_api.errors import QueryRejected
from lake_api.query.functions import FUNCTIONS
from lake_api.query.guard import Guard
from lake_api.query.guard.other_dialects import IN_DUCKDB
from lake_assets.catalog import load_catalog

ROW = """\
SELECT 1 AS a, 2 AS b, '2026-11-22' AS s, TIMESTAMPTZ '2026-11-22 10:30:00+00' AS t, '{}' AS json"""


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard(load_catalog())


@pytest.mark.parametrize("name", IN_DUCKDB)
def test_what_duckdb_has_is_told(guard: Guard, name: str) -> None:
    assert name not in FUNCTIONS
    for called in (name, name.upper()):
        with pytest.raises(QueryRejected) as told:
            guard.check(f"SELECT {called}(a, b) AS x FROM ({ROW})")
        assert told.value.code == "unknown_function"
        assert told.value.hint == f"DuckDB has {IN_DUCKDB[name]} for that."


@pytest.mark.parametrize("written", sorted(set(IN_DUCKDB.values())))
def test_what_is_told_runs(guard: Guard, written: str) -> None:
    sql = f"SELECT {written} AS x FROM ({ROW})"
    guard.check(sql)
    with duckdb.connect() as connection:
        assert len(connection.execute(sql).fetchall()) == 1
