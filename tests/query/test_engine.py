import json
import time
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from io import BytesIO

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_api.errors import QueryRejected, QueryUnavailable
from lake_api.query import engine as engine_module
from lake_assets.catalog import data_key
from tests.query.conftest import RUNS, USAGE, run_rows, usage_rows

DAY = date(2026, 11, 3)


def poll(condition, *, timeout_s=5.0):
    until = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)
    return found


# --- what a query sees -----------------------------------------------------------------------


def test_write_query_rewrite_query(lake):
    lake.start()
    sql = "SELECT agent_id FROM agent_run_log ORDER BY 1"
    assert lake.rows(sql) == []
    lake.put(RUNS, DAY, run_rows(DAY, ["sage", "aurora"]))
    written = time.monotonic()
    poll(lambda: lake.rows(sql) == [["aurora"], ["sage"]])
    assert time.monotonic() - written < 1
    lake.put(RUNS, DAY, run_rows(DAY, ["nova"]))
    written = time.monotonic()
    poll(lambda: lake.rows(sql) == [["nova"]])
    assert time.monotonic() - written < 1


def test_an_object_replaced_behind_the_token_is_looked_at_again(lake):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    lake.start(LAKE_SNAPSHOT_CHECK_S="60")
    sql = "SELECT agent_id FROM agent_run_log WHERE date = '2026-11-03'"
    # The snapshot is taken without the object being read.
    assert lake.rows("SELECT agent_id FROM agent_run_log WHERE date = '2026-11-04'") == []
    lake.put(RUNS, DAY, run_rows(DAY, ["sage"]))
    assert lake.rows(sql) == [["sage"]]


def test_a_removed_day_is_gone(lake):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    lake.start(LAKE_SNAPSHOT_CHECK_S="60")
    assert lake.rows("SELECT agent_id FROM agent_run_log WHERE date = '2026-11-04'") == []
    obstore.delete(lake.writer, data_key(RUNS, DAY))
    result = lake.query("SELECT agent_id FROM agent_run_log WHERE date = '2026-11-03'")
    assert result.row_count == 0
    assert result.warnings == ("`agent_run_log` has no data yet",)


def test_columns_are_the_declared_ones_and_the_day(shared_lake):
    result = shared_lake.query("SELECT * FROM agent_run_log WHERE date = '2026-11-03'")
    assert result.columns == ("run_id", "agent_id", "tokens", "cost_usd", "created_at", "date")
    assert result.column_types == (
        "VARCHAR",
        "VARCHAR",
        "BIGINT",
        "DECIMAL(18,6)",
        "TIMESTAMP WITH TIME ZONE",
        "DATE",
    )
    first = json.loads(result.rows_json)[0]
    assert first == ["2026-11-03-0", "aurora", 300, 0.25, "2026-11-03T12:00:00Z", "2026-11-03"]
    assert (result.row_count, result.truncated, result.warnings) == (3, False, ())
    (fresh,) = result.freshness
    assert (fresh.partition, fresh.newest_day) == ("agent_run_log", date(2026, 11, 10))
    assert fresh.written_at is not None


def test_a_dataset_without_data_has_columns_and_a_warning(shared_lake):
    result = shared_lake.query("SELECT * FROM never_written")
    assert result.columns == ("id", "created_at", "date")
    assert result.column_types == ("VARCHAR", "TIMESTAMP WITH TIME ZONE", "DATE")
    assert (result.rows_json, result.row_count) == (b"[]", 0)
    assert result.warnings == ("`never_written` has no data yet",)
    assert result.freshness[0].newest_day is None
    assert shared_lake.rows("SELECT count(*), max(created_at) FROM never_written") == [[0, None]]


def test_days_that_nobody_wrote(shared_lake):
    result = shared_lake.query("SELECT * FROM agent_run_log WHERE date > '2030-01-01'")
    assert result.row_count == 0
    assert "2026-11-01 to 2026-11-10" in result.warnings[0]


def test_joins_read_the_days_of_each(shared_lake):
    assert shared_lake.rows(
        "SELECT u.date, r.agent_id, u.model FROM platform_llm_token_usage u "
        "JOIN agent_run_log r ON r.agent_id = u.agent_id AND r.date = u.date "
        "WHERE u.date = '2026-11-03' AND r.date >= '2026-11-02' ORDER BY ALL"
    ) == [["2026-11-03", "aurora", "large"], ["2026-11-03", "aurora", "small"]]


