"""The job of `lake.repair`: which datasets it looks through, and what it says."""

from datetime import date

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.catalog import data_key
from lake_assets.datasets.bucket import TASKS
from lake_assets.storage.schema import arrow_schema

DAY = date(2026, 11, 21)


def put_with_statistics(music, partition: str) -> None:
    """A day of a version whose columns had floats: footers are what counts, not declarations."""
    dataset = music.catalog[partition]
    notes = {"lake.dataset": partition, "lake.day": DAY.isoformat()}
    rows = arrow_schema(dataset).empty_table().append_column("score", pa.array([], pa.float64()))
    one = pa.Table.from_pylist([dict.fromkeys(rows.column_names) | {"score": 1.5}])
    sink = pa.BufferOutputStream()
    pq.write_table(one.replace_schema_metadata(notes), sink)
    music.store.put_whole(data_key(dataset, DAY), sink.getvalue().to_pybytes())


def run(music, **config):
    job = music.defs.resolve_job_def("repair")
    return job.execute_in_process(
        instance=music.instance,
        run_config={"ops": {"repair_days": {"config": config}}},
        raise_on_error=False,
    )


def observations(result) -> dict[str, dict[str, int]]:
    return {
        "/".join(event.asset_key.path): {
            label: value.value
            for label, value in event.asset_observation_data.asset_observation.metadata.items()
        }
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.ASSET_OBSERVATION
    }


def test_it_looks_repairs_and_then_finds_nothing(music):
    assert any(task.name == "lake.repair" for task in TASKS)
    for partition in ("music/plays", "music/artists"):
        put_with_statistics(music, partition)
    none = {"changed": 0, "foreign": 0, "unreadable": 0}

    looked = run(music, dry_run=True)
    one = {"looked_at": 1, "misread": 1, "rewritten": 0, **none}
    assert observations(looked) == {"music/plays": one, "music/artists": one}

    repaired = run(music, datasets=["music/plays"])
    assert observations(repaired) == {"music/plays": {**one, "rewritten": 1}}
    assert music.read("music/plays", "2026-11-21")["score"].to_pylist() == [1.5]

    assert observations(run(music)) == {"music/artists": {**one, "rewritten": 1}}
    last = run(music)
    assert last.success
    assert observations(last) == {}


def test_a_dataset_that_is_not_declared_is_refused(music):
    refused = run(music, datasets=["music/no_such"])
    assert not refused.success
