"""A stored day is not replaced by much less: whole runs, on a real database and a real bucket."""

from dataclasses import replace
from datetime import UTC, date, datetime

import dagster as dg
import pyarrow.parquet as pq
import pytest

from lake_assets.catalog import Catalog, Shrink, ShrinkPolicy, checks_key, data_key
from lake_assets.catalog.model import CatalogError
from lake_assets.orchestration.build import build_defs
from lake_assets.sources.platform import PlatformExport
from lake_assets.storage.repair import _same_rows
from lake_assets.storage.schema import arrow_schema
from tests.conftest import boto3_client, settings_of
from tests.orchestration.conftest import NOW, first_error
from tests.orchestration.derived_lake import LISTENS, DerivedLake, ago

PLAYS = "music/plays"
DAY = "2026-11-21"
ALLOW = {"lake/allow_shrink": "true"}


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def insert(music, first: int, rows: int, *, day: int = 21) -> None:
    music.sql(
        f"INSERT INTO {music.schema}.plays SELECT i, 'Zoë', 1.5, '{{}}', 'x', %s"
        " FROM generate_series(%s::int, %s::int) i",
        at(day),
        first,
        first + rows - 1,
    )


def run(music, first: str = DAY, last: str | None = None, **tags: str):
    span = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last or first,
    }
    return music.defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=music.instance,
        asset_selection=[dg.AssetKey(PLAYS.split("/"))],
        raise_on_error=False,
        tags=span | {name.replace("__", "/"): value for name, value in tags.items()},
    )


def ids(music, day: str = DAY) -> set[int]:
    return set(music.read(PLAYS, day).column("play_id").to_pylist())


def declare(music, shrink: Shrink, **changes) -> None:
    """The same lake, with another declaration of the plays."""
    plays = replace(music.catalog[PLAYS], declared_shrink=shrink, **changes)
    others = [dataset for dataset in music.catalog if dataset.partition != PLAYS]
    music.catalog = Catalog([plays, *others])
    env = settings_of(music.store.location) | {"PLATFORM_DATABASE_URL": music.url}
    music.defs = build_defs(catalog=music.catalog, env=env, clock=lambda: NOW)


def test_a_run_that_fails_leaves_no_transaction_open(music):
    insert(music, 1, 100)
    run(music)
    music.sql(f"DELETE FROM {music.schema}.plays")
    result = run(music)
    assert not result.success
    # With the transaction open this would wait for as long as the result lives.
    music.sql("SET lock_timeout = '5s'; " + f"ALTER TABLE {music.schema}.plays ADD COLUMN more int")


@pytest.mark.parametrize(
    ("purge", "words"),
    [
        ("WHERE play_id > 10", "has 10 rows, and 990 of the stored ones are not among them"),
        ("", "the new one has none"),
        ("WHERE play_id > 890", "has 890 rows, and 110 of the stored ones"),
    ],
    ids=["most", "all", "just over the share"],
)
def test_a_purged_day_stays_and_both_counts_are_told(music, purge, words):
    insert(music, 1, 1000)
    assert run(music).success
    music.sql(f"DELETE FROM {music.schema}.plays {purge}")

    failed = run(music)

    assert not failed.success
    said = first_error(failed)
    assert f"{DAY}: the stored day has 1,000 rows" in said
    assert words in said
    assert "lake/allow_shrink=true" in said
    assert ids(music) == set(range(1, 1001))
    assert not failed.get_asset_materialization_events()


def test_the_tag_lets_a_purged_day_go(music):
    insert(music, 1, 100)
    run(music)
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id > 5")

    allowed = run(music, **ALLOW)

    assert allowed.success
    assert ids(music) == {1, 2, 3, 4, 5}
    (event,) = allowed.get_asset_materialization_events()
    assert event.materialization.metadata["lost_rows"].value == 95


def test_single_rows_may_be_erased_and_are_counted(music):
    insert(music, 1, 100)
    run(music)
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id <= 10")

    again = run(music)

    assert again.success
    assert ids(music) == set(range(11, 101))
    (event,) = again.get_asset_materialization_events()
    assert event.materialization.metadata["lost_rows"].value == 10


