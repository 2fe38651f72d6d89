from datetime import UTC, date, datetime

import pytest

from lake_assets.catalog import CatalogError, Schedule, load_catalog
from lake_assets.catalog.due import due_days, ticks

NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)
"""A Monday."""
FIRST, LAST = date(2026, 11, 18), date(2026, 11, 23)


def days(partition: str, now: datetime = NOW) -> list[int]:
    dataset = load_catalog()[partition]
    return [day.day for day in due_days(dataset, first=FIRST, last=LAST, now=now)]


def test_an_event_day_is_due_once_its_night_has_come():
    assert days("agent_run_log") == [18, 19, 20, 21, 22]
    assert days("agent_run_log", NOW.replace(hour=0, minute=29)) == [18, 19, 20, 21]


def test_a_snapshot_is_due_on_its_day_only():
    assert days("platform/agent_tasks") == [23]
    assert days("platform/agent_tasks", NOW.replace(hour=0, minute=5)) == []


def test_what_shows_the_state_of_its_day_is_due_on_its_day_only():
    assert days("external/scc/fred_indicators") == []
    assert days("external/scc/fred_indicators", NOW.replace(hour=15)) == [23]


def test_weekdays_are_those_of_the_cron():
    # Tuesday to Saturday, each with the five days before it.
    assert days("external/scc/sec_form_d") == [18, 19, 20]
    schedule = Schedule(cron="0 9 * * 0,6")
    assert [tick.day for tick in ticks(schedule, FIRST, LAST)] == [21, 22]


def test_every_declared_schedule_is_understood():
    for dataset in load_catalog():
        assert ticks(dataset.schedule, date(2026, 11, 1), date(2026, 11, 30)), dataset.partition


@pytest.mark.parametrize("cron", ["@daily", "*/5 * * * *", "0 0 1 * *", "0 9 * * MON"])
def test_other_crons_are_refused(cron):
    with pytest.raises(CatalogError):
        ticks(Schedule(cron=cron), FIRST, LAST)
