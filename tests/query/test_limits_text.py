"""What one text may be: the guard's bounds are tighter than the engine's, and say so first."""

from collections.abc import Callable, Iterator

import pytest

from lake_api.errors import QueryRejected
from lake_api.query.guard import Guard
from lake_api.query.messages import Answer, Failure
from lake_assets.catalog import load_catalog
from tests.fuzz.hostile_worker import HostileWorker

GUARD = Guard(load_catalog())

SHAPES: dict[str, Callable[[int], str]] = {
    "sums": lambda n: "SELECT " + "+".join(["1"] * n),
    "joined texts": lambda n: "SELECT " + "||".join(["'a'"] * n),
    "conditions": lambda n: "SELECT 1 WHERE " + " OR ".join(f"1 = {one}" for one in range(n)),
    "brackets": lambda n: "SELECT " + "(" * n + "1" + ")" * n,
    "cases": lambda n: "SELECT " + "CASE WHEN true THEN " * n + "1" + " END" * n,
    "calls": lambda n: "SELECT " + "abs(" * n + "1" + ")" * n,
    "casts": lambda n: "SELECT 1" + "::INT" * n,
    "methods": lambda n: "SELECT 'a'" + ".upper()" * n,
    "slices": lambda n: "SELECT [[1]]" + "[1:1]" * n,
    "sub-queries": lambda n: "SELECT " + "(SELECT " * n + "1" + ")" * n,
    "sums of sub-queries": lambda n: "SELECT " + "(SELECT 1 + " * n + "1" + ")" * n,
    "calls of sub-queries": lambda n: "SELECT " + "abs((SELECT " * n + "1" + "))" * n,
    "a chain around sub-queries": lambda n: (
        "SELECT " + "(SELECT " * 25 + "+".join(["1"] * n) + ")" * 25
    ),
    "JSON steps": lambda n: "SELECT '{}'::JSON" + "->'a'" * n,
    "tests for NULL": lambda n: "SELECT 1" + " IS NULL" * n,
    "time zones": lambda n: "SELECT TIMESTAMP '2026-01-01'" + " AT TIME ZONE 'UTC'" * n,
    "intervals": lambda n: "SELECT DATE '2026-01-01'" + " + INTERVAL 1 DAY" * n,
    "structs": lambda n: "SELECT " + "{'a': " * n + "1" + "}" * n,
    "lists": lambda n: "SELECT " + "[" * n + "1" + "]" * n,
    "lambdas": lambda n: (
        "SELECT " + "list_transform([1], lambda x: " * n + "x" + ")" * n
    ),
    "unions": lambda n: "SELECT 1" + " UNION ALL SELECT 1" * n,
    "CTEs": lambda n: (
        "WITH c0 AS (SELECT 1 AS a)"
        + "".join(f", c{one + 1} AS (SELECT a FROM c{one})" for one in range(n))
        + f" SELECT a FROM c{n}"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileWorker]:
    with HostileWorker(tmp_path_factory.mktemp("limits"), deadline_s=10) as worker:
        yield worker


def largest(shape: Callable[[int], str]) -> str:
    """The largest text of a shape that the guard lets through."""
    low, high = 1, 1_000
    while high - low > 1:
        middle = (low + high) // 2
        try:
            GUARD.check(shape(middle))
        except QueryRejected:
            high = middle
        else:
            low = middle
    return shape(low)


@pytest.mark.parametrize("name", SHAPES)
def test_the_engine_takes_as_much_as_the_guard_lets_through(
    worker: HostileWorker, name: str
) -> None:
    text = largest(SHAPES[name])
    assert len(text) > 70
    reply = worker.ask(text)
    assert isinstance(reply, Answer), reply


def test_what_is_too_deep_for_the_engine_is_said_in_the_guard_s_words(
    worker: HostileWorker,
) -> None:
    reply = worker.ask("SELECT " + "+".join(["1"] * 2_000))
    assert isinstance(reply, Failure)
    assert (reply.rejected, reply.code) == (True, "query_too_deep")
    assert "SET" not in f"{reply.detail} {reply.hint}"


@pytest.mark.parametrize(
    ("sql", "fragment"),
    [
        ("SELECT 1 = 1 = 1", "comparison"),
        ("SELECT 'a' LIKE 'b' LIKE 'c'", "LIKE"),
        ("SELECT 1 BETWEEN 0 AND 1 BETWEEN 0 AND 1", "syntax error"),
    ],
)
def test_what_only_the_engine_can_t_read_is_a_syntax_error(
    worker: HostileWorker, sql: str, fragment: str
) -> None:
    GUARD.check(sql)
    reply = worker.ask(sql)
    assert isinstance(reply, Failure)
    assert (reply.rejected, reply.code) == (True, "syntax_error")
    assert fragment in reply.detail
    assert reply.hint
    assert reply.offset is None or 0 < reply.offset <= len(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT age(created_at) FROM agent_run_log",
        "SELECT count(*) FROM agent_run_log WHERE created_at > ago(INTERVAL 1 DAY)",
        "SELECT * FROM agent_run_log TABLESAMPLE reservoir(5 ROWS)",
        "SELECT * FROM agent_run_log USING SAMPLE 10%",
        "SELECT count(*) FROM (SELECT * FROM agent_run_log USING SAMPLE 3 ROWS)",
        "SELECT count(*) FROM agent_run_log a TABLESAMPLE 5 ROWS",
    ],
)
def test_what_changes_by_itself_is_never_reused(sql: str) -> None:
    assert GUARD.check(sql).volatile


@pytest.mark.parametrize(("function", "many"), [("range", 1_000_000), ("generate_series", 999_999)])
def test_a_series_may_have_exactly_a_million_values(function: str, many: int) -> None:
    GUARD.check(f"SELECT count(*) FROM {function}({many})")
    GUARD.check(f"SELECT count(*) FROM {function}(1, {many + 1})")
    with pytest.raises(QueryRejected) as refused:
        GUARD.check(f"SELECT count(*) FROM {function}({many + 1})")
    assert refused.value.code == "argument_too_large"