def test_only_the_planned_days_are_fetched(lake):
    for number in range(1, 9):
        lake.put(RUNS, date(2026, 11, number), run_rows(date(2026, 11, number), ["aurora"]))
    lake.start()
    cached = lambda: sorted(path.parent.name[-2:] for path in lake.cache.rglob("*.parquet"))  # noqa: E731
    lake.rows("SELECT * FROM agent_run_log WHERE date IN ('2026-11-02', '2026-11-03')")
    assert cached() == ["02", "03"]
    # One day more than the newest four would give three rows only for LIMIT 3.
    assert len(lake.rows("SELECT * FROM agent_run_log LIMIT 3")) == 3
    assert cached() == ["02", "03", "05", "06", "07", "08"]
    # Not enough rows in the newest days: all of them.
    assert len(lake.rows("SELECT run_id FROM agent_run_log LIMIT 7")) == 7
    assert len(cached()) == 8


def test_warm_queries_ask_s3_for_nothing(shared_lake, monkeypatch):
    sql = "SELECT sum(tokens) + {} FROM agent_run_log WHERE date >= '2026-11-05'"
    shared_lake.rows(sql.format(0))
    asked: list[str] = []
    real = obstore.get_async

    async def get_async(store, path, **options):
        asked.append(path)
        return await real(store, path, **options)

    monkeypatch.setattr(obstore, "get_async", get_async)
    for number in range(1, 6):
        shared_lake.rows(sql.format(number))
    # The background may look at the tokens of datasets asked for lately; no object is read.
    assert [path for path in asked if not path.endswith("_version.json")] == []


# --- rows, caps, names -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "limit", "rows", "truncated"),
    [
        ("SELECT run_id FROM agent_run_log", 30, 30, False),
        ("SELECT run_id FROM agent_run_log", 29, 29, True),
        ("SELECT run_id FROM agent_run_log ORDER BY run_id", 30, 30, False),
        ("SELECT run_id FROM agent_run_log ORDER BY run_id", 29, 29, True),
        ("SELECT run_id FROM agent_run_log LIMIT 5", 2, 5, False),
        ("SELECT unnest(range(2000)) FROM agent_run_log LIMIT 1500", 10, 1000, True),
        ("SELECT unnest(range(2000))", 5000, 1000, True),
        ("SELECT r.run_id FROM agent_run_log r, range(100)", 1000, 1000, True),
    ],
)
def test_truncation_is_proven(shared_lake, sql, limit, rows, truncated):
    result = shared_lake.query(sql, limit=limit)
    assert (result.row_count, result.truncated) == (rows, truncated)
    assert len(json.loads(result.rows_json)) == rows


def test_the_byte_cap_cuts_with_a_warning(lake):
    lake.start(LAKE_RESULT_BYTES="1000")
    result = lake.query("SELECT repeat('x', 50) AS x FROM range(100)")
    assert result.truncated
    assert 0 < result.row_count < 20
    assert len(result.rows_json) <= 1000
    assert "1000 bytes" in result.warnings[0]
    with pytest.raises(QueryUnavailable) as caught:
        lake.query("SELECT repeat('x', 5000) AS x")
    assert caught.value.code == "result_too_large"


@pytest.mark.parametrize("order", ["", " ORDER BY 1"])
def test_names_are_the_engine_s_own(shared_lake, order):
    sql = "SELECT agent_id, agent_id, count(*), count(*), 1 + 1, agent_id AS AGENT_ID"
    result = shared_lake.query(f"{sql} FROM agent_run_log GROUP BY ALL{order}")
    assert result.columns == (
        "agent_id",
        "agent_id",
        "count_star()",
        "count_star()",
        "(1 + 1)",
        "AGENT_ID",
    )
    row = json.loads(result.rows_json)[0]
    assert row[0] == row[1] == row[5]


def test_order_survives_the_cap(shared_lake):
    rows = shared_lake.rows("SELECT tokens FROM agent_run_log ORDER BY tokens DESC", limit=3)
    assert rows == [[1002], [1001], [1000]]


@pytest.mark.parametrize("end", [";", " -- last", "; -- last", ";\n/* last */\n"])
def test_how_an_ordered_text_may_end(shared_lake, end):
    sql = f"SELECT tokens FROM agent_run_log ORDER BY tokens{end}"
    assert shared_lake.rows(sql, limit=2) == [[100], [101]]


# --- stored data that differs ----------------------------------------------------------------


