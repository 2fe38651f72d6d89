"""A two-dataset lake on real parts: one event table, one snapshot table."""

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime

import dagster as dg
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_assets.catalog import Catalog, data_key, event, external, snapshot
from lake_assets.catalog.model import Schedule
from lake_assets.orchestration.build import build_defs
from lake_assets.storage.store import LakeStore
from tests.conftest import settings_of

NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)


@dataclass
class Music:
    """The lake under test, with what a test wants to do to it."""

    schema: str
    catalog: Catalog
    store: LakeStore
    url: str
    defs: dg.Definitions
    instance: dg.DagsterInstance

    def sql(self, statement: str, *parameters: object) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement, parameters)

    def materialize(self, partition: str, first: str, last: str | None = None):
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last or first,
        }
        return self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(partition.split("/"))],
            raise_on_error=False,
            **({"tags": tags} if last else {"partition_key": first}),
        )

    def read(self, partition: str, day: str) -> pa.Table:
        key = data_key(self.catalog[partition], date.fromisoformat(day))
        with self.store.open(key) as file:
            return pq.read_table(file)


def first_error(result) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    return failure.step_failure_data.error_display_string.splitlines()[0]


@pytest.fixture
def music(postgres, bucket, tmp_path) -> Music:
    schema = f"music_{uuid.uuid4().hex[:8]}"
    catalog = Catalog(
        [
            event(
                "music/plays",
                "Plays.",
                group="Music",
                table=f"{schema}.plays",
                tasks="lake.export_plays lake.backfill_plays",
                key="play_id",
                expect_rows=True,
                columns="""
                    play_id     int64!      One id.
                    listener    string      Who listened.
                    cost_usd    decimal     Cost.
                    details     json        Details.
                    created_at  timestamp!
                """,
            ),
            snapshot(
                "music/artists",
                "Artists.",
                group="Music",
                table=f"{schema}.artists",
                tasks="lake.export_artists",
                key="artist_id",
                columns="artist_id string! One id.\nupdated_at timestamp!",
            ),
            external(
                "music/charts",
                "Charts.",
                group="Music",
                upstream="charts",
                tasks="lake.collect_charts",
                watermark="updated_at",
                schedule=Schedule(cron="0 1 * * *"),
                columns="updated_at timestamp!",
            ),
        ]
    )
    env = settings_of(bucket) | {"PLATFORM_DATABASE_URL": postgres.url}
    music = Music(
        schema=schema,
        catalog=catalog,
        store=LakeStore(bucket),
        url=postgres.url,
        defs=build_defs(catalog=catalog, env=env, clock=lambda: NOW),
        instance=dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)),
    )
    music.sql(f"CREATE SCHEMA {schema}")
    music.sql(
        f"CREATE TABLE {schema}.plays (play_id bigint, listener text, cost_usd numeric(18,6),"
        " details jsonb, secret text, created_at timestamptz)"
    )
    music.sql(f"CREATE INDEX ON {schema}.plays (created_at)")
    music.sql(f"CREATE TABLE {schema}.artists (artist_id text, updated_at timestamp)")
    return music
