"""What an agent is told when it asked for what is not there: values, columns, datasets."""

import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from lake_api.query.guard import Guard
from lake_api.query.value_filters import value_filters
from lake_assets.catalog import Catalog

DAY = date(2026, 11, 1)
AGENTS = ["aurora", "aurora", "sage", "nova"]


@pytest.fixture(scope="module")
def lake(open_lake: Any) -> Iterator[Any]:
    """A lake that no test writes to."""
    with open_lake() as lake:
        for number in range(3):
            lake.write("agent_run_log", DAY + timedelta(days=number), AGENTS)
        yield lake


@pytest.fixture
def own_lake(start_lake: Any) -> Any:
    """The same, for a test that writes."""
    lake = start_lake()
    lake.write("agent_run_log", DAY + timedelta(days=1), AGENTS)
    return lake


def warnings(lake: Any, sql: str) -> list[str]:
    answer = lake.ask(sql)
    assert answer.status_code == 200, answer.text
    return answer.json()["warnings"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM agent_run_log WHERE status = 'success'",
        "SELECT count(*) FROM agent_run_log WHERE status = 'success'",
        "SELECT count(*), max(agent_id) FROM agent_run_log r WHERE r.status IN ('success')",
        "SELECT count(*) FILTER (WHERE status = 'success') FROM agent_run_log",
        "WITH r AS (SELECT * FROM agent_run_log) SELECT * FROM r WHERE 'success' = r.status",
        "SELECT r.agent_id FROM agent_run_log r LEFT JOIN platform_llm_token_usage u "
        "USING (agent_id) WHERE r.status = 'success' ORDER BY 1",
    ],
)
def test_declared_values_are_told_when_nothing_matched(lake: Any, sql: str) -> None:
    told = [one for one in warnings(lake, sql) if "no value" in one]
    assert told == [
        "`agent_run_log`.`status` has no value 'success'; its values are 'succeeded', 'failed'. "
        "Did you mean 'succeeded'?"
    ]


def test_values_of_the_data_are_told_where_none_are_declared(lake: Any) -> None:
    assert warnings(lake, "SELECT * FROM agent_run_log WHERE agent_id = 'arora'") == [
        "`agent_run_log`.`agent_id` has no value 'arora' in the days that were read; its values "
        "are 'aurora', 'nova', 'sage'. Did you mean 'aurora'?"
    ]


def test_a_mismatch_of_case_is_pointed_out(lake: Any) -> None:
    for sql in (
        "SELECT * FROM agent_run_log WHERE agent_id = 'Aurora'",
        "SELECT * FROM agent_run_log WHERE status = 'SUCCEEDED'",
    ):
        (told,) = warnings(lake, sql)
        assert "Upper and lower case differ: did you mean '" in told


def test_every_form_tells_it(lake: Any) -> None:
    sql = "SELECT count(*) AS runs FROM agent_run_log WHERE agent_id = 'arora'"
    for form in ("text/csv", "application/vnd.apache.arrow.stream"):
        answer = lake.ask(sql, headers={"Accept": form})
        assert "aurora" in answer.headers["x-lake-warnings"]
    assert b"aurora" in pa.ipc.open_stream(answer.content).schema.metadata[b"lake.warnings"]


@pytest.mark.parametrize(
    "sql",
    [
        # Something was found, or what is asked for is there.
        "SELECT * FROM agent_run_log WHERE agent_id IN ('aurora', 'nobody')",
        "SELECT * FROM agent_run_log WHERE agent_id = 'aurora' AND run_id > 'x'",
        "SELECT count(*) FROM agent_run_log WHERE status = 'failed'",
        # No text column of a dataset.
        "SELECT count(*) FROM agent_run_log WHERE created_at = '2020-01-01'",
        "SELECT 1 AS one WHERE 'a' = 'b'",
        "SELECT 'x' AS kind FROM agent_run_log WHERE metadata = 'x'",
        # The name is given to something else.
        "WITH r AS (SELECT upper(agent_id) AS status FROM agent_run_log) "
        "SELECT * FROM r WHERE status = 'nobody'",
    ],
)
def test_nothing_is_told_without_a_reason(lake: Any, sql: str) -> None:
    assert warnings(lake, sql) == []


def test_only_the_days_that_were_read_are_looked_at(own_lake: Any) -> None:
    own_lake.write("agent_run_log", DAY + timedelta(days=3), ["iris"])
    old = "SELECT * FROM agent_run_log WHERE date < '2026-11-03' AND agent_id = 'iris'"
    own_lake.poll(
        lambda: own_lake.ask("SELECT * FROM agent_run_log WHERE agent_id = 'iris'").json()["rows"]
    )
    (told,) = warnings(own_lake, old)
    assert "has no value 'iris' in the days that were read" in told


def test_many_values_are_a_sample_of_the_nearest(own_lake: Any) -> None:
    own_lake.write("agent_run_log", DAY, [f"worker-{number:04}" for number in range(2000)])
    sql = (
        "SELECT count(*) FROM agent_run_log WHERE date = '2026-11-01' AND agent_id = 'Worker_0042'"
    )
    own_lake.poll(lambda: "2,000 values" in "".join(warnings(own_lake, sql)))
    (told,) = warnings(own_lake, sql)
    assert told.count("'worker-") <= 22
    assert "'worker-0042'" in told


