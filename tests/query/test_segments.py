"""Hot datasets in the engine's own format: the same answers, never a stale one."""

import time
from datetime import date, timedelta

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_api.errors import QueryRejected
from lake_api.query.segments import MIN_DAYS, day_ranges
from lake_assets.catalog import data_key
from tests.query.conftest import RUNS, USAGE, run_rows, usage_rows

FIRST = date(2026, 10, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(MIN_DAYS + 4)]
ALL = "SELECT agent_id, sum(tokens) AS n, max(date) AS d FROM agent_run_log GROUP BY 1 ORDER BY 1"


def poll(condition, *, timeout_s=30.0):
    until = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return found


def fill(lake) -> None:
    for number, day in enumerate(DAYS):
        lake.put(RUNS, day, run_rows(day, ["aurora", "sage"], tokens=number))


def build(lake, *, builds: int = 1) -> None:
    """Ask for everything, and wait until it lies in a segment."""
    lake.rows(ALL)
    poll(lambda: lake.engine._files.segments.builds >= builds)


@pytest.fixture
def built(lake):
    fill(lake)
    lake.start()
    before = lake.rows(ALL)
    build(lake)
    lake.before = before
    return lake


def test_a_segment_gives_the_same_answers_and_reads_no_object(built):
    queries = {
        "SELECT count(*) AS n FROM agent_run_log": [[2 * len(DAYS)]],
        f"SELECT agent_id FROM agent_run_log WHERE date = '{DAYS[3]}' ORDER BY tokens": [
            ["aurora"],
            ["sage"],
        ],
        f"SELECT min(date) AS a, max(date) AS b FROM agent_run_log WHERE date > '{DAYS[9]}'": [
            [DAYS[10].isoformat(), DAYS[-1].isoformat()]
        ],
    }
    asked = built.engine._files.objects.asked

    # Written otherwise than before, so that no remembered result answers.
    assert built.rows(ALL + " LIMIT 10") == built.before
    for sql, rows in queries.items():
        assert built.rows(sql) == rows
    assert built.engine._files.objects.asked == asked
    assert built.query("SELECT * FROM agent_run_log LIMIT 1").column_types == (
        "VARCHAR",
        "VARCHAR",
        "BIGINT",
        "DECIMAL(18,6)",
        "TIMESTAMP WITH TIME ZONE",
        "DATE",
    )


def test_a_rewritten_a_new_and_a_removed_day_are_never_stale(built):
    sql = f"SELECT agent_id FROM agent_run_log WHERE date = '{DAYS[5]}'"
    everything = "SELECT count(*) AS n FROM agent_run_log"
    built.put(RUNS, DAYS[5], run_rows(DAYS[5], ["nova"]))
    poll(lambda: built.rows(sql) == [["nova"]], timeout_s=2.0)
    assert built.rows(everything) == [[2 * len(DAYS) - 1]]

    newest = DAYS[-1] + timedelta(days=1)
    built.put(RUNS, newest, run_rows(newest, ["ember"]))
    poll(lambda: built.rows(everything) == [[2 * len(DAYS)]], timeout_s=2.0)

    obstore.delete(built.writer, data_key(RUNS, DAYS[0]))
    built.put(RUNS, newest, run_rows(newest, ["ember", "lyra"]))
    poll(lambda: built.rows(everything) == [[2 * len(DAYS) - 1]], timeout_s=2.0)


def test_many_new_days_make_a_new_segment_and_workers_follow(built):
    for number in range(MIN_DAYS):
        day = DAYS[-1] + timedelta(days=1 + number)
        built.put(RUNS, day, run_rows(day, ["nova"]))
    total = 2 * len(DAYS) + MIN_DAYS
    poll(lambda: built.rows("SELECT count(*) AS n FROM agent_run_log") == [[total]], timeout_s=5.0)
    poll(lambda: built.engine._files.segments.builds == 2)
    asked = built.engine._files.objects.asked

    # Enough queries that every worker has to attach the new one.
    for number in range(8):
        sql = f"SELECT count(*) + {number} AS n FROM agent_run_log"
        assert built.rows(sql) == [[total + number]]
    assert built.engine._files.objects.asked == asked


def test_two_datasets_join_over_their_segments(built):
    for day in DAYS:
        built.put(USAGE, day, usage_rows(day, ["m1", "m2"]))
    join = (
        "SELECT count(*) AS n FROM agent_run_log r JOIN platform_llm_token_usage u"
        " ON r.agent_id = u.agent_id AND r.date = u.date"
    )
    poll(lambda: built.rows(join) == [[2 * len(DAYS)]], timeout_s=5.0)
    poll(lambda: built.engine._files.segments.builds == 2)

    assert built.rows(join + " WHERE true") == [[2 * len(DAYS)]]


@pytest.mark.parametrize("name", ["{alias}.main.rows", "{alias}.rows", "main.rows", "rows"])
def test_a_segment_is_no_table_that_a_caller_can_name(built, name):
    (segment,) = built.engine._files.segments._segments.values()

    with pytest.raises(QueryRejected):
        built.query(f"SELECT * FROM {name.format(alias=segment.path.stem)}")


def test_without_a_budget_none_is_built(lake):
    fill(lake)
    lake.start(LAKE_SEGMENT_BYTES="0")
    lake.rows(ALL)
    assert lake.rows("SELECT count(*) AS n FROM agent_run_log") == [[2 * len(DAYS)]]
    assert not lake.engine._files.segments.is_building
    assert lake.engine._files.segments.builds == 0


def test_a_build_that_fails_costs_speed_only_and_is_not_repeated(lake, monkeypatch):
    builds: list[object] = []

    async def fail(job: object) -> bool:
        builds.append(job)
        return False

    monkeypatch.setattr("lake_api.query.segments._build", fail)
    fill(lake)
    lake.start()
    for number in range(3):
        sql = f"SELECT count(*) + {number} AS n FROM agent_run_log"
        assert lake.rows(sql) == [[2 * len(DAYS) + number]]
        poll(lambda: not lake.engine._files.segments.is_building)

    assert len(builds) == 1


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_ranges_hold_the_chosen_days_and_no_other_that_is_there(there, chosen):
    def day(number: int) -> date:
        return FIRST + timedelta(days=number)

    days = sorted(map(day, there))
    wanted = {day(number) for number in chosen & there}

    places = {one: place for place, one in enumerate(days)}
    ranges = day_ranges(sorted(wanted), places)

    inside = {one for one in days if any(first <= one <= last for first, last in ranges)}
    assert inside == wanted
