"""Objects that the lake did not write, days that can't be, and gaps are told in `warnings`."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from lake_api.query.segments import MIN_DAYS
from lake_api.query.stored_days import missing_days, possible_days
from tests.query.conftest import RUNS, run_rows
from tests.query.test_segments import poll

FIRST = date(2026, 10, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(6)]
COUNT = "SELECT count(*) AS n, count(tokens) AS t FROM agent_run_log"


def foreign(day: date) -> pa.Table:
    """Rows of someone who calls tokens otherwise."""
    return run_rows(day, ["sage"]).rename_columns(
        ["run_id", "agent_id", "tok", "cost_usd", "created_at"]
    )


def told(lake, sql: str = COUNT) -> tuple[str, ...]:
    return lake.query(sql).warnings


def test_a_foreign_object_with_other_columns_is_told(lake):
    for day in DAYS:
        lake.put(RUNS, day, run_rows(day, ["aurora"]))
    lake.put(RUNS, DAYS[2], foreign(DAYS[2]))
    lake.start(LAKE_SEGMENT_BYTES="0")
    assert lake.rows(COUNT) == [[6, 5]]
    [warning] = told(lake)
    assert warning == (
        f"`agent_run_log`: the data of {DAYS[2]} was not written by the lake and has no `tokens`: "
        "NULL in every row of it"
    )
    assert told(lake, f"{COUNT} WHERE date > '{DAYS[2]}'") == ()
    assert told(lake, f"{COUNT} WHERE date = '{DAYS[2]}'") == (warning,)
    lake.put(RUNS, DAYS[2], run_rows(DAYS[2], ["aurora"]))
    poll(lambda: told(lake) == (), timeout_s=5.0)


def test_a_day_from_before_a_column_was_declared_is_not(lake):
    old = run_rows(FIRST, ["aurora"]).drop_columns(["tokens"])
    lake.put(RUNS, FIRST, old.replace_schema_metadata({"lake.dataset": RUNS.partition}))
    lake.put(RUNS, DAYS[1], old.replace_schema_metadata({"lake.dataset": "another"}))
    lake.start(LAKE_SEGMENT_BYTES="0")
    [warning] = told(lake)
    assert str(DAYS[1]) in warning
    assert str(FIRST) not in warning


def test_it_is_told_from_a_segment_too_and_in_bounded_number(lake):
    days = [FIRST + timedelta(days=number) for number in range(MIN_DAYS + 4)]
    for day in days:
        lake.put(RUNS, day, foreign(day))
    lake.start()
    before = told(lake)
    assert len(before) == 1
    assert f"and {len(days) - 5} more was not written" in before[0]
    poll(lambda: lake.engine._files.segments.builds >= 1)
    asked = lake.engine._files.objects.asked
    assert told(lake, COUNT + " WHERE true") == before
    assert lake.engine._files.objects.asked == asked


def test_days_that_cant_be_are_told_and_are_not_the_newest(lake):
    odd = [date(1, 1, 1), *DAYS, date(2999, 1, 1), date(9999, 12, 31)]
    for day in odd:
        lake.put(RUNS, day, run_rows(day, ["aurora"]))
    lake.start(LAKE_SEGMENT_BYTES="0")
    result = lake.query(COUNT)
    assert result.warnings == (
        "`agent_run_log`: 2999-01-01, 9999-12-31 in the future: the lake did not write these rows",
        "`agent_run_log`: 0001-01-01 before the dataset's first day, 2024-01-01: the lake did not "
        "write these rows",
    )
    assert result.freshness[0].newest_day == DAYS[-1]
    assert told(lake, f"{COUNT} WHERE date BETWEEN '{DAYS[0]}' AND '{DAYS[-1]}'") == ()
    [nothing] = told(lake, f"{COUNT} WHERE date = '2027-05-05'")
    assert nothing.endswith(f"it has {DAYS[0]} to {DAYS[-1]}")


def test_a_gap_within_what_is_asked_for_is_told(lake):
    gap = DAYS[2:4]
    for day in DAYS:
        if day not in gap:
            lake.put(RUNS, day, run_rows(day, ["aurora"]))
    lake.start(LAKE_SEGMENT_BYTES="0")
    both = f"`agent_run_log`: {gap[0]}, {gap[1]} should be stored and is not"
    assert told(lake) == (both,)
    assert told(lake, f"{COUNT} WHERE date >= '{gap[1]}'") == (both.replace(f"{gap[0]}, ", ""),)
    assert told(lake, f"{COUNT} WHERE date BETWEEN '{DAYS[1]}' AND '{gap[0]}'") != ()
    assert told(lake, f"{COUNT} WHERE date > '{gap[1]}'") == ()
    assert told(lake, f"{COUNT} WHERE date IN ('{DAYS[0]}', '{DAYS[5]}')") == ()
    assert told(lake, "SELECT run_id FROM agent_run_log LIMIT 1") == (both,)


@pytest.mark.parametrize(
    ("days", "missing"),
    [
        ([], []),
        ([FIRST], []),
        (DAYS, []),
        ([DAYS[0], DAYS[3]], DAYS[1:3]),
        ([date(1, 1, 1), DAYS[0], DAYS[2], date(9999, 12, 31)], [DAYS[1]]),
        ([date(9999, 12, 30), date(9999, 12, 31)], []),
    ],
)
def test_missing_days_lie_between_days_that_can_be(days, missing):
    today = date(2026, 12, 1)
    assert missing_days(RUNS, days, today=today) == tuple(missing)
    assert set(possible_days(RUNS, days, today=today)) == set(days) - {
        date(1, 1, 1),
        date(9999, 12, 30),
        date(9999, 12, 31),
    }
