"""A small lake with two event datasets, one snapshot, and three datasets derived from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.catalog import (
    Catalog,
    LakeLocation,
    Schedule,
    data_key,
    derived,
    event,
    snapshot,
)
from lake_assets.models.derivation import Derivation, Inputs, Window
from lake_assets.orchestration.build import build_defs
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter
from tests.conftest import settings_of

NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)
TODAY = NOW.date()
PLAYS, RATINGS, ARTISTS = "plays", "ratings", "artists"
LISTENS, HITS, ROSTER = "derived/listens", "derived/hits", "derived/roster"

_SAME_DAY = Schedule(cron="0 3 * * *")

SEEN: list[dict[str, Any]] = []
"""What `hits` was given, call by call."""


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def hits(inputs: Inputs, /, *, day: date) -> Iterator[Mapping[str, object]]:
    plays = inputs[PLAYS]
    SEEN.append({"day": day, "columns": plays.column_names, "days": _days(plays)})
    yield {"song": "all", "plays": plays.num_rows}


def _days(table: pa.Table) -> list[date]:
    return sorted(set(table["date"].to_pylist()))


LISTENS_DERIVATION = Derivation(
    version="3",
    windows={PLAYS: Window(days=3, columns=("song",)), RATINGS: Window(days=2, columns=("stars",))},
    sql="""
        SELECT
            song,
            count(*) AS plays,
            (SELECT avg(stars) FROM ratings) AS stars,
            $day AS day,
            $version AS version
        FROM plays
        GROUP BY song
        ORDER BY song
    """,
)
HITS_DERIVATION = Derivation(
    version="1",
    windows={PLAYS: Window(days=10, columns=("song",))},
    derive=hits,
    refresh_d=1,
)
ROSTER_DERIVATION = Derivation(
    version="1",
    windows={
        ARTISTS: Window(days=1, columns=("artist",)),
        PLAYS: Window(days=2, lag_d=1, columns=("song",)),
    },
    sql="SELECT artist, (SELECT count(*) FROM plays) AS plays, $day AS day, $version AS version "
    "FROM artists ORDER BY artist",
)


def catalog() -> Catalog:
    here = "tests.orchestration.derived_lake"
    columns = """
        plays         int64!      Plays.
        day           date        Day.
        version       string      Version.
        generated_at  timestamp!  When.
    """
    return Catalog(
        [
            event(
                PLAYS,
                "Plays.",
                group="Music",
                table="plays",
                tasks="lake.export_plays",
                columns="song string! Song.\nplace string Place.\ncreated_at timestamp!",
            ),
            event(
                RATINGS,
                "Ratings.",
                group="Music",
                table="ratings",
                tasks="lake.export_ratings",
                columns="stars float64 Stars.\ncreated_at timestamp!",
            ),
            snapshot(
                ARTISTS,
                "Artists.",
                group="Music",
                table="artists",
                tasks="lake.export_artists",
                columns="artist string! Artist.\nupdated_at timestamp!",
            ),
            derived(
                LISTENS,
                "Plays per song.",
                group="Derived",
                upstreams=f"{PLAYS} {RATINGS}",
                compute=f"{here}:LISTENS_DERIVATION",
                tasks="lake.count_listens",
                key="song",
                columns=f"song string! Song.\nstars float64 Stars.\n{columns}",
            ),
            derived(
                HITS,
                "Plays of ten days.",
                group="Derived",
                upstreams=PLAYS,
                compute=f"{here}:HITS_DERIVATION",
                tasks="lake.count_hits",
                key="song",
                columns=f"song string! Song.\n{columns}",
            ),
            derived(
                ROSTER,
                "Artists of a day, with the plays of the days before.",
                group="Derived",
                upstreams=f"{ARTISTS} {PLAYS}",
                compute=f"{here}:ROSTER_DERIVATION",
                schedule=_SAME_DAY,
                tasks="lake.list_roster",
                key="artist",
                columns=f"artist string! Artist.\n{columns}",
            ),
        ]
    )


@dataclass
class DerivedLake:
    """The lake under test, with what a test wants to do to it."""

    catalog: Catalog
    store: LakeStore
    defs: dg.Definitions
    instance: dg.DagsterInstance

    @classmethod
    def at(cls, bucket: LakeLocation, tmp_path: Path) -> "DerivedLake":
        datasets = catalog()
        SEEN.clear()
        return cls(
            catalog=datasets,
            store=LakeStore(bucket),
            defs=build_defs(catalog=datasets, env=settings_of(bucket), clock=lambda: NOW),
            instance=dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)),
        )

    def put(self, partition: str, day: date, values: Sequence[Any]) -> None:
        """Store a day of an upstream: `values` of its first column."""
        dataset = self.catalog[partition]
        moment = datetime.combine(day, datetime.min.time(), tzinfo=UTC)
        first = next(iter(dataset.column_names))
        rows = [{first: value, dataset.watermark: moment} for value in values]
        batch = pa.RecordBatch.from_pylist(rows, schema=arrow_schema(dataset))
        writer = PartitionWriter(self.store, run_id="test", code_version="test", allow_shrink=True)
        writer.write(dataset, day, [batch])
        self.store.bump_version(dataset, [day])

    def materialize(self, partition: str, first: date, last: date | None = None, **options: Any):
        tags = {
            "dagster/asset_partition_range_start": first.isoformat(),
            "dagster/asset_partition_range_end": (last or first).isoformat(),
        }
        return self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[dg.AssetKey(partition.split("/"))],
            raise_on_error=False,
            **{"instance": self.instance, **options},
            **({"tags": tags} if last else {"partition_key": first.isoformat()}),
        )

    def read(self, partition: str, day: date) -> list[dict[str, Any]]:
        with self.store.open(data_key(self.catalog[partition], day)) as file:
            return pq.read_table(file).to_pylist()

    def bytes_of(self, partition: str, day: date) -> bytes:
        with self.store.open(data_key(self.catalog[partition], day)) as file:
            return file.read()


def metadata_by_day(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        event.partition: {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }
