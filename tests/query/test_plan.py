from collections import Counter
from datetime import date, timedelta
from itertools import pairwise

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_api.query.guard import CheckedQuery
from lake_api.query.plan import prune_days, rows_wanted, wants_first_rows
from tests.query.conftest import RUNS, USAGE

FIRST = date(2026, 11, 1)
DAYS = tuple(FIRST + timedelta(days=number) for number in range(8))
TODAY = DAYS[4]


def checked(sql: str) -> CheckedQuery:
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    names = {table.name for table in tree.find_all(sqlglot.exp.Table)}
    return CheckedQuery(
        sql=sql,
        datasets=tuple(dataset for dataset in (RUNS, USAGE) if dataset.sql_name in names),
        functions=frozenset(),
        tree=tree,
        has_limit=tree.args.get("limit") is not None,
        volatile=False,
    )


def planned(sql: str, dataset=RUNS) -> list[int]:
    """Days of the month that are kept."""
    return [day.day for day in prune_days(checked(sql), dataset, DAYS, today=TODAY)]


EVERY = [day.day for day in DAYS]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("date = '2026-11-03'", [3]),
        ("'2026-11-03' = date", [3]),
        ("date = DATE '2026-11-03'", [3]),
        ("date = CAST('2026-11-03' AS DATE)", [3]),
        ("date::DATE = '2026-11-03'::DATE", [3]),
        ("date >= '2026-11-07'", [7, 8]),
        ("'2026-11-07' <= date", [7, 8]),
        ("date > '2026-11-02' AND date < '2026-11-05'", [3, 4]),
        ("date BETWEEN '2026-11-02' AND '2026-11-03'", [2, 3]),
        ("date NOT BETWEEN '2026-11-02' AND '2026-11-07'", [1, 8]),
        ("date IN ('2026-11-02', '2026-11-05')", [2, 5]),
        ("date NOT IN ('2026-11-02', '2026-11-05')", [1, 3, 4, 6, 7, 8]),
        ("date <> '2026-11-01'", [2, 3, 4, 5, 6, 7, 8]),
        ("NOT (date > '2026-11-02')", [1, 2]),
        ("date = '2026-11-03' OR date = '2026-11-05'", [3, 5]),
        ("date = '2026-11-03' AND tokens > 5", [3]),
        ("(date = '2026-11-03' AND tokens > 5) OR (date = '2026-11-04' AND tokens < 5)", [3, 4]),
        ("agent_run_log.date = '2026-11-03'", [3]),
        ("DATE_TRUNC('day', created_at) = '2026-11-03' AND DATE = '2026-11-03'", [3]),
        # Today is the 5th; a query may run after midnight.
        ("date = current_date", [5, 6]),
        ("date >= current_date - 1", [4, 5, 6, 7, 8]),
        ("date > current_date - INTERVAL 2 DAY", [4, 5, 6, 7, 8]),
        ("date < current_date - INTERVAL '2' DAY", [1, 2, 3]),
        ("date < current_date - INTERVAL (1) DAY", EVERY),
        # Not understood: every day.
        ("date = '2026-11-03' OR tokens > 5", EVERY),
        ("date = '2026-11-3'", EVERY),
        ("date = '2026-13-03'", EVERY),
        ("date = (SELECT max(date) FROM platform_llm_token_usage)", EVERY),
        ("date + 1 = '2026-11-03'", EVERY),
        ("NOT (date > current_date)", EVERY),
        ("NOT (date > '2026-11-02' AND tokens > 5)", EVERY),
        ("year(date) = 2026", EVERY),
        ("other.date = '2026-11-03'", EVERY),
        ("date > created_at", EVERY),
    ],
)
def test_conditions(where, expected):
    assert planned(f"SELECT * FROM agent_run_log WHERE {where}") == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM agent_run_log", EVERY),
        ("FROM agent_run_log AS r WHERE r.date = '2026-11-03'", [3]),
        ("FROM agent_run_log AS r WHERE R.DATE = '2026-11-03'", [3]),
        ("FROM agent_run_log AS r(date, b) WHERE r.date = '2026-11-03'", EVERY),
        ("SELECT created_at::DATE AS date FROM agent_run_log WHERE date = '2026-11-03'", EVERY),
        ("SELECT * FROM (SELECT * FROM agent_run_log WHERE date = '2026-11-03') x", [3]),
        ("WITH x AS (FROM agent_run_log WHERE date = '2026-11-03') SELECT * FROM x", [3]),
        ("SELECT * FROM (FROM agent_run_log) x WHERE date = '2026-11-03'", EVERY),
        # Two places: the days of both.
        (
            "FROM agent_run_log WHERE date = '2026-11-03' "
            "UNION ALL FROM agent_run_log WHERE date = '2026-11-05'",
            [3, 5],
        ),
        ("FROM agent_run_log WHERE date = '2026-11-03' UNION ALL FROM agent_run_log", EVERY),
        (
            "SELECT * FROM agent_run_log a JOIN agent_run_log b USING (run_id) "
            "WHERE a.date = '2026-11-03' AND b.date = '2026-11-04'",
            [3, 4],
        ),
        (
            "SELECT * FROM agent_run_log a JOIN agent_run_log b USING (run_id) "
            "WHERE a.date = '2026-11-03'",
            EVERY,
        ),
        # Joins.
        (
            "SELECT * FROM platform_llm_token_usage u JOIN agent_run_log r "
            "ON u.agent_id = r.agent_id AND r.date = '2026-11-03'",
            [3],
        ),
        (
            "SELECT * FROM platform_llm_token_usage u LEFT JOIN agent_run_log r "
            "ON u.agent_id = r.agent_id AND r.date = '2026-11-03'",
            [3],
        ),
        (
            "SELECT * FROM agent_run_log r LEFT JOIN platform_llm_token_usage u "
            "ON u.agent_id = r.agent_id AND r.date = '2026-11-03'",
            EVERY,
        ),
        (
            "SELECT * FROM platform_llm_token_usage u FULL JOIN agent_run_log r "
            "ON u.agent_id = r.agent_id AND r.date = '2026-11-03'",
            EVERY,
        ),
        (
            "SELECT * FROM platform_llm_token_usage u ASOF JOIN agent_run_log r "
            "ON u.agent_id = r.agent_id AND u.created_at >= r.created_at "
            "WHERE r.date = '2026-11-03'",
            EVERY,
        ),
        (
            "SELECT * FROM platform_llm_token_usage u POSITIONAL JOIN agent_run_log r "
            "WHERE r.date = '2026-11-03'",
            EVERY,
        ),
        ("SELECT * FROM platform_llm_token_usage, agent_run_log WHERE date = '2026-11-03'", EVERY),
        ("FROM agent_run_log TABLESAMPLE 10% WHERE date = '2026-11-03'", EVERY),
        ("PIVOT agent_run_log ON agent_id USING sum(tokens)", EVERY),
        ("SELECT count(*) FILTER (WHERE date = '2026-11-03') FROM agent_run_log", EVERY),
        (
            "SELECT * FROM platform_llm_token_usage u WHERE EXISTS "
            "(SELECT 1 FROM agent_run_log r WHERE r.agent_id = u.agent_id "
            "AND r.date = '2026-11-03')",
            [3],
        ),
    ],
)
def test_places(sql, expected):
    assert planned(sql) == expected