def test_schemas_that_differ_between_days(lake):
    days = [date(2026, 11, number) for number in range(1, 5)]
    lake.put(RUNS, days[0], run_rows(days[0], ["aurora"]))
    older = run_rows(days[1], ["sage"]).drop_columns(["cost_usd"])
    lake.put(RUNS, days[1], older)
    newer = run_rows(days[2], ["nova"]).append_column("extra", pa.array(["x"]))
    lake.put(RUNS, days[2], newer)
    other = run_rows(days[3], ["luna"])
    narrow = other.set_column(2, "tokens", pa.array([7], pa.int32()))
    lake.put(RUNS, days[3], narrow)
    lake.start()
    for _ in range(2):
        rows = lake.rows("SELECT date, agent_id, tokens, cost_usd FROM agent_run_log ORDER BY 1")
        assert rows == [
            ["2026-11-01", "aurora", 10, 0.25],
            ["2026-11-02", "sage", 10, None],
            ["2026-11-03", "nova", 10, 0.25],
            ["2026-11-04", "luna", 7, 0.25],
        ]
    with pytest.raises(QueryRejected) as caught:
        lake.query("SELECT extra FROM agent_run_log")
    assert caught.value.code == "unknown_column"


def test_a_double_is_not_rounded_to_another_day_s_integer(lake):
    for number, tokens in ((1, pa.array([3], pa.int64())), (2, pa.array([2.0], pa.float64()))):
        day = date(2026, 11, number)
        table = run_rows(day, ["aurora"]).set_column(2, "tokens", tokens)
        lake.put(RUNS, day, table)
    lake.start()
    assert lake.rows("SELECT sum(tokens) FROM agent_run_log") == [[5]]


def test_bad_objects_are_set_aside_with_their_days(lake):
    whole = BytesIO()
    pq.write_table(run_rows(DAY, ["aurora"] * 1000), whole)
    bad = {
        2: b"",
        3: b"PAR1",
        4: b"x" * 5000,
        5: b"PAR1" + bytes(500) + b"PAR1",
        # An upload that was cut.
        6: whole.getvalue()[:-100],
    }
    for number in range(1, 9):
        day = date(2026, 11, number)
        if number in bad:
            lake.put_bytes(RUNS, day, bad[number])
        else:
            lake.put(RUNS, day, run_rows(day, ["aurora"]))
    lake.start()
    for extra in (0, 1):
        result = lake.query(f"SELECT count(*) + {extra} FROM agent_run_log")
        assert json.loads(result.rows_json) == [[3 + extra]]
        (warning,) = result.warnings
        days = ", ".join(f"2026-11-{number:02}" for number in bad)
        assert warning.startswith(f"`agent_run_log`: left out {days},")
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    poll(lambda: lake.rows("SELECT count(*) FROM agent_run_log") == [[4]])


def test_a_column_of_an_impossible_type_sets_the_day_aside(lake):
    day = date(2026, 11, 2)
    table = run_rows(day, ["aurora"])
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    lake.put(RUNS, day, table.set_column(2, "tokens", pa.array([{"a": 1}])))
    lake.start()
    result = lake.query("SELECT tokens FROM agent_run_log")
    assert json.loads(result.rows_json) == [[10]]
    assert "2026-11-02" in result.warnings[0]


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("SELECT * FROM agent_run_log WHERE date = 20261110", "DATE '2026-11-10'"),
        ("SELECT * FROM agent_run_log WHERE date >= 'yesterday'", "current_date - 1"),
        ("SELECT * FROM agent_run_log WHERE date = '10.11.2026'", "2026-11-10"),
        ("SELECT * FROM agent_run_log WHERE date = '20261110'", "'2026-11-10'"),
        ("SELECT * FROM agent_run_log WHERE date = '2026-11'", "date < '2026-12-01'"),
        ("SELECT * FROM agent_run_log WHERE created_at > 1760000000", "to_timestamp(1760000000)"),
        ("SELECT date_trunc(day, created_at) FROM agent_run_log", "date_trunc('day', …)"),
        ("SELECT datediff(day, created_at, now()) FROM agent_run_log", "datediff('day', …)"),
        ('SELECT * FROM agent_run_log WHERE agent_id = "aurora"', "'aurora'"),
        ("SELECT * FROM agent_run_log LIMIT 5, 10", "LIMIT 10 OFFSET 5"),
        ("SELECT * FROM agent_run_log WHERE agent_id ILIKE ANY ('a%', 'b%')", "joined with OR"),
        ("SELECT * FROM agent_run_log WHERE created_at > SYSDATE", "now()"),
        ("SELECT * FROM agent_run_log WHERE date LIKE '2026-11%'", "BETWEEN"),
    ],
)
def test_habits_of_other_dialects_are_told_what_to_write(shared_lake, sql, hint):
    with pytest.raises(QueryRejected) as caught:
        shared_lake.query(sql)
    assert hint in (caught.value.hint or "")


