"""Columns that are called like a keyword, in every clause: they are read, or the hint helps."""

from collections.abc import Iterator

import duckdb
import pytest

from lake_api.errors import QueryRejected
from lake_api.query.agreement import disagreement
from lake_api.query.functions import ALLOWED_FUNCTIONS
from lake_api.query.guard import Guard
from lake_assets.catalog import load_catalog

CLAUSES = (
    "SELECT b, {w}, {w} AS c FROM t",
    "SELECT t.{w} FROM t WHERE {w} = 1 AND {w} IN (1, 2) AND {w} BETWEEN 0 AND 3",
    "SELECT CASE WHEN {w} > 0 THEN {w} ELSE {w} END AS x FROM t",
    "SELECT CASE {w} WHEN 1 THEN {w} END AS x, sum(CASE WHEN b = 2 THEN {w} END) AS y FROM t "
    "GROUP BY {w}",
    "SELECT {w}, count(*) AS n FROM t GROUP BY {w} HAVING max({w}) > 0 ORDER BY {w} DESC",
    "SELECT sum({w}) OVER (PARTITION BY {w} ORDER BY {w} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
    " AS x FROM t QUALIFY row_number() OVER (ORDER BY {w}) = 1",
    "SELECT {w} + 1 AS x, -{w} AS y, ({w}) * {w} AS z, {w}::VARCHAR || 'a' AS u FROM t",
    "SELECT coalesce({w}, 0) AS x, CAST({w} AS DOUBLE) AS y, [{w}] AS z FROM t",
    "SELECT a.b FROM t a JOIN t c USING ({w}) JOIN t d ON d.{w} = c.{w}",
    "SELECT DISTINCT ON ({w}) count(*) FILTER (WHERE {w} > 0) AS x FROM t GROUP BY {w}",
    "SELECT b FROM t WHERE NOT ({w} > 2) OR {w} = (SELECT max({w}) FROM t)",
    "SELECT * EXCLUDE ({w}) FROM t",
)
QUOTED = {"between", "cube", "if", "interval", "lock", "map", "rollup", "values"}
"""Words that the guard's parser can't always take for a name: the hint quotes them."""


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard(load_catalog())


def refusal_of(guard: Guard, sql: str) -> QueryRejected | None:
    try:
        guard.check(sql)
    except QueryRejected as refused:
        return refused
    return None


def test_words_of_the_engine_are_names_in_every_clause(
    engine: duckdb.DuckDBPyConnection, guard: Guard
) -> None:
    words = engine.execute(
        "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'reserved'"
    ).fetchall()
    tried = 0
    for word in sorted({str(row[0]) for row in words} | {"date", "count", "status", "user"}):
        for clause in CLAUSES:
            sql = f'WITH t AS (SELECT 1 AS "{word}", 2 AS b) {clause.format(w=word)}'
            try:
                engine.sql(sql)
            except duckdb.Error:
                continue  # a name that the engine itself takes in quotes only
            tried += 1
            refused = refusal_of(guard, sql)
            if refused is not None:
                helped = "needs quotes" if word in QUOTED else "t.user"
                assert word in QUOTED | {"user"}, (sql, refused.detail)
                assert helped in (refused.hint or ""), (sql, refused.hint)
                continue
            row = engine.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
            assert row is not None
            assert not disagreement(
                str(row[0]), tables=frozenset(), allowed_functions=ALLOWED_FUNCTIONS
            ), sql
    assert tried > len(words) * len(CLAUSES) // 2


@pytest.mark.parametrize("word", sorted(QUOTED))
def test_in_quotes_every_word_is_a_name(guard: Guard, word: str) -> None:
    for clause in CLAUSES:
        guard.check(f'WITH t AS (SELECT 1 AS "{word}", 2 AS b) ' + clause.format(w=f'"{word}"'))
