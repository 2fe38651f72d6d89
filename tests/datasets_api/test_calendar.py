from datetime import UTC, date, datetime, timedelta

import pytest

from lake_api.datasets.calendar import Days, expected_days, missing_days, runs_of
from lake_assets.catalog import Dataset, Schedule, event, external, load_catalog, snapshot

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
COLUMNS = "id string! An id.\ncreated_at timestamp! When."


def weekly(cron: str = "0 9 * * 1", newest: int = 0, oldest: int = 0) -> Dataset:
    return external(
        "external/thing", "A thing", group="External", upstream="thing", tasks="lake.collect_thing",
        columns=COLUMNS, watermark="created_at",
        schedule=Schedule(cron=cron, newest_lag_d=newest, oldest_lag_d=oldest),
    )  # fmt: skip


def november(*days: int) -> list[date]:
    return [date(2026, 11, day) for day in days]


def test_runs_are_newest_first() -> None:
    assert runs_of(november(1, 2, 3, 7, 9, 10)) == (
        Days(first=date(2026, 11, 9), last=date(2026, 11, 10)),
        Days(first=date(2026, 11, 7), last=date(2026, 11, 7)),
        Days(first=date(2026, 11, 1), last=date(2026, 11, 3)),
    )
    assert runs_of([]) == ()


def test_an_event_has_every_day_but_today() -> None:
    dataset = event(
        "thing", "A thing", group="Core", table="things", tasks="lake.export_thing", columns=COLUMNS
    )
    assert missing_days(dataset, november(20, 22), NOW) == tuple(november(21, 23, 24))
    early = datetime(2026, 11, 25, 1, 29, tzinfo=UTC)
    assert date(2026, 11, 24) not in expected_days(dataset, date(2026, 11, 20), early)
    assert date(2026, 11, 24) in expected_days(
        dataset, date(2026, 11, 20), early + timedelta(minutes=1)
    )


def test_a_state_has_today_as_well() -> None:
    dataset = snapshot(
        "thing", "A thing", group="Core", table="things", tasks="lake.export_thing",
        columns="id string! An id.\nupdated_at timestamp! When.",
    )  # fmt: skip
    assert missing_days(dataset, november(24), NOW) == tuple(november(25))


def test_between_weekly_ticks_nothing_is_missing() -> None:
    assert missing_days(weekly(), november(9, 16, 23), NOW) == ()
    assert missing_days(weekly(), november(9, 23), NOW) == tuple(november(16))


@pytest.mark.parametrize(
    ("weekdays", "missing"),
    [("2-6", [10, 11, 12, 13, 14]), ("0", [15]), ("7", [15]), ("1,3", [11]), ("*", range(10, 16))],
)
def test_days_of_the_week(weekdays: str, missing: list[int]) -> None:
    now = datetime(2026, 11, 15, 23, tzinfo=UTC)
    found = missing_days(weekly(f"0 9 * * {weekdays}"), november(9), now)
    assert [day.day for day in found] == list(missing)


def test_a_tick_that_writes_several_days() -> None:
    dataset = weekly("0 9 * * 1", newest=1, oldest=3)
    # The tick of Monday 23 writes the 20th to the 22nd.
    assert missing_days(dataset, november(19, 20), NOW) == tuple(november(21, 22))


@pytest.mark.parametrize(
    "cron", ["0 9 1 * *", "0 9 * 2 *", "@daily", "*/5 * * * *", "0 9 * * MON", "0 25 * * *"]
)
def test_a_schedule_that_can_not_be_read_expects_nothing(cron: str) -> None:
    assert missing_days(weekly(cron), november(1), NOW) == ()


def test_nothing_stored_misses_nothing() -> None:
    assert missing_days(weekly(), [], NOW) == ()


def test_every_schedule_of_the_catalogue_is_read() -> None:
    for dataset in load_catalog():
        found = expected_days(dataset, date(2026, 11, 1), NOW)
        assert found, dataset.partition
        assert max(found) <= NOW.date()
        assert max(found) >= NOW.date() - timedelta(days=8)