def test_many_small_losses_are_judged_as_one(music):
    """Each run loses less than the share; together they may not lose more."""
    insert(music, 1, 1000)
    assert run(music).success
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id <= 60")
    assert run(music).success
    insert(music, 1001, 60)
    assert run(music).success
    # The new rows are others: 60 of the old ones are gone, and 60 more would be too many.
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id <= 120")

    said = first_error(run(music))

    assert "the stored day has 1,000 rows and had 1,000 rows at its fullest" in said
    assert "60 of the stored ones are not among them" in said
    assert "with those that went before 120 are gone (at most 10% may go)" in said
    assert ids(music) == set(range(61, 1061))
    assert run(music, **ALLOW).success
    # Who let them go begins anew.
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id <= 180")
    assert run(music).success
    assert ids(music) == set(range(181, 1061))


def test_repair_does_not_forget_what_went_before(music):
    insert(music, 1, 1000)
    run(music)
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id <= 90")
    run(music)
    dataset, day = music.catalog[PLAYS], date.fromisoformat(DAY)
    key = data_key(dataset, day)
    music.store.put_over(
        key, _same_rows(music.store, key, ""), etag=music.store.etags(dataset)[day]
    )
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id <= 110")

    assert "had 1,000 rows at its fullest" in first_error(run(music))


def test_a_column_does_not_lose_its_values_bit_by_bit(music):
    insert(music, 1, 200)
    run(music)
    music.sql(f"UPDATE {music.schema}.plays SET listener = NULL WHERE play_id > 120")
    assert run(music).success
    music.sql(f"UPDATE {music.schema}.plays SET listener = NULL WHERE play_id > 70")

    said = first_error(run(music))

    assert "120 values of `listener` and had 200 values of `listener` at its fullest" in said
    assert "the new one has 70 values of `listener`" in said


def test_as_many_other_rows_are_a_loss_too(music):
    insert(music, 1, 100)
    run(music)
    # A migration stamps the rows of the day anew, and those of another day take their place.
    music.sql(f"UPDATE {music.schema}.plays SET created_at = %s", at(3))
    insert(music, 1001, 100)

    failed = run(music)

    assert "has 100 rows, and 100 of the stored ones are not among them" in first_error(failed)
    assert ids(music) == set(range(1, 101))


def test_what_lies_beside_the_day_is_not_needed(music):
    insert(music, 1, 100)
    run(music)
    client, bucket = boto3_client(music.store.location), music.store.location.bucket
    client.delete_object(Bucket=bucket, Key=checks_key(music.catalog[PLAYS]))
    music.sql(f"DELETE FROM {music.schema}.plays")

    assert "the stored day has 100 rows" in first_error(run(music))


def test_a_day_that_others_wrote_is_compared_with_as_well(music, tmp_path):
    """No footer of ours, no statistics: what is in the object is counted."""
    insert(music, 1, 100)
    run(music)
    table = music.read(PLAYS, DAY).replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "day.parquet", write_statistics=False)
    key = data_key(music.catalog[PLAYS], date.fromisoformat(DAY))
    music.store.put_whole(key, (tmp_path / "day.parquet").read_bytes())

    music.sql(f"UPDATE {music.schema}.plays SET listener = NULL")
    assert "100 values of `listener`" in first_error(run(music))

    music.store.put_whole(key, b"no Parquet")
    assert "can't be compared with" in first_error(run(music))
    assert run(music, **ALLOW).success


def test_a_renamed_column_leaves_the_stored_days_as_they_are(music):
    insert(music, 1, 5, day=20)
    insert(music, 6, 5, day=21)
    run(music, "2026-11-20", DAY)
    music.sql(f"ALTER TABLE {music.schema}.plays RENAME COLUMN listener TO heard_by")
    insert(music, 11, 5, day=22)

    failed = run(music, "2026-11-20", "2026-11-22")

    said = first_error(failed)
    assert (
        "2 of 3 days were not written; the other 1 were written. 2026-11-20 to 2026-11-21" in said
    )
    assert "5 values of `listener`" in said
    assert "the source has no column `listener`" in said
    for day in ("2026-11-20", DAY):
        assert music.read(PLAYS, day).column("listener").null_count == 0
    (event,) = failed.get_asset_materialization_events()
    assert event.materialization.partition == "2026-11-22"