def test_a_dataset_that_the_tree_does_not_name_keeps_all():
    assert planned("SELECT * FROM agent_run_log WHERE date = '2026-11-03'", USAGE) == EVERY


@pytest.mark.parametrize(
    ("sql", "cap", "expected"),
    [
        ("SELECT * FROM agent_run_log LIMIT 50", 1000, 50),
        ("SELECT run_id, tokens AS t FROM agent_run_log LIMIT 50", 1000, 50),
        ("SELECT * FROM agent_run_log", 100, 101),
        ("SELECT * FROM agent_run_log LIMIT 5000", 1000, 1001),
        ("SELECT * FROM agent_run_log LIMIT 10%", 1000, None),
        ("SELECT * FROM agent_run_log LIMIT 50 OFFSET 3", 1000, None),
        ("SELECT * FROM agent_run_log WHERE tokens > 3 LIMIT 50", 1000, None),
        ("SELECT * FROM agent_run_log ORDER BY tokens LIMIT 50", 1000, None),
        ("SELECT DISTINCT agent_id FROM agent_run_log LIMIT 50", 1000, None),
        ("SELECT count(*) FROM agent_run_log LIMIT 50", 1000, None),
        ("SELECT tokens, sum(tokens) OVER () FROM agent_run_log LIMIT 50", 1000, None),
        ("SELECT a.tokens FROM agent_run_log a, agent_run_log b LIMIT 50", 1000, None),
        ("SELECT * FROM (FROM agent_run_log) LIMIT 50", 1000, None),
        ("SELECT * FROM agent_run_log GROUP BY ALL LIMIT 50", 1000, None),
        ("SELECT * FROM agent_run_log USING SAMPLE 3 LIMIT 50", 1000, None),
        ("SELECT unnest([1, 2]) FROM agent_run_log LIMIT 50", 1000, None),
    ],
)
def test_rows_wanted(sql, cap, expected):
    assert rows_wanted(checked(sql), row_cap=cap) == expected