def test_distances_of_two_columns_are_bounded_while_they_run(shared_lake):
    near = shared_lake.query(
        "SELECT levenshtein('kitten' || left(agent_id, 0), 'sitting') AS d, d + 1 AS e "
        "FROM agent_run_log WHERE levenshtein(agent_id, run_id) >= 0 LIMIT 1"
    )
    assert near.rows_json == b"[[3,4]]"
    assert shared_lake.query("SELECT jaro_similarity(x, x) FROM (SELECT 'a' AS x)").row_count == 1
    with pytest.raises(QueryRejected) as caught:
        shared_lake.query("SELECT levenshtein(x, x) FROM (SELECT repeat('a', 300) AS x)")
    assert caught.value.code == "argument_too_large"
    assert caught.value.detail.startswith("levenshtein compares two texts of more than")


def test_json_is_taken_apart_in_from(shared_lake):
    answer = shared_lake.query(
        "SELECT j.key, j.value FROM (SELECT '{\"a\": 1}' AS m LIMIT 1) r, json_each(r.m) AS j"
    )
    assert answer.rows_json == b'[["a",1]]'


def test_a_limit_that_was_cut_and_a_null_that_is_compared_are_told(shared_lake):
    cut = shared_lake.query("SELECT i FROM range(3000) t(i) LIMIT 2000")
    assert cut.row_count == 1000
    assert any("LIMIT of the SQL was cut" in warning for warning in cut.warnings)
    whole = shared_lake.query("SELECT i FROM range(3000) t(i) FETCH FIRST 7 ROWS ONLY")
    assert (whole.row_count, whole.warnings) == (7, ())
    null = shared_lake.query("SELECT count(*) FROM agent_run_log WHERE agent_id = NULL")
    assert any("write `IS NULL`" in warning for warning in null.warnings)


@pytest.mark.parametrize(
    ("sql", "code", "hint"),
    [
        ("SELECT agent_idd FROM agent_run_log", "unknown_column", "`agent_id`"),
        ("SELECT r.tokns FROM agent_run_log r", "unknown_column", "`tokens`"),
        ("SELECT * EXCLUDE (tokns) FROM agent_run_log", "unknown_column", "`tokens`"),
        ("SELECT agent_run_log.tokens FROM agent_run_log r", "unknown_table", "alias"),
        (
            "SELECT tokens FROM agent_run_log a JOIN agent_run_log b ON a.run_id = b.run_id",
            "ambiguous_column",
            "alias",
        ),
        ("SELECT sum(agent_id) FROM agent_run_log", "type_mismatch", "CAST"),
        ("SELECT CAST(agent_id AS INT) FROM agent_run_log", "type_mismatch", "TRY_CAST"),
        ("SELECT agent_id::nope FROM agent_run_log", "invalid_query", None),
        ("SELECT agent_id, sum(tokens) FROM agent_run_log", "not_grouped", "GROUP BY ALL"),
        ("SELECT 9223372036854775807 + tokens FROM agent_run_log", "out_of_range", None),
    ],
)
def test_what_the_binder_refuses(shared_lake, sql, code, hint):
    with pytest.raises(QueryRejected) as caught:
        shared_lake.query(sql)
    assert caught.value.code == code
    assert hint is None or hint in (caught.value.hint or "")
    told = f"{caught.value.detail} {caught.value.hint}"
    assert ".parquet" not in told
    assert str(shared_lake.cache) not in told


@pytest.mark.parametrize("order", ["", " ORDER BY 1"])
@pytest.mark.parametrize(
    ("sql", "code", "fragment"),
    [
        ("SELECT agent_idd FROM agent_run_log", "unknown_column", "agent_idd"),
        ("SELECT sum(agent_id) FROM agent_run_log", "type_mismatch", "sum(agent_id)"),
        ("SELECT agent_id, sum(tokens) FROM agent_run_log", "not_grouped", "agent_id"),
    ],
)
def test_an_order_changes_nothing_of_a_refusal(shared_lake, sql, order, code, fragment):
    with pytest.raises(QueryRejected) as caught:
        shared_lake.query(sql + order)
    position = caught.value.position
    assert caught.value.code == code
    assert position is not None
    assert sql[position.offset :].startswith(fragment)


def test_an_ordered_text_needs_no_dataset(shared_lake):
    sql = "SELECT range AS n FROM range(5) ORDER BY n DESC"
    assert shared_lake.rows(sql) == [[4], [3], [2], [1], [0]]