def test_a_column_that_loses_most_of_its_values_is_told(music):
    insert(music, 1, 200)
    run(music)
    music.sql(f"UPDATE {music.schema}.plays SET listener = NULL WHERE play_id > 50")

    said = first_error(run(music))

    assert "200 values of `listener`, the new one has 50 values of `listener`" in said
    assert music.read(PLAYS, DAY).column("listener").null_count == 0


def test_values_of_a_transient_column_may_go(music):
    insert(music, 1, 5)
    columns = tuple(
        replace(column, transient=column.name == "listener")
        for column in music.catalog[PLAYS].columns
    )
    declare(music, Shrink(), columns=columns)
    run(music)
    music.sql(f"UPDATE {music.schema}.plays SET listener = NULL")

    assert run(music).success


def test_of_a_range_the_good_days_are_written_and_the_bad_ones_named(music):
    for day in (19, 20, 21):
        insert(music, day * 100, 20, day=day)
    run(music, "2026-11-19", DAY)
    music.sql(f"DELETE FROM {music.schema}.plays WHERE created_at = %s", at(20))
    insert(music, 5000, 1, day=19)
    insert(music, 5001, 1, day=21)

    failed = run(music, "2026-11-19", DAY)

    assert "1 of 3 days were not written; the other 2 were written. 2026-11-20: " in first_error(
        failed
    )
    written = {
        event.materialization.partition for event in failed.get_asset_materialization_events()
    }
    assert written == {"2026-11-19", DAY}
    assert 5000 in ids(music, "2026-11-19")
    assert 5001 in ids(music, DAY)
    assert len(ids(music, "2026-11-20")) == 20


def test_a_mirror_follows_its_source(music):
    declare(music, Shrink(policy=ShrinkPolicy.MIRROR))
    insert(music, 1, 50)
    run(music)
    music.sql(f"DELETE FROM {music.schema}.plays")

    again = run(music)

    assert again.success
    assert ids(music) == set()
    (event,) = again.get_asset_materialization_events()
    assert event.materialization.metadata["lost_rows"].value == 50


def test_a_mirror_does_not_follow_a_column_that_was_renamed(music):
    declare(music, Shrink(policy=ShrinkPolicy.MIRROR))
    insert(music, 1, 50)
    run(music)
    music.sql(f"ALTER TABLE {music.schema}.plays RENAME COLUMN listener TO heard_by")
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id <= 40")

    failed = run(music)

    assert "50 values of `listener`, the new one has none in 10 rows" in first_error(failed)
    assert "the source has no column `listener`" in first_error(failed)
    assert ids(music) == set(range(1, 51))
    assert run(music, **ALLOW).success
    assert ids(music) == set(range(41, 51))


def test_a_mirror_does_not_follow_a_column_that_is_null_everywhere(music):
    declare(music, Shrink(policy=ShrinkPolicy.MIRROR))
    insert(music, 1, 50)
    run(music)
    music.sql(f"UPDATE {music.schema}.plays SET listener = NULL")
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id <= 40")

    assert "50 values of `listener`, the new one has none" in first_error(run(music))


def test_a_mirror_follows_where_the_only_values_of_a_column_went_with_their_row(music):
    declare(music, Shrink(policy=ShrinkPolicy.MIRROR))
    insert(music, 1, 5)
    music.sql(f"UPDATE {music.schema}.plays SET listener = NULL WHERE play_id > 1")
    run(music)
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id = 1")

    assert run(music).success
    assert ids(music) == {2, 3, 4, 5}


def test_what_is_kept_stays_when_it_no_longer_comes(music):
    declare(music, Shrink(policy=ShrinkPolicy.KEEP, share=0.0))
    insert(music, 1, 50)
    run(music)
    music.sql(f"DELETE FROM {music.schema}.plays WHERE play_id <= 45")
    music.sql(f"UPDATE {music.schema}.plays SET listener = 'Ann'")
    insert(music, 51, 1)

    again = run(music)

    assert again.success
    table = music.read(PLAYS, DAY)
    assert sorted(table.column("play_id").to_pylist()) == list(range(1, 52))
    assert table.column("listener").to_pylist().count("Ann") == 5
    (event,) = again.get_asset_materialization_events()
    assert event.materialization.metadata["kept_rows"].value == 45
    music.sql(f"DELETE FROM {music.schema}.plays")
    assert run(music).success
    assert len(ids(music)) == 51
    assert run(music, **ALLOW).success
    assert ids(music) == set()


