"""A declaration that gained a column, and days that have one in another type."""

from collections.abc import Iterator
from datetime import date, timedelta

import pyarrow as pa
import pytest

from lake_api.errors import QueryRejected, QueryUnavailable
from lake_api.query.messages import Form
from lake_api.query.segments import MIN_DAYS
from tests.conftest import remove_bucket
from tests.query.conftest import RUNS, USAGE, run_rows, usage_rows
from tests.query.test_segments import build, poll

FIRST = date(2026, 9, 1)
OLD = [FIRST + timedelta(days=number) for number in range(MIN_DAYS + 2)]
NEW = [OLD[-1] + timedelta(days=1 + number) for number in range(4)]
"""Days before and since `cost_usd` and `agent_id` were declared."""

ADDED = ["agent_id", "cost_usd"]


def without(table: pa.Table, *columns: str) -> pa.Table:
    return table.drop_columns(list(columns))


def fill(lake) -> None:
    for day in OLD:
        lake.put(RUNS, day, without(run_rows(day, ["aurora", "sage"]), *ADDED))
        lake.put(USAGE, day, usage_rows(day, ["small"]))
    for day in NEW:
        lake.put(RUNS, day, run_rows(day, ["aurora", "sage"]))
        lake.put(USAGE, day, usage_rows(day, ["small"]))


@pytest.fixture(scope="module", params=["files", "segments"])
def grown(request, new_lake) -> Iterator:
    """The lake after the change, read file by file, or from segments."""
    lake = new_lake()
    fill(lake)
    if request.param == "segments":
        lake.start()
        build(lake)
        lake.rows("SELECT count(*) AS n FROM platform_llm_token_usage")
        poll(lambda: lake.engine._files.segments.builds >= 2)
    else:
        lake.start(LAKE_SEGMENT_BYTES="0")
    yield lake
    lake.stop()
    remove_bucket(lake.location)


TABLE = "agent_run_log"
DAY_OLD, DAY_NEW = OLD[-1].isoformat(), NEW[0].isoformat()
QUARTER = 0.25

