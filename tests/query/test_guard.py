"""What the guard tells its caller, and what it remembers."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from lake_api.errors import QueryRejected
from lake_api.query.guard import LIMITS, CheckedQuery, Code, Guard, GuardLimits
from lake_assets.catalog import Catalog, Dataset, load_catalog

SECRET = "billing_events"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="module")
def guard(catalog: Catalog) -> Guard:
    return Guard(catalog)


def refused(check: Callable[[], CheckedQuery]) -> QueryRejected:
    with pytest.raises(QueryRejected) as caught:
        check()
    return caught.value


def but_secret(dataset: Dataset) -> bool:
    return dataset.sql_name != SECRET


def test_datasets_come_in_order_of_first_appearance(guard: Guard) -> None:
    checked = guard.check(
        "WITH a AS (SELECT * FROM platform_agent_tasks) "
        "SELECT * FROM agent_run_log, a, AGENT_RUN_LOG b, billing_events"
    )

    names = [dataset.sql_name for dataset in checked.datasets]
    assert names == ["platform_agent_tasks", "agent_run_log", "billing_events"]


def test_functions_are_reported_as_written(guard: Guard) -> None:
    checked = guard.check(
        'SELECT max_by(run_id, steps), "UPPER"(status), status.lower() FROM agent_run_log'
    )

    assert {"max_by", "upper", "lower"} <= checked.functions


@pytest.mark.parametrize(
    ("sql", "has_limit"),
    [
        ("SELECT * FROM agent_run_log LIMIT 5", True),
        ("SELECT * FROM agent_run_log", False),
        ("SELECT * FROM (SELECT * FROM agent_run_log LIMIT 5)", False),
        ("SELECT 1 UNION SELECT 2 LIMIT 1", True),
        ("FROM agent_run_log LIMIT 1", True),
    ],
)
def test_only_the_statements_own_limit_counts(guard: Guard, sql: str, has_limit: bool) -> None:
    assert guard.check(sql).has_limit is has_limit


@pytest.mark.parametrize(
    ("sql", "volatile"),
    [
        ("SELECT now()", True),
        ("SELECT count(*) FROM agent_run_log WHERE date > current_date - 7", True),
        ("SELECT current_timestamp", True),
        ("SELECT random()", True),
        ("SELECT uuid()", True),
        ("FROM agent_run_log USING SAMPLE 10%", True),
        ("FROM agent_run_log TABLESAMPLE reservoir(5 ROWS)", True),
        ("SELECT count(*) FROM agent_run_log WHERE date > DATE '2026-11-01'", False),
    ],
)
def test_answers_that_change_by_themselves_are_marked(
    guard: Guard, sql: str, volatile: bool
) -> None:
    assert guard.check(sql).volatile is volatile


def test_an_unreadable_dataset_is_unknown_and_never_named(guard: Guard) -> None:
    assert guard.check(f"SELECT * FROM {SECRET}").datasets

    for asked in (SECRET, "billing_event", "biling_events", f"main.{SECRET}"):
        error = refused(lambda name=asked: guard.check(f"FROM {name}", may_read=but_secret))
        assert error.code in {"unknown_table", "qualified_table"}
        assert SECRET not in f"{error.detail} {error.hint}"


def test_a_cte_may_have_the_name_of_an_unreadable_dataset(guard: Guard) -> None:
    checked = guard.check(f"WITH {SECRET} AS (SELECT 1) FROM {SECRET}", may_read=but_secret)

    assert checked.datasets == ()


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("agent_run_logs", "agent_run_log"),
        ("llm_token_usage", "platform_llm_token_usage"),
        ("platform_llm_tokens_usage", "platform_llm_token_usage"),
    ],
)
def test_the_nearest_dataset_is_suggested(guard: Guard, asked: str, meant: str) -> None:
    assert refused(lambda: guard.check(f"SELECT * FROM {asked}")).hint == f"Did you mean {meant}?"


def test_the_nearest_function_is_suggested(guard: Guard) -> None:
    assert refused(lambda: guard.check("SELECT uper('a')")).hint == "Did you mean upper?"


@pytest.mark.parametrize(
    ("sql", "fragment", "line", "column"),
    [
        ("SELECT *\nFROM nothing", "nothing", 2, 6),
        ("SELECT 'é', getvariable('x')", "getvariable", 1, 13),
        ("SELECT 1;\n  DROP TABLE x", ";\n  DROP", 1, 9),
        ("SELECT list_filter([1],\n  x -> x > 1)", "->", 2, 5),
        ("SELECT * FROM agent_run_log WHERE\n steps = = 1", "=", 2, 10),
        ("SELECT *\n\nFROM '/etc/passwd'", "'/etc/passwd'", 3, 6),
    ],
)
def test_a_refusal_points_into_the_text(
    guard: Guard, sql: str, fragment: str, line: int, column: int
) -> None:
    error = refused(lambda: guard.check(sql))

    assert error.position is not None
    assert (error.fragment, error.position.line, error.position.column) == (fragment, line, column)


def test_checked_texts_are_remembered_per_readable_set(guard: Guard) -> None:
    sql = f"SELECT count(*) FROM {SECRET}"

    assert guard.check(sql) is guard.check(sql)
    assert refused(lambda: guard.check(sql, may_read=but_secret)).code == "unknown_table"
    assert guard.check(sql).datasets


def test_a_remembered_text_costs_next_to_nothing(guard: Guard) -> None:
    sql = "SELECT agent_id, count(*) FROM agent_run_log GROUP BY ALL"
    guard.check(sql)

    times: list[float] = []
    for _ in range(200):
        start = time.perf_counter()
        guard.check(sql)
        times.append(time.perf_counter() - start)
    assert sorted(times)[len(times) // 2] < 0.000_1


@pytest.mark.parametrize(
    ("limits", "sql", "code"),
    [
        (GuardLimits(max_chars=10), "SELECT 123456", "query_too_long"),
        (GuardLimits(max_tokens=3), "SELECT 1, 2", "query_too_large"),
        (GuardLimits(max_nesting=1), "SELECT ((1))", "query_too_deep"),
        (GuardLimits(max_prefixes=1), "SELECT - - 1", "query_too_deep"),
        (GuardLimits(max_nodes=3), "SELECT 1, 2, 3", "query_too_large"),
        (GuardLimits(max_depth=3), "SELECT 1 + 2 + 3", "query_too_deep"),
        (GuardLimits(max_joins=0), "FROM agent_run_log, stripe_events", "query_too_large"),
        (GuardLimits(max_set_operations=0), "SELECT 1 UNION SELECT 2", "query_too_large"),
        (GuardLimits(max_ctes=0), "WITH a AS (SELECT 1) FROM a", "query_too_large"),
        (GuardLimits(max_in_items=1), "SELECT 1 IN (1, 2)", "query_too_large"),
        (GuardLimits(max_lambda_depth=0), "SELECT [x FOR x IN [1]]", "query_too_deep"),
        (GuardLimits(max_series_rows=5), "FROM range(9)", "argument_too_large"),
        (GuardLimits(max_growth=5), "SELECT repeat('a', 9)", "argument_too_large"),
        (GuardLimits(max_count_argument=5), "SELECT max(1, 9)", "argument_too_large"),
        (GuardLimits(max_format_width=5), "SELECT printf('%9d', 1)", "argument_too_large"),
        (GuardLimits(max_pattern_chars=1), "SELECT 'a' ~ 'abc'", "argument_too_large"),
        (
            GuardLimits(max_distance_chars=1),
            "SELECT levenshtein('abcd', 'abc') AS d",
            "argument_too_large",
        ),
    ],
)
def test_every_limit_can_be_set(catalog: Catalog, limits: GuardLimits, sql: str, code: str) -> None:
    Guard(catalog).check(sql)

    assert refused(lambda: Guard(catalog, limits=limits).check(sql)).code == code


def test_limits_and_codes_are_documented() -> None:
    assert {limit.name for limit in LIMITS} == set(GuardLimits.__slots__)
    assert all(limit.sentence.endswith(".") and limit.default > 0 for limit in LIMITS)
    assert all(code.sentence.endswith(".") for code in Code)
    assert all(first != second for first, second in pairwise(sorted(c.value for c in Code)))


def test_deep_text_never_exhausts_the_stack(catalog: Catalog) -> None:
    generous = GuardLimits(max_nesting=10_000, max_tokens=10_000, max_chars=100_000)

    error = refused(
        lambda: Guard(catalog, limits=generous).check("SELECT " + "(" * 500 + "1" + ")" * 500)
    )

    assert error.code == "query_too_deep"