def test_a_snapshot_of_the_running_day_may_change_but_not_vanish(music):
    def artists():
        return music.materialize("music/artists", "2026-11-23")

    music.sql(f"INSERT INTO {music.schema}.artists SELECT i, now() FROM generate_series(1, 10) i")
    assert artists().success
    music.sql(f"DELETE FROM {music.schema}.artists WHERE artist_id::int <= 5")
    assert artists().success
    music.sql(f"DELETE FROM {music.schema}.artists WHERE artist_id::int <= 9")
    assert "the stored day has 5 rows" in first_error(artists())
    music.sql(f"DELETE FROM {music.schema}.artists")
    assert "the new one has none" in first_error(artists())


def test_a_state_may_change_again_and_again_but_not_shrink_bit_by_bit(music):
    def artists():
        return music.materialize("music/artists", "2026-11-23")

    def rows(first: int, last: int) -> None:
        music.sql(f"DELETE FROM {music.schema}.artists")
        music.sql(
            f"INSERT INTO {music.schema}.artists SELECT i, now()"
            f" FROM generate_series({first}, {last}) i"
        )
        assert artists().success

    for first in (1, 41, 81, 121):
        rows(first, first + 99)
    rows(121, 180)
    music.sql(f"DELETE FROM {music.schema}.artists WHERE artist_id::int > 160")

    said = first_error(artists())

    assert "the stored day has 60 rows and had 100 rows at its fullest" in said
    assert "the new one has 40 rows" in said


def test_a_day_that_another_run_wrote_meanwhile_is_read_again(music, monkeypatch):
    """The step that lost comes back with what the source has by now."""
    insert(music, 1, 10)
    run(music)
    read, met = PlatformExport.day, []

    def overtaken(self, day):
        yield from read(self, day)
        if not met:
            met.append(day)
            insert(music, 11, 1)
            run(music)

    monkeypatch.setattr(PlatformExport, "day", overtaken)
    monkeypatch.setattr(
        "dagster._core.definitions.policy.RetryPolicy.calculate_delay", lambda *_: 0
    )

    assert run(music).success
    assert ids(music) == set(range(1, 12))


def test_only_rows_with_a_key_can_be_kept(music):
    with pytest.raises(CatalogError, match="by a key, and it has none"):
        declare(music, Shrink(policy=ShrinkPolicy.KEEP), key=())


def test_a_derived_day_is_not_made_of_fewer_inputs_again(bucket, tmp_path):
    lake = DerivedLake.at(bucket, tmp_path)
    for back in (1, 2, 3):
        lake.put("plays", ago(back), ["hey"] * back)
    lake.put("ratings", ago(1), [5.0])
    assert lake.materialize(LISTENS, ago(1)).success
    before = lake.bytes_of(LISTENS, ago(1))
    client = boto3_client(bucket)
    client.delete_object(Bucket=bucket.bucket, Key=data_key(lake.catalog["plays"], ago(3)))

    failed = lake.materialize(LISTENS, ago(1))

    assert f"was computed also from plays {ago(3)}" in first_error(failed)
    assert lake.bytes_of(LISTENS, ago(1)) == before
    span = {"dagster/partition": str(ago(1))}
    allowed = lake.materialize(LISTENS, ago(1), tags=ALLOW | span)
    assert allowed.success
    assert lake.read(LISTENS, ago(1))[0]["plays"] == 3


def test_a_derived_day_that_would_be_empty_is_not_replaced(bucket, tmp_path):
    lake = DerivedLake.at(bucket, tmp_path)
    lake.put("plays", ago(1), ["hey"])
    lake.put("ratings", ago(1), [5.0])
    assert lake.materialize(LISTENS, ago(1)).success
    path = tmp_path / "empty.parquet"
    schema = arrow_schema(lake.catalog["plays"])
    pq.write_table(schema.empty_table(), path)
    lake.store.put_whole(data_key(lake.catalog["plays"], ago(1)), path.read_bytes())

    assert "the new one has none" in first_error(lake.materialize(LISTENS, ago(1)))