FORMS = {
    "a day before": (
        f"SELECT agent_id, cost_usd FROM {TABLE} WHERE date = '{DAY_OLD}'",
        [[None, None]] * 2,
    ),
    "a day since": (
        f"SELECT agent_id, cost_usd FROM {TABLE} WHERE date = '{DAY_NEW}' ORDER BY 1",
        [["aurora", QUARTER], ["sage", QUARTER]],
    ),
    "a range across": (
        f"SELECT date, max(cost_usd) AS m FROM {TABLE} "
        f"WHERE date BETWEEN '{DAY_OLD}' AND '{DAY_NEW}' GROUP BY 1 ORDER BY 1",
        [[DAY_OLD, None], [DAY_NEW, QUARTER]],
    ),
    "counts": (
        f"SELECT count(*) AS n, count(cost_usd) AS c, count(DISTINCT agent_id) AS a FROM {TABLE}",
        [[2 * (len(OLD) + len(NEW)), 2 * len(NEW), 2]],
    ),
    "COLUMNS": (
        f"SELECT count(COLUMNS('agent_id|cost_usd')) FROM {TABLE}",
        [[2 * len(NEW)] * 2],
    ),
    "null filter": (
        f"SELECT count(*) AS n FROM {TABLE} WHERE cost_usd IS NULL",
        [[2 * len(OLD)]],
    ),
    "value filter": (
        f"SELECT count(*) AS n FROM {TABLE} WHERE agent_id = 'sage'",
        [[len(NEW)]],
    ),
    "grouped by it": (
        f"SELECT agent_id, count(*) AS n FROM {TABLE} GROUP BY 1 ORDER BY 1 NULLS FIRST",
        [[None, 2 * len(OLD)], ["aurora", len(NEW)], ["sage", len(NEW)]],
    ),
    "a join on it": (
        f"SELECT count(*) AS n FROM {TABLE} r JOIN platform_llm_token_usage u "
        "ON u.agent_id = r.agent_id AND u.date = r.date",
        [[len(NEW)]],
    ),
    "a left join": (
        f"SELECT u.date, count(r.cost_usd) AS n FROM platform_llm_token_usage u "
        f"LEFT JOIN {TABLE} r ON u.date = r.date "
        f"WHERE u.date BETWEEN '{DAY_OLD}' AND '{DAY_NEW}' GROUP BY 1 ORDER BY 1",
        [[DAY_OLD, 0], [DAY_NEW, 2]],
    ),
    "a union": (
        f"SELECT cost_usd FROM {TABLE} WHERE date = '{DAY_OLD}' UNION "
        f"SELECT cost_usd FROM {TABLE} WHERE date = '{DAY_NEW}' ORDER BY 1 NULLS FIRST",
        [[None], [QUARTER]],
    ),
    "a window": (
        "SELECT DISTINCT first_value(agent_id) OVER (ORDER BY date DESC, agent_id) AS a "
        f"FROM {TABLE}",
        [["aurora"]],
    ),
    "a CTE from first": (
        f"WITH r AS (FROM {TABLE} WHERE date <= '{DAY_OLD}') SELECT sum(cost_usd) AS s FROM r",
        [[None]],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_column_added_reads_as_null_on_days_before(grown, form):
    sql, rows = FORMS[form]
    assert grown.rows(sql) == rows


@pytest.mark.parametrize(
    "days", [[OLD[0]], [NEW[0]], [OLD[-1], NEW[0]]], ids=["old", "new", "both"]
)
def test_select_star_has_the_declared_columns_whatever_the_day(grown, days):
    listed = ", ".join(f"'{day}'" for day in days)
    result = grown.query(f"SELECT * FROM {TABLE} WHERE date IN ({listed})")
    assert tuple(result.columns) == (*RUNS.column_names, "date")
    assert result.column_types == (
        "VARCHAR",
        "VARCHAR",
        "BIGINT",
        "DECIMAL(18,6)",
        "TIMESTAMP WITH TIME ZONE",
        "DATE",
    )
    assert result.row_count == 2 * len(days)


def test_a_day_with_another_type_fails_only_where_its_column_is_asked_for(lake):
    """Writing refuses such a day; one from elsewhere must not answer with something else."""
    for day in OLD[:2]:
        lake.put(RUNS, day, run_rows(day, ["aurora"]))
    foreign = run_rows(OLD[2], ["sage"])
    place = foreign.schema.get_field_index("tokens")
    lake.put(RUNS, OLD[2], foreign.set_column(place, "tokens", pa.array(["many"])))
    lake.start()

    everything = f"SELECT * FROM {TABLE}"
    for sql in (f"SELECT sum(tokens) AS n FROM {TABLE}", everything, f"{everything} ORDER BY 1"):
        with pytest.raises(QueryUnavailable) as caught:
            lake.rows(sql)
        error = caught.value
        assert (error.code, error.retry) == ("stored_type_mismatch", False)
        assert error.detail == (
            f"`{TABLE}` has values of `tokens` on {OLD[2]} that were stored as VARCHAR and are "
            "no BIGINT."
        )
    # What its hint says works.
    assert f"WHERE date <> DATE '{OLD[2]}'" in str(error.hint)
    beside = f"SELECT sum(tokens) AS n FROM {TABLE} WHERE date <> DATE '{OLD[2]}'"
    assert lake.rows(beside) == [[20]]
    assert lake.rows(f"SELECT * EXCLUDE (tokens) FROM {TABLE} WHERE date = '{OLD[2]}'")
    assert lake.rows(f"SELECT count(*) AS n, max(agent_id) AS a FROM {TABLE}") == [[3, "sage"]]
    # A cast in the text itself stays the caller's to mend, whatever the days hold.
    own = f"SELECT agent_id::INT AS n FROM {TABLE}"
    for sql in (own, f"{own} ORDER BY 1", f"{own} WHERE date < '{OLD[2]}'"):
        with pytest.raises(QueryRejected) as refused:
            lake.rows(sql)
        assert refused.value.code == "type_mismatch"


def test_of_two_datasets_the_one_whose_values_do_not_convert_is_told(lake):
    lake.put(RUNS, OLD[0], run_rows(OLD[0], ["sage"]))
    foreign = usage_rows(OLD[0], ["small"])
    place = foreign.schema.get_field_index("tokens")
    lake.put(USAGE, OLD[0], foreign.set_column(place, "tokens", pa.array(["many"])))
    lake.start()
    usage = "platform_llm_token_usage"
    for sql in (
        f"SELECT u.tokens FROM {TABLE} r JOIN {usage} u ON r.agent_id <> u.agent_id",
        f"SELECT tokens FROM {TABLE} UNION ALL SELECT tokens FROM {usage}",
    ):
        with pytest.raises(QueryUnavailable) as caught:
            lake.rows(sql)
        assert caught.value.code == "stored_type_mismatch"
        assert f"`{usage}` has values of `tokens`" in caught.value.detail


def test_a_day_with_another_type_is_told_in_every_form(lake):
    foreign = run_rows(OLD[0], ["sage"])
    place = foreign.schema.get_field_index("tokens")
    lake.put(RUNS, OLD[0], foreign.set_column(place, "tokens", pa.array([b"x"])))
    lake.start()
    for form in Form:
        with pytest.raises(QueryUnavailable) as caught:
            lake.query(f"SELECT tokens FROM {TABLE}", form=form)
        assert caught.value.code == "stored_type_mismatch"
        assert "stored as BLOB" in caught.value.detail
