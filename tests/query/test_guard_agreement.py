"""The second parser's vote, and texts on which the two parsers were seen to differ."""

import random
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_api.errors import QueryRejected
from lake_api.query.agreement import ENGINE_TABLE, disagreement, duckdb_tree_names
from lake_api.query.functions import ALLOWED_FUNCTIONS
from lake_api.query.guard import Guard
from lake_assets.catalog import load_catalog
from tests.query.guard_cases import ALLOWED, REJECTED

TABLES = frozenset({"t", "u"})


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard(load_catalog())


def vote(
    engine: duckdb.DuckDBPyConnection, sql: str, tables: frozenset[str] = TABLES
) -> str | None:
    row = engine.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    assert row is not None
    return disagreement(str(row[0]), tables=tables, allowed_functions=ALLOWED_FUNCTIONS)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a, count(*) FROM t JOIN U USING (a) GROUP BY ALL",
        "WITH a AS (FROM t), b AS (FROM a) SELECT * FROM b, A",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) FROM r",
        "SELECT a.upper(), x[1], x[1:2], {'a': 1}.a, [y FOR y IN x], a::DECIMAL(3, 1) FROM t",
        "FROM range(3), unnest([1]) AS v(w), generate_series(1, 2)",
        "SELECT * FROM (PIVOT t ON a IN ('x') USING sum(b)) UNION ALL BY NAME FROM u",
        "SELECT sum(a) OVER w, (SELECT max(b) FROM u) FROM t WINDOW w AS (ORDER BY b)",
    ],
)
def test_agrees(engine: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert vote(engine, sql) is None


@pytest.mark.parametrize(
    ("sql", "seen"),
    [
        ("FROM other", "another table"),
        ("FROM '/etc/passwd'", "another table"),
        ("SELECT (SELECT 1 FROM x) FROM t", "another table"),
        ("WITH a AS (FROM b), b AS (SELECT 1) FROM a", "another table"),
        ("WITH a AS (FROM a) FROM a", "another table"),
        ("SELECT * FROM (WITH a AS (SELECT 1) FROM a), a", "another table"),
        ("WITH RECURSIVE r AS (FROM r UNION FROM r) FROM r", "another table"),
        ("WITH RECURSIVE r AS (WITH q AS (FROM r) FROM t UNION FROM q) FROM r", "another table"),
        ("WITH RECURSIVE r AS (SELECT 1 INTERSECT FROM r) FROM r", "another table"),
        ("WITH sqlite_master AS (FROM t) FROM sqlite_master", "unusual name"),
        ('SELECT "current_user"', "function current_user"),
        ('WITH "x.csv" AS (SELECT 1) FROM t', "unusual name"),
        ("FROM main.t", "table with a schema or catalog"),
        ("SELECT main.upper(a) FROM t", "schema or catalog"),
        ("SELECT a::main.kind FROM t", "schema or catalog"),
        ("FROM t AT (VERSION => 1)", "time-travel"),
        ("FROM read_text('/etc/passwd')", "another table function"),
        ("FROM t, LATERAL query('SELECT 1')", "another table function"),
        ("SELECT getvariable('a')", "function getvariable"),
        ("SELECT sum(current_setting('a')) OVER () FROM t", "function current_setting"),
        ("SELECT list_filter([1], lambda x: sleep_ms(x))", "function sleep_ms"),
        ("SELECT ?", "parameters"),
        ("SELECT $name", "parameters"),
        ("SHOW TABLES", "SHOW_REF"),
        ("DESCRIBE t", "SHOW_REF"),
        ("FROM (SUMMARIZE t)", "SHOW_REF"),
        ("SELECT (SHOW TABLES)", "SHOW_REF"),
        ("WITH i AS (INSERT INTO t VALUES (1) RETURNING *) FROM i", "INSERT_QUERY_NODE"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("DROP TABLE t", "no SELECT"),
        ("PRAGMA version", "no SELECT"),
        ("SELECT FROM WHERE", "no SELECT"),
    ],
)
def test_disagrees(engine: duckdb.DuckDBPyConnection, sql: str, seen: str) -> None:
    assert seen in (vote(engine, sql) or "")


def test_no_table_of_the_engine_can_be_the_name_of_a_cte(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    names = engine.execute(
        "SELECT DISTINCT view_name FROM duckdb_views() WHERE internal"
    ).fetchall()
    reached = [name for (name,) in names if is_table(engine, name)]
    assert len(reached) > 30
    assert [name for name in reached if not ENGINE_TABLE.match(name)] == []


def is_table(engine: duckdb.DuckDBPyConnection, name: str) -> bool:
    try:
        engine.execute(f'FROM "{name}" LIMIT 0')
    except duckdb.CatalogException:
        return False
    return True


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"error": false}', "{", '"x"', "1"])
def test_what_can_not_be_read_is_a_disagreement(text: str) -> None:
    assert disagreement(text, tables=TABLES, allowed_functions=ALLOWED_FUNCTIONS)


def test_an_unknown_node_is_a_disagreement() -> None:
    text = '{"error": false, "statements": [{"node": {"type": "FUTURE_NODE"}}]}'

    assert disagreement(text, tables=TABLES, allowed_functions=ALLOWED_FUNCTIONS)
    with pytest.raises(ValueError, match="FUTURE_NODE"):
        duckdb_tree_names(text)


_PIECES = [
    *"()[]{},.;:'\"", "--", "/*", "*/", "\n", "->", "->>", "lambda x:", " FROM ", " SELECT ",
    " UNION ", "(SELECT 1)", "'/etc/passwd'", '"x.parquet"', "read_csv('x')", "query(", "LATERAL ",
    " AS ", "$$", "E'", "é", "\u200b", "\ufeff", "\u00a0", "\u2028", "\f", "\r", "#1", "@", "!",
    "||", " PIVOT ", "COLUMNS(", "SHOW ", "DESCRIBE ", "SUMMARIZE ", "getvariable(", "main.",
    "current_user", "WITH a AS ", " VALUES ", "INSERT INTO ", " AT ", "{{", "{#", "`", "\\",
]  # fmt: skip
_SEEDS = [case.sql for case in (*ALLOWED, *REJECTED) if len(case.sql) < 1_000]
# What the engine refuses by itself when it binds, because there is no such thing.
_HARMLESS = (
    "the engine sees no SELECT statement",
    "the engine sees the function",
    "the engine sees a name with a schema or catalog",  # of a type or method, never of a table
)


def mutate(seed: int) -> str:
    chance = random.Random(seed)
    text = chance.choice(_SEEDS)
    for _ in range(chance.randint(1, 3)):
        start = chance.randint(0, len(text))
        end = min(len(text), start + chance.randint(1, 12))
        other = chance.choice(_SEEDS)
        cut = chance.randint(0, len(other))
        text = chance.choice(
            [
                text[:start] + chance.choice(_PIECES) + text[start:],
                text[:start] + text[end:],
                text[:start] + other[cut : cut + 30] + text[start:],
                text[:end] + text[start:],
            ]
        )
    return text


@given(seed=st.integers(min_value=0, max_value=2**48))
@settings(max_examples=1_500, deadline=None, derandomize=True)
def test_mutated_texts_are_refused_or_both_parsers_agree(
    engine: duckdb.DuckDBPyConnection, guard: Guard, seed: int
) -> None:
    text = mutate(seed)
    try:
        checked = guard.check(text)
    except QueryRejected:
        return
    tables = frozenset(dataset.sql_name for dataset in checked.datasets)

    difference = vote(engine, text, tables)

    assert difference is None or difference.startswith(_HARMLESS)