def literals():
    return st.sampled_from([*DAYS, FIRST - timedelta(days=3), FIRST + timedelta(days=20)]).map(
        lambda day: f"'{day}'"
    )


def constants():
    return st.one_of(
        literals(),
        literals().map(lambda text: f"DATE {text}"),
        literals().map(lambda text: f"{text}::DATE"),
        st.tuples(literals(), st.integers(-3, 3)).map(lambda p: f"(DATE {p[0]} + {p[1]})"),
        st.tuples(literals(), st.integers(1, 3)).map(
            lambda p: f"(DATE {p[0]} - INTERVAL {p[1]} DAY)"
        ),
        st.tuples(literals(), st.integers(1, 2)).map(
            lambda p: f"DATE {p[0]} - INTERVAL '{p[1]} weeks'"
        ),
    )


def atoms(columns):
    column = st.sampled_from(columns)
    operator = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    return st.one_of(
        st.tuples(column, operator, constants()).map(" ".join),
        st.tuples(constants(), operator, column).map(" ".join),
        st.tuples(column, constants(), constants()).map(
            lambda p: f"{p[0]} BETWEEN {p[1]} AND {p[2]}"
        ),
        st.tuples(column, st.lists(literals(), min_size=1, max_size=3)).map(
            lambda p: f"{p[0]} IN ({', '.join(p[1])})"
        ),
        st.tuples(column, st.lists(literals(), min_size=1, max_size=3)).map(
            lambda p: f"{p[0]} NOT IN ({', '.join(p[1])})"
        ),
        column.map(lambda name: f"{name} IS NULL"),
        column.map(lambda name: f"coalesce({name}, DATE '2026-11-02') = '2026-11-02'"),
        st.sampled_from(["a.n > 1", "a.n IS NULL", "true", "false", "NULL"]),
    )


def conditions(columns):
    return st.recursive(
        atoms(columns),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda p: f"({p[0]} AND {p[1]})"),
            st.tuples(inner, inner).map(lambda p: f"({p[0]} OR {p[1]})"),
            inner.map(lambda text: f"NOT ({text})"),
        ),
        max_leaves=5,
    )


OTHERS = ("agent_run_log", "platform_llm_token_usage")
JOINS = ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN", "ASOF JOIN")
SHAPES = (
    "SELECT * FROM agent_run_log a WHERE {alone}",
    "SELECT count(*), sum(n) FROM agent_run_log a WHERE {alone}",
    "SELECT a.* FROM agent_run_log a {join} {other} b ON {on} WHERE {joined}",
    "SELECT a.* FROM {other} a {join} agent_run_log b ON {on} WHERE {joined}",
    "SELECT * FROM agent_run_log a, {other} b WHERE {both}",
    "SELECT * FROM {other} a WHERE n IN (SELECT a.n FROM agent_run_log a WHERE {alone})",
    "SELECT * FROM agent_run_log a WHERE {alone} "
    "UNION ALL SELECT * FROM agent_run_log a WHERE {a_only}",
    "WITH x AS (SELECT * FROM agent_run_log a WHERE {alone}) "
    "SELECT * FROM x a LEFT JOIN agent_run_log b ON a.n = b.n",
    "SELECT * FROM (SELECT *, row_number() OVER (ORDER BY date, n) AS r FROM agent_run_log) a "
    "WHERE {alone}",
)
ALONE = conditions(["date", "a.date", "A.DATE"])
BOTH = conditions(["a.date", "b.date"])


