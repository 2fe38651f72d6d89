from datetime import UTC, datetime
from decimal import Decimal

import dagster as dg
import pytest

from tests.orchestration.conftest import first_error


def insert_plays(music, *rows):
    for play_id, moment in rows:
        music.sql(
            f"INSERT INTO {music.schema}.plays VALUES (%s, 'Zoë 🎧', 1.5, %s, 'x', %s)",
            play_id,
            '{"k": [1]}',
            moment,
        )


def utc(day: int, hour: int = 12, **rest: int) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC, **({"minute": 0} | rest))


def checks_of(result) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_an_event_day_is_the_half_open_utc_day(music):
    insert_plays(
        music,
        (1, utc(20, 23, minute=59, second=59, microsecond=999_999)),
        (2, utc(21, 0)),
        (3, utc(21, 23, minute=59, second=59, microsecond=999_999)),
        (4, utc(22, 0)),
    )

    result = music.materialize("music/plays", "2026-11-21")

    assert result.success
    table = music.read("music/plays", "2026-11-21")
    assert table.column("play_id").to_pylist() == [2, 3]
    assert table.to_pylist()[0] == {
        "play_id": 2,
        "listener": "Zoë 🎧",
        "cost_usd": Decimal("1.500000"),
        "details": '{"k": [1]}',
        "created_at": utc(21, 0),
    }


def test_columns_that_are_not_declared_never_leave_the_database(music):
    insert_plays(music, (1, utc(21)))

    music.materialize("music/plays", "2026-11-21")

    assert "secret" not in music.read("music/plays", "2026-11-21").column_names


def test_a_materialization_says_what_was_written(music):
    insert_plays(music, (1, utc(21, 1)), (2, utc(21, 2)))

    result = music.materialize("music/plays", "2026-11-21")

    (materialization,) = result.get_asset_materialization_events()
    metadata = materialization.materialization.metadata
    assert metadata["rows"].value == 2
    assert metadata["dagster/partition_row_count"].value == 2
    assert metadata["dagster/uri"].value.endswith("/raw/music/plays/date=2026-11-21/data.parquet")
    assert metadata["watermark_min"].value == "2026-11-21T01:00:00+00:00"
    assert metadata["watermark_max"].value == "2026-11-21T02:00:00+00:00"
    assert metadata["source"].value == f"postgres:{music.schema}.plays"
    assert metadata["size_bytes"].value > 0
    assert metadata["duration_s"].value >= 0


def test_a_range_is_one_run_with_every_day_reported_by_itself(music):
    insert_plays(music, (1, utc(19)), (2, utc(21)), (3, utc(21)))

    result = music.materialize("music/plays", "2026-11-19", "2026-11-21")

    rows = {
        event.materialization.partition: event.materialization.metadata["rows"].value
        for event in result.get_asset_materialization_events()
    }
    assert rows == {"2026-11-19": 1, "2026-11-20": 0, "2026-11-21": 2}
    assert music.read("music/plays", "2026-11-20").num_rows == 0


def test_a_second_run_takes_in_late_rows(music):
    insert_plays(music, (1, utc(21)))
    music.materialize("music/plays", "2026-11-21")
    insert_plays(music, (2, utc(21)))

    music.materialize("music/plays", "2026-11-21")

    assert music.read("music/plays", "2026-11-21").column("play_id").to_pylist() == [1, 2]


def test_checks_hold_for_good_rows_and_name_the_failing_day(music):
    insert_plays(music, (1, utc(21)))
    assert checks_of(music.materialize("music/plays", "2026-11-21")) == {
        "schema": True,
        "not_empty": True,
        "watermark_in_day": True,
        "unique_key": True,
        "null_rate": True,
        "row_count": True,
        "unfit_values": True,
        "rows_without_day": True,
        "late_rows": True,
        "newest_day": True,
    }

    insert_plays(music, (1, utc(21)))
    result = music.materialize("music/plays", "2026-11-20", "2026-11-21")

    assert checks_of(result) == {
        "schema": True,
        "not_empty": False,
        "watermark_in_day": True,
        "unique_key": False,
        "null_rate": True,
        "row_count": True,
        "unfit_values": True,
        "rows_without_day": True,
        "late_rows": True,
        "newest_day": True,
    }
    verdicts = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert verdicts["not_empty"].description == "2026-11-20: no rows"
    assert verdicts["unique_key"].description == "2026-11-21: 1 rows repeat a key"