def test_long_values_and_quotes_are_told_short_and_whole(own_lake: Any) -> None:
    own_lake.write("agent_run_log", DAY, ["it's", "x" * 500])
    sql = "SELECT * FROM agent_run_log WHERE date = '2026-11-01' AND agent_id = 'its'"
    own_lake.poll(lambda: "it''s" in "".join(warnings(own_lake, sql)))
    (told,) = warnings(own_lake, sql)
    assert len(told) < 400


def test_a_column_too_large_to_look_at_costs_little(own_lake: Any) -> None:
    own_lake.write("agent_run_log", DAY, [f"{number:040}" for number in range(300_000)])
    sql = "SELECT count(*) FROM agent_run_log WHERE date = '2026-11-01' AND agent_id = 'nobody'"
    own_lake.ask(sql.replace("nobody", "anybody"))
    started = time.monotonic()
    answer = own_lake.ask(sql)
    assert time.monotonic() - started < 2
    assert answer.json()["rows"] == [[0]]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT 1 FROM agent_run_log WHERE status = 'a' OR status IN ('b', 'a')", ("a", "b")),
        ("SELECT 1 FROM agent_run_log WHERE status IN ('a', agent_id)", None),
        ("SELECT 1 FROM agent_run_log WHERE status <> 'a'", None),
        ("SELECT 1 FROM agent_run_log WHERE lower(status) = 'a'", None),
        ("SELECT 1 FROM agent_run_log WHERE STATUS = 'a'", ("a",)),
        ("SELECT 1 FROM agent_run_log a, platform_llm_token_usage b WHERE status = 'a'", None),
        ("SELECT 1 FROM agent_run_log a, platform_llm_token_usage b WHERE b.status = 'a'", ("a",)),
    ],
)
def test_what_a_text_compares(catalog: Catalog, sql: str, found: tuple[str, ...] | None) -> None:
    filters = value_filters(Guard(catalog).check(sql))
    assert [one.texts for one in filters] == ([] if found is None else [found])


@pytest.mark.parametrize(
    ("sql", "code", "hint"),
    [
        ("SELECT agent FROM agent_run_log", "unknown_column", "`agent_id`"),
        ("SELECT r.cost FROM agent_run_log r", "unknown_column", "`cost_usd`"),
        ("SELECT sum(costs) AS c FROM agent_run_log ORDER BY c", "unknown_column", "`cost_usd`"),
        ("SELECT nonsense_xyz FROM agent_run_log", "unknown_column", "The columns are run_id, "),
        ("SELECT * FROM agent_runs", "unknown_table", "agent_run_log"),
        ("SELECT * FROM llm_token_usage", "unknown_table", "platform_llm_token_usage"),
        ("SELECT summ(cost_usd) FROM agent_run_log", "unknown_function", "sum"),
        ("SELECT date_truncate('day', created_at) FROM agent_run_log", "unknown_function",
         "date_trunc"),
    ],
)  # fmt: skip
def test_wrong_names_come_with_the_nearest_right_ones(
    lake: Any, problem: Any, sql: str, code: str, hint: str
) -> None:
    assert hint in problem(lake.ask(sql), 400, code)["hint"]


@pytest.mark.parametrize("name", ["x", "agent_run_log"])
def test_a_table_that_has_an_alias_is_told_by_it(lake: Any, problem: Any, name: str) -> None:
    sql = f"SELECT {name}.agent_id FROM agent_run_log r"
    body = problem(lake.ask(sql), 400, "unknown_table")
    assert body["fragment"] == name
    assert "`r`" in body["hint"]


@pytest.mark.parametrize(
    "value",
    ["repeat('a', 100000)", "repeat('/', 100000)", "repeat('é.parquet/', 10000)"],
)
def test_a_long_value_that_does_not_convert_is_told_at_once_and_in_short(
    lake: Any, value: str
) -> None:
    started = time.monotonic()
    answer = lake.ask(f"SELECT CAST({value} AS INTEGER) AS v")
    # The patterns that look for paths once took 20 s for such a text.
    assert time.monotonic() - started < 10
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "type_mismatch")
    assert len(problem["detail"]) < 1_500


@pytest.mark.parametrize("value", ["Failed to read file", "a'' No magic bytes ''b"])
def test_a_value_does_not_pass_for_damage_of_stored_data(lake: Any, value: str) -> None:
    answer = lake.ask(f"SELECT CAST('{value}' AS INTEGER) AS v FROM agent_run_log")
    assert answer.json()["code"] == "type_mismatch"


def test_a_column_that_is_a_keyword_is_told_to_be_quoted(lake: Any) -> None:
    table = 'FROM (SELECT 1 AS "end", 2 AS start)'
    problem = lake.ask(f"SELECT end, start {table}").json()
    assert problem["code"] == "syntax_error"
    assert problem["hint"].endswith('A column of this name is written in double quotes: "end".')
    assert lake.ask(f'SELECT "end", start {table}').json()["rows"] == [[1, 2]]
