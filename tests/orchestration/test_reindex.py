"""A lost history of Dagster is recorded anew from the bucket, and nothing runs for it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pyarrow as pa
import pytest

from lake_assets.catalog import data_key
from lake_assets.orchestration.reindex import REINDEXED, is_reindexing, reindex
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter
from tests.conftest import settings_of
from tests.orchestration.derived_lake import ARTISTS, HITS, LISTENS, PLAYS, RATINGS, catalog
from tests.orchestration.test_derive_automation import Watch

TODAY = datetime.now(tz=UTC).date()
CATALOG = catalog()


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


@pytest.fixture
def store(bucket) -> LakeStore:
    """A lake of a week: two inputs, what is derived from them, one snapshot, one strange day."""
    store = LakeStore(bucket)
    writer = PartitionWriter(store, run_id="r", code_version="v7")
    for back in range(7, 0, -1):
        moment = datetime.combine(ago(back), datetime.min.time(), tzinfo=UTC)
        for partition, row in (
            (PLAYS, {"song": "hey", "created_at": moment}),
            (RATINGS, {"stars": 4.0, "created_at": moment}),
            (LISTENS, {"song": "hey", "plays": 1, "generated_at": moment}),
            (HITS, {"song": "hey", "plays": 1, "generated_at": moment}),
        ):
            dataset = CATALOG[partition]
            batch = pa.RecordBatch.from_pylist([row], schema=arrow_schema(dataset))
            writer.write(dataset, ago(back), [batch])
    store.put_whole(data_key(CATALOG[ARTISTS], ago(7)), b"no Parquet")
    store.put_whole(data_key(CATALOG[PLAYS], date(9999, 12, 31)), b"rows")
    return store


@pytest.fixture
def watch() -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watch(instance)


def materialized(instance: dg.DagsterInstance, partition: str) -> set[str]:
    return instance.get_materialized_partitions(dg.AssetKey(partition.split("/")))


def test_what_the_bucket_has_is_recorded_with_what_is_known_of_it(store, watch):
    steps = list(reindex(watch.instance, CATALOG, store, today=TODAY))

    assert steps[-1].done == steps[-1].total == 4 * 7 + 1
    week = {ago(back).isoformat() for back in range(1, 8)}
    for partition in (PLAYS, RATINGS, LISTENS, HITS):
        assert materialized(watch.instance, partition) == week
    assert materialized(watch.instance, ARTISTS) == {ago(7).isoformat()}
    event = watch.instance.get_latest_materialization_event(dg.AssetKey([PLAYS]))
    metadata = event.asset_materialization.metadata
    assert metadata["rows"].value == 1
    assert metadata[REINDEXED].value is True
    assert metadata["dagster/uri"].value.endswith(f"plays/date={ago(1)}/data.parquet")
    assert event.asset_materialization.tags["dagster/code_version"] == "v7"
    assert watch.instance.get_runs_count() == 0
    assert not is_reindexing(watch.instance)

    assert list(reindex(watch.instance, CATALOG, store, today=TODAY)) == [], "it knows all by now"


def test_nothing_is_run_for_it_neither_meanwhile_nor_afterwards(store, watch):
    watch.tick()
    for _ in reindex(watch.instance, CATALOG, store, today=TODAY):
        assert is_reindexing(watch.instance)
        assert watch.tick() == {}
    assert watch.tick() == {}
    assert watch.tick() == {}

    watch.wrote(PLAYS, ago(1))
    assert watch.tick() == {HITS: [ago(1)], LISTENS: [ago(1)]}, "then all is as ever"


def test_days_that_dagster_knows_already_are_not_computed_again_either(store, watch):
    for partition in (PLAYS, RATINGS, LISTENS, HITS):
        watch.wrote(partition, ago(1))
    watch.tick()
    for _ in reindex(watch.instance, CATALOG, store, today=TODAY):
        assert watch.tick() == {}
    assert watch.tick() == {}


def test_one_that_was_ended_goes_on_from_where_it_was(store, watch):
    watch.tick()
    steps = reindex(watch.instance, CATALOG, store, today=TODAY)
    done = next(steps).done
    steps.close()

    rest = list(reindex(watch.instance, CATALOG, store, today=TODAY))

    assert rest[-1].total < 4 * 7 + 1
    assert done + rest[-1].total >= 4 * 7 + 1
    assert watch.tick() == {}


def test_a_day_that_a_run_writes_meanwhile_is_that_runs_to_report(store, watch):
    steps = reindex(watch.instance, CATALOG, store, today=TODAY)
    next(steps)
    day = ago(1).isoformat()
    watch.instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key=PLAYS, partition=day, metadata={"by": "a run"})
    )

    list(steps)

    events = watch.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(PLAYS), asset_partitions=[day]), limit=9
    ).records
    assert [one.asset_materialization.metadata["by"].value for one in events] == ["a run"]


@pytest.mark.usefixtures("store")
def test_a_killed_one_loses_no_day_and_the_next_records_none_twice(bucket, tmp_path):
    env = {**os.environ, **settings_of(bucket), "DAGSTER_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tests.orchestration.reindex_process"]
    for days, code in (("9", -signal.SIGKILL), ("0", 0)):
        assert subprocess.run([*command, days], env=env, check=False).returncode == code

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        for partition in (PLAYS, RATINGS):
            records = instance.fetch_materializations(dg.AssetKey([partition]), limit=99).records
            assert sorted(one.partition_key for one in records) == sorted(
                ago(back).isoformat() for back in range(1, 8)
            )
        for partition in (LISTENS, HITS):
            assert len(materialized(instance, partition)) == 7
        assert not is_reindexing(instance)