@st.composite
def queries(draw):
    """Queries over agent_run_log in one or two places."""
    shape = draw(st.sampled_from(SHAPES))
    join = draw(st.sampled_from(JOINS)) if "{join}" in shape else ""
    on = "a.n >= b.n" if join == "ASOF JOIN" else "a.n = b.n"
    if join and join != "ASOF JOIN" and draw(st.booleans()):
        on = f"{on} AND {draw(BOTH)}"
    only_left = join in {"SEMI JOIN", "ANTI JOIN"}
    return shape.format(
        alone=draw(ALONE) if "{alone}" in shape else "",
        a_only=draw(ALONE) if "{a_only}" in shape else "",
        both=draw(BOTH) if "{both}" in shape else "",
        joined=draw(ALONE if only_left else BOTH) if join else "",
        other=draw(st.sampled_from(OTHERS)),
        join=join,
        on=on,
    )


@pytest.fixture(scope="module")
def database():
    with duckdb.connect(config={"threads": 1}) as connection:
        for name, numbers in (("agent_run_log", 3), ("platform_llm_token_usage", 2)):
            connection.execute(
                f"CREATE TABLE all_{name} AS SELECT (i + d) % 5 AS n, "
                f"DATE '{FIRST}' + d::INTEGER AS date "
                f"FROM range({numbers}) a(i), range({len(DAYS)}) b(d)"
            )
            connection.execute(f"CREATE VIEW {name} AS FROM all_{name}")
        yield connection


@settings(max_examples=200, deadline=None, derandomize=True)
@given(sql=queries())
def test_pruned_files_give_the_same_rows(database, sql):
    names = [RUNS.sql_name, USAGE.sql_name]
    for name in names:
        database.execute(f"CREATE OR REPLACE VIEW {name} AS FROM all_{name}")
    expected = Counter(database.execute(sql).fetchall())
    for dataset in checked(sql).datasets:
        kept = prune_days(checked(sql), dataset, DAYS, today=TODAY)
        listed = ", ".join(f"DATE '{day}'" for day in kept) or "NULL"
        database.execute(
            f"CREATE OR REPLACE VIEW {dataset.sql_name} AS "
            f"FROM all_{dataset.sql_name} WHERE date IN ({listed})"
        )
    assert Counter(database.execute(sql).fetchall()) == expected


def test_pruning_keeps_the_order_of_days():
    days = prune_days(checked("FROM agent_run_log WHERE date > '2026-11-02'"), RUNS, DAYS)
    assert all(one < other for one, other in pairwise(days))


@pytest.mark.parametrize(
    ("sql", "wants"),
    [
        ("SELECT * FROM agent_run_log ORDER BY run_id", True),
        ("SELECT run_id FROM agent_run_log UNION ALL SELECT 'a' ORDER BY 1", True),
        ("SELECT * FROM agent_run_log ORDER BY run_id LIMIT 5", False),
        ("SELECT * FROM agent_run_log", False),
        ("SELECT agent_id, count(*) FROM agent_run_log GROUP BY 1 ORDER BY 2", False),
        ("SELECT agent_id, count(*) FROM agent_run_log GROUP BY ALL ORDER BY ALL", False),
        ("SELECT DISTINCT agent_id FROM agent_run_log ORDER BY 1", False),
    ],
)
def test_only_ordered_rows_are_asked_for_by_number(sql, wants):
    assert wants_first_rows(checked(sql)) is wants