def test_a_snapshot_is_the_full_state_and_only_for_today(music):
    music.sql(f"INSERT INTO {music.schema}.artists VALUES ('a', '2019-01-01'), ('b', now())")

    assert music.materialize("music/artists", "2026-11-23").success
    assert music.read("music/artists", "2026-11-23").num_rows == 2

    past = music.materialize("music/artists", "2026-11-22")
    assert not past.success
    assert "can only be written for today (2026-11-23); the state of 2026-11-22 is gone" in (
        first_error(past)
    )


def test_a_column_that_the_table_lacks_is_null_and_one_it_must_have_fails(music):
    insert_plays(music, (1, utc(21)))
    music.sql(f"ALTER TABLE {music.schema}.plays DROP COLUMN listener")
    assert music.materialize("music/plays", "2026-11-21").success
    assert music.read("music/plays", "2026-11-21").column("listener").null_count == 1

    music.sql(f"ALTER TABLE {music.schema}.plays DROP COLUMN play_id")
    assert "has no column `play_id`, which the declaration requires" in first_error(
        music.materialize("music/plays", "2026-11-21")
    )


def test_rows_that_do_not_fit_keep_the_old_partition(music):
    insert_plays(music, (1, utc(21)))
    music.materialize("music/plays", "2026-11-21")
    music.sql(f"ALTER TABLE {music.schema}.plays ALTER COLUMN play_id TYPE text")
    music.sql(f"UPDATE {music.schema}.plays SET play_id = 'one'")

    result = music.materialize("music/plays", "2026-11-21")

    assert "2026-11-21: music/plays: column `play_id` is declared int64" in first_error(result)
    assert music.read("music/plays", "2026-11-21").column("play_id").to_pylist() == [1]


def test_a_missing_table_is_said_in_one_line_without_retries(music):
    music.sql(f"DROP TABLE {music.schema}.artists")

    result = music.materialize("music/artists", "2026-11-23")

    assert f"the platform database has no table {music.schema}.artists" in first_error(result)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


def test_a_dataset_without_a_collector_says_so(music):
    result = music.materialize("music/charts", "2026-11-23")

    assert "music/charts is not built yet" in first_error(result)


def test_days_before_a_failure_are_announced_to_readers(music):
    insert_plays(music, (1, utc(19)))
    music.sql(f"INSERT INTO {music.schema}.plays VALUES (2, 'x', 'NaN', NULL, NULL, %s)", utc(20))

    result = music.materialize("music/plays", "2026-11-19", "2026-11-20")

    assert not result.success
    assert music.read("music/plays", "2026-11-19").num_rows == 1
    with music.store.open("raw/music/plays/_version.json") as token:
        assert b"2026-11-19" in token.read()


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("platform_events", ("2026-11-21", "2026-11-22")),
        ("platform_snapshots", ("2026-11-23",)),
        ("collect_charts", ("2026-11-23",)),
    ],
)
def test_a_schedule_asks_for_its_days(music, name, days):
    schedule = music.defs.resolve_schedule_def(name)
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 11, 23, 0, 30, tzinfo=UTC),
        repository_def=music.defs.get_repository_def(),
    )

    (request,) = schedule.evaluate_tick(context).run_requests

    tags = request.tags
    first = tags.get("dagster/asset_partition_range_start", request.partition_key)
    last = tags.get("dagster/asset_partition_range_end", request.partition_key)
    assert (first, last) == (days[0], days[-1])


def test_a_derived_asset_reads_days_back_as_one_table(music):
    insert_plays(music, (1, utc(20)), (2, utc(21)))
    music.materialize("music/plays", "2026-11-20", "2026-11-21")
    manager = music.defs.resources["lake_io"]
    partitions = dg.DailyPartitionsDefinition("2024-01-01")
    context = dg.build_input_context(
        asset_key=dg.AssetKey(["music", "plays"]),
        asset_partition_key_range=dg.PartitionKeyRange("2026-11-20", "2026-11-21"),
        asset_partitions_def=partitions,
    )

    table = manager.load_input(context)

    assert table.column("play_id").to_pylist() == [1, 2]
    assert table.column("date").to_pylist() == [utc(20).date(), utc(21).date()]


def test_a_day_that_was_never_written_is_file_not_found(music):
    context = dg.build_input_context(
        asset_key=dg.AssetKey(["music", "plays"]),
        partition_key="2026-11-20",
        asset_partitions_def=dg.DailyPartitionsDefinition("2024-01-01"),
        asset_partition_key_range=dg.PartitionKeyRange("2026-11-20", "2026-11-20"),
    )

    with pytest.raises(FileNotFoundError):
        music.defs.resources["lake_io"].load_input(context)
