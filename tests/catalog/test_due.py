from datetime import UTC, date, datetime, timedelta

import pytest

from lake_assets.catalog import CatalogError, Schedule, load_catalog
from lake_assets.catalog.due import due_at, due_days, is_stale, newest_day_of, poll_days, ticks

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


def test_a_poll_writes_the_running_day_and_what_the_daily_tick_has_yet_to_write():
    schedule = Schedule(cron="0 8 * * *", newest_lag_d=1, oldest_lag_d=1, polls="20 * * * *")
    day = date(2026, 11, 23)

    def polled(hour):
        return poll_days(schedule, datetime(2026, 11, 23, hour, 20, tzinfo=UTC))

    assert polled(7) == (day - timedelta(days=1), day)
    assert polled(8) == polled(23) == (day,)


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


def day(number: int) -> date:
    return date(2026, 11, number)


def test_a_day_is_due_at_the_tick_that_writes_it_first():
    catalog = load_catalog()
    assert due_at(catalog["agent_run_log"], day(21)) == datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
    tasks = catalog["platform/agent_tasks"]
    assert due_at(tasks, day(21)) == datetime(2026, 11, 21, 0, 10, tzinfo=UTC)
    # Friday's forms are had on Saturday, and so would be those of a Saturday: on Tuesday.
    forms = catalog["external/scc/sec_form_d"]
    assert due_at(forms, day(20)).date() == day(21)
    assert due_at(forms, day(21)).date() == day(24)


def test_stale_is_what_lacks_a_day_that_should_be_there_whenever_the_others_were_written():
    runs = load_catalog()["agent_run_log"]
    assert is_stale(runs, [day(20), day(21)], now=NOW) is False
    assert is_stale(runs, [day(2), day(20)], now=NOW) is True
    assert is_stale(runs, [], now=NOW) is None
    # A day ahead of its time, which somebody else may have put there, makes nothing fresh.
    assert is_stale(runs, [day(2), date(9999, 12, 31)], now=NOW) is True
    assert newest_day_of(runs, [date(9999, 12, 31)], now=NOW) is None


def test_a_dataset_that_is_written_in_time_is_never_stale():
    for dataset in load_catalog():
        had: set[date] = set()
        for hours in range(24 * 21):
            now = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=hours)
            had |= set(due_days(dataset, first=day(1), last=now.date(), now=now))
            assert not is_stale(dataset, sorted(had), now=now), (dataset.partition, now)
