"""Both corpora through the guard, and the allowed one through the engine as well."""

import re
from collections.abc import Iterator

import duckdb
import pytest

from lake_api.errors import QueryRejected
from lake_api.query.agreement import disagreement, duckdb_tree_names
from lake_api.query.functions import ALLOWED_FUNCTIONS, TABLE_FUNCTIONS
from lake_api.query.guard import Code, Guard
from lake_assets.catalog import Catalog, load_catalog
from tests.query.guard_cases import ALLOWED, REJECTED, Case


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="module")
def guard(catalog: Catalog) -> Guard:
    return Guard(catalog)


@pytest.fixture(scope="module")
def engine(catalog: Catalog) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine with one empty table per dataset."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for dataset in catalog:
        columns = [f'"{column.name}" {column.type.sql}' for column in dataset.columns]
        connection.execute(f"CREATE TABLE {dataset.sql_name} ({', '.join(columns)}, date DATE)")
    yield connection
    connection.close()


def serialized(engine: duckdb.DuckDBPyConnection, sql: str) -> str:
    row = engine.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    assert row is not None
    return str(row[0])


def test_the_corpora_are_large_and_without_repetition() -> None:
    assert len(ALLOWED) >= 300
    assert len(REJECTED) >= 500
    assert len({case.sql for case in ALLOWED}) == len(ALLOWED)
    assert len({case.sql for case in REJECTED}) == len(REJECTED)


def test_every_code_has_a_rejected_case() -> None:
    assert {case.label for case in REJECTED} == {code.value for code in Code}


@pytest.mark.parametrize("case", REJECTED, ids=str)
def test_rejected(guard: Guard, case: Case) -> None:
    with pytest.raises(QueryRejected) as refused:
        guard.check(case.sql)

    problem = refused.value.to_problem()
    assert problem.code == case.label
    assert problem.hint
    if problem.position is not None:
        assert 0 <= problem.position.offset <= len(case.sql)
        assert problem.fragment is not None


@pytest.mark.parametrize("case", ALLOWED, ids=str)
def test_allowed(guard: Guard, engine: duckdb.DuckDBPyConnection, case: Case) -> None:
    checked = guard.check(case.sql)

    engine.execute(case.sql).fetchall()  # honest SQL: the engine binds and runs it
    tree = serialized(engine, case.sql)
    tables = frozenset(dataset.sql_name for dataset in checked.datasets)
    assert disagreement(tree, tables=tables, allowed_functions=ALLOWED_FUNCTIONS) is None

    seen_tables, seen_table_functions, seen_functions = duckdb_tree_names(tree)
    assert seen_tables == tables
    assert seen_table_functions <= TABLE_FUNCTIONS
    # What the guard did not report is what syntax turns into: `count(*)`, `||`, `x[1]`, intervals.
    text = case.sql.lower()
    unseen = seen_functions - checked.functions
    assert not [name for name in unseen if re.search(rf"(?<!\w){re.escape(name)}\(", text)]
