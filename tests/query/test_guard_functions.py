"""The reviewed functions against the installed engine and the parser."""

import contextlib
import itertools
from collections import defaultdict

import duckdb
import pytest
from sqlglot import exp, parse_one
from sqlglot.errors import ParseError

from lake_api.query.functions import (
    ALLOWED_FUNCTIONS,
    CATEGORIES,
    CLOCK_COLUMNS,
    FUNCTIONS,
    REFUSED_COLUMNS,
    TABLE_FUNCTIONS,
    VOLATILE_FUNCTIONS,
)
from lake_api.query.guard.bounds import BOUND_RULES
from lake_api.query.guard.calls import ALLOWED_CALLS
from lake_api.query.guard.nodes import ALLOWED_NODES
from lake_assets.catalog import load_catalog


@pytest.fixture(scope="module")
def engine_functions() -> dict[str, set[str]]:
    """Kinds by name, as the engine lists them."""
    found: dict[str, set[str]] = defaultdict(set)
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT lower(function_name), function_type FROM duckdb_functions()"
        ).fetchall()
    for name, kind in rows:
        found[name].add(kind)
    return found


def test_every_function_of_the_engine_is_classified(
    engine_functions: dict[str, set[str]],
) -> None:
    unreviewed = sorted(set(engine_functions) - set(FUNCTIONS))

    assert not unreviewed, f"review these in functions.csv: {unreviewed}"


def test_no_classified_function_is_gone_or_of_another_kind(
    engine_functions: dict[str, set[str]],
) -> None:
    for name, function in FUNCTIONS.items():
        if function.kinds != ("syntax",):
            assert set(function.kinds) == engine_functions[name], name


def test_every_row_has_a_known_category_and_bound() -> None:
    assert {function.category for function in FUNCTIONS.values()} == set(CATEGORIES)
    bounds = {function.bound for function in FUNCTIONS.values()} - {"", "volatile"}
    assert bounds == BOUND_RULES


def test_no_function_of_a_dangerous_category_is_allowed() -> None:
    dangerous = {
        "engine_internal", "file", "hidden_sql", "host", "introspection", "memory", "raises",
        "settings", "state", "table", "time_waster",
    }  # fmt: skip
    assert not [f.name for f in FUNCTIONS.values() if f.allowed and f.category in dangerous]


def test_only_three_table_functions_are_allowed() -> None:
    also_tables = {
        name for name in ALLOWED_FUNCTIONS
        if {"table", "table_macro"} & set(FUNCTIONS[name].kinds)
    }  # fmt: skip

    # `repeat` and `histogram` are allowed as the scalar and the aggregate of the same name.
    assert also_tables - TABLE_FUNCTIONS == {"repeat", "histogram"}


def test_volatile_functions_are_allowed_ones() -> None:
    assert {"now", "today", "random", "uuid"} <= VOLATILE_FUNCTIONS <= ALLOWED_FUNCTIONS


def test_what_reads_the_clock_or_chance_is_volatile() -> None:
    """By what the engine says of its functions and macros; `age(x)` is the one it hides."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
            "WHERE coalesce(stability, 'CONSISTENT') <> 'CONSISTENT' OR regexp_matches("
            "macro_definition, '(?i)current_|now\\(|today\\(|random|uuid\\(')"
        ).fetchall()
    changing = {str(name) for (name,) in rows} & ALLOWED_FUNCTIONS | {"age"}

    assert {"ago", "now", "random"} <= changing <= VOLATILE_FUNCTIONS


def test_every_column_that_the_engine_reads_as_a_call_is_refused_or_a_clock(
    engine_functions: dict[str, set[str]],
) -> None:
    with duckdb.connect() as connection:
        words = connection.execute("SELECT lower(keyword_name) FROM duckdb_keywords()").fetchall()
        names = {name for (name,) in words} | set(engine_functions) | set(FUNCTIONS)
        called: set[str] = set()
        for name in names - {"*"}:
            quoted = name.replace('"', '""')
            with contextlib.suppress(duckdb.BinderException):
                connection.execute(f'SELECT "{quoted}" FROM (VALUES (1)) AS t(a)')
                called.add(name)

    assert {"user", "current_date"} <= called
    assert called <= REFUSED_COLUMNS | CLOCK_COLUMNS


def test_no_dataset_has_a_column_that_is_refused_by_its_name() -> None:
    columns = {name.lower() for dataset in load_catalog() for name in dataset.column_names}

    assert "agent_id" in columns
    assert columns.isdisjoint(REFUSED_COLUMNS | CLOCK_COLUMNS)


def test_listed_node_types_exist_in_the_parser() -> None:
    for name in ALLOWED_NODES | ALLOWED_CALLS:
        assert issubclass(getattr(exp, name), exp.Expr), name


@pytest.mark.parametrize("count", [0, 1, 2])
def test_an_allowed_function_is_let_through_whatever_node_its_arguments_make_of_it(
    count: int,
) -> None:
    # `date_trunc` of a DATE is another node than `date_trunc` of a column.
    arguments = ["c", "'week'", "1", "c::DATE", "c::TIMESTAMP", "INTERVAL 1 DAY", "[1]", "{'a': 1}"]
    unknown: set[tuple[str, str]] = set()
    for name in filter(str.isidentifier, ALLOWED_FUNCTIONS):
        for chosen in itertools.product(arguments, repeat=count):
            try:
                tree = parse_one(f"SELECT {name}({', '.join(chosen)})", dialect="duckdb")
            except ParseError:
                continue
            kinds = {type(node).__name__ for node in tree.find_all(exp.Func)}
            unknown |= {(name, kind) for kind in kinds - ALLOWED_CALLS}

    assert unknown == set()