def test_a_value_that_fails_in_an_ordered_text_has_no_wrong_position(shared_lake):
    sql = "SELECT CAST(agent_id AS INT) AS number FROM agent_run_log ORDER BY number"
    with pytest.raises(QueryRejected) as caught:
        shared_lake.query(sql)
    assert (caught.value.code, caught.value.position) == ("type_mismatch", None)
    assert "TRY_CAST" in (caught.value.hint or "")


def test_positions_count_characters(shared_lake):
    sql = "SELECT 'é😀', agent_idd FROM agent_run_log"
    with pytest.raises(QueryRejected) as caught:
        shared_lake.query(sql)
    position = caught.value.position
    assert position is not None
    assert sql[position.offset :].startswith("agent_idd")


def test_storage_down_is_told_within_three_seconds(lake):
    lake.start(location=replace(lake.location, endpoint="http://127.0.0.1:9"))
    started = time.monotonic()
    with pytest.raises(QueryUnavailable) as caught:
        lake.query("SELECT * FROM agent_run_log")
    assert time.monotonic() - started < 3.5
    assert caught.value.code == "storage_unavailable"
    assert lake.background.run(lake.engine.status()) == {
        "storage": False,
        "workers": True,
        "cache": True,
    }


def test_status(shared_lake):
    assert shared_lake.background.run(shared_lake.engine.status()) == {
        "storage": True,
        "workers": True,
        "cache": True,
    }


def test_more_data_than_the_cache_holds(lake):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    lake.start(LAKE_CACHE_BYTES="100")
    with pytest.raises(QueryUnavailable) as caught:
        lake.query("SELECT * FROM agent_run_log")
    assert caught.value.code == "object_too_large"


# --- answers that are given again ------------------------------------------------------------


@pytest.fixture
def jobs(monkeypatch):
    """The texts that reach a worker."""
    seen: list[str] = []
    real = engine_module.Job

    def job(**fields):
        seen.append(fields["sql"])
        return real(**fields)

    monkeypatch.setattr(engine_module, "Job", job)
    return seen


def test_the_same_question_over_the_same_data_is_answered_from_memory(lake, jobs):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    lake.start()
    sql = "SELECT sum(tokens) FROM agent_run_log"
    first, again = lake.query(sql), lake.query(sql)
    assert len(jobs) == 1
    assert again.rows_json == first.rows_json
    assert "run" not in again.stages_ms
    lake.query(sql, limit=7)
    assert len(jobs) == 2
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"], tokens=99))
    poll(lambda: lake.rows(sql) == [[99]])


def test_a_write_to_another_day_of_the_dataset_is_told_in_freshness(lake):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    lake.start()
    sql = "SELECT sum(tokens) FROM agent_run_log WHERE date = '2026-11-03'"
    assert lake.query(sql).freshness[0].newest_day == DAY
    lake.put(RUNS, DAY + timedelta(days=1), run_rows(DAY, ["aurora"]))
    poll(lambda: lake.query(sql).freshness[0].newest_day == DAY + timedelta(days=1))


@pytest.mark.parametrize("sql", ["SELECT now()", "SELECT random()", "SELECT uuid()"])
def test_volatile_answers_are_not_kept(shared_lake, sql):
    assert shared_lake.rows(sql) != shared_lake.rows(sql)


def test_stages_are_told(shared_lake):
    stages = shared_lake.query("SELECT count(*) + 17 FROM agent_run_log").stages_ms
    expected = {"snapshot", "plan", "fetch", "queue", "vote", "bind", "run", "encode", "pipe"}
    assert set(stages) == expected
    assert all(taken >= 0 for name, taken in stages.items() if name != "pipe")


def test_decimals_stay_exact(lake):
    table = run_rows(DAY, ["aurora"]).set_column(
        3, "cost_usd", pa.array([Decimal("123456789012.345678")], pa.decimal128(18, 6))
    )
    lake.put(RUNS, DAY, table)
    lake.put(USAGE, DAY, usage_rows(DAY, ["small"]))
    lake.start()
    assert lake.rows("SELECT cost_usd FROM agent_run_log") == [["123456789012.345678"]]


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        # The type of the clock needs text, and nothing in the text of the query tells.
        ("SELECT current_time IS NULL AS a, current_time AS b FROM range(300) r(i)", [False]),
        ("SELECT DATE '9999-12-31' AS a FROM range(300) r(i)", ["9999-12-31"]),
        ("SELECT 'infinity'::DATE AS a FROM range(300) r(i)", ["infinity"]),
    ],
)
def test_rows_are_read_again_where_python_has_no_exact_value(shared_lake, sql, first):
    rows = json.loads(shared_lake.query(sql, limit=200).rows_json)
    assert len(rows) == 200
    assert rows[0][:1] == rows[199][:1] == first
