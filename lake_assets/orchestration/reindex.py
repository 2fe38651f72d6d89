"""`python -m lake_assets.orchestration.reindex`: a lost history of Dagster, anew from the bucket.

Belongs here: recording the days that the bucket has and Dagster does not know, without a run.
Does not belong here: writing days, the command `lake reindex` (which shows how far this is).

Each day becomes a materialization of no run, oldest day first, inputs before what is derived from
them. Days that Dagster knows are left alone: it can be ended and started again at any time. A day
that a run writes meanwhile is that run's to report.

What is recorded would look like inputs that were just written. Derived datasets wait while this
goes on, and are recorded last of each day: then none is older than its inputs, and none runs.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import dagster as dg
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from dagster._core.definitions.data_version import CODE_VERSION_TAG

from lake_assets.catalog import Catalog, Dataset, data_key, load_catalog
from lake_assets.orchestration.resources import LakeResource, days_by_dataset
from lake_assets.storage.store import LakeStore, StorageError

REINDEXED = "lake/reindexed"
"""Metadata of a day that was recorded here."""

_PAUSE_KEY = "lake/reindex"
_PAUSE_S = 60.0
_FOOTERS_AT_ONCE = 8


class Progress(msgspec.Struct, frozen=True):
    """How far it is: days recorded of those that Dagster did not know, and the day of the last."""

    done: int
    total: int
    day: date


def reindex(
    instance: dg.DagsterInstance, catalog: Catalog, store: LakeStore, *, today: date
) -> Iterator[Progress]:
    """Record what the bucket has and Dagster does not know.

    Raises:
        StorageError: the store did not answer; what was recorded stays.
    """
    ordered = sorted(catalog, key=lambda dataset: _depth(catalog, dataset))
    lacking = {
        dataset.partition: [day for day in days if _has_partition(dataset, day, today)]
        for dataset, days in days_by_dataset(store, ordered)
    }
    touched: set[str] = set()
    for dataset in ordered:
        there = lacking[dataset.partition]
        known = instance.get_materialized_partitions(dg.AssetKey(dataset.asset_key))
        new = [day for day in there if day.isoformat() not in known]
        # An input that is recorded now is newer than what was derived from it before.
        is_derived_anew = bool(touched.intersection(dataset.upstreams))
        lacking[dataset.partition] = there if is_derived_anew else new
        if lacking[dataset.partition]:
            touched.add(dataset.partition)
    work = [
        (day, dataset)
        for day in sorted({day for days in lacking.values() for day in days})
        for dataset in ordered
        if day in frozenset(lacking[dataset.partition])
    ]
    reported = {
        dataset.partition: _reports(instance, dataset)
        for dataset in ordered
        if lacking[dataset.partition]
    }
    try:
        with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
            for start in range(0, len(work), _FOOTERS_AT_ONCE):
                _pause(instance, time.time() + _PAUSE_S)
                some = work[start : start + _FOOTERS_AT_ONCE]
                for (day, dataset), about in zip(
                    some, pool.map(partial(_described, store), some), strict=True
                ):
                    before = reported[dataset.partition].get(day.isoformat())
                    now = _reports(instance, dataset, day).get(day.isoformat())
                    if about is not None and now == before:
                        _record(instance, store, dataset, day, about)
                yield Progress(done=start + len(some), total=len(work), day=some[-1][0])
    finally:
        _pause(instance, 0.0)


def _reports(
    instance: dg.DagsterInstance, dataset: Dataset, day: date | None = None
) -> Mapping[str, int]:
    """The newest materialization of each partition, or of one, by its place in the event log."""
    return instance.get_latest_storage_id_by_partition(
        dg.AssetKey(dataset.asset_key),
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        {day.isoformat()} if day else None,
    )


def is_reindexing(instance: dg.DagsterInstance) -> bool:
    """Whether days are being recorded right now; one that was killed counts for a minute."""
    until = instance.daemon_cursor_storage.get_cursor_values({_PAUSE_KEY}).get(_PAUSE_KEY)
    return until is not None and time.time() < float(until)


def _pause(instance: dg.DagsterInstance, until: float) -> None:
    instance.daemon_cursor_storage.set_cursor_values({_PAUSE_KEY: str(until)})


def _depth(catalog: Catalog, dataset: Dataset) -> int:
    depths = [_depth(catalog, catalog[upstream]) for upstream in dataset.upstreams]
    return 1 + max(depths, default=-1)


def _has_partition(dataset: Dataset, day: date, today: date) -> bool:
    """Whether Dagster has a partition for a day; others may put days of any name there."""
    return dataset.first_day <= day <= dataset.newest_day(today)


def _described(
    store: LakeStore, one: tuple[date, Dataset]
) -> tuple[Mapping[str, Any], Mapping[str, str]] | None:
    """Metadata and tags of a stored day, by its footer; None where the object is gone again."""
    day, dataset = one
    uri = store.uri(data_key(dataset, day))
    base: dict[str, Any] = {"dagster/uri": uri, REINDEXED: True, "source": str(dataset.source)}
    try:
        with store.open(data_key(dataset, day)) as file, pq.ParquetFile(file) as parquet:
            footer = parquet.metadata
            version = (footer.metadata or {}).get(b"lake.code_version", b"").decode()
            rows = {"rows": footer.num_rows, "dagster/partition_row_count": footer.num_rows}
            return base | rows | {"size_bytes": file.size()}, (
                {CODE_VERSION_TAG: version} if version else {}
            )
    except FileNotFoundError:
        return None
    except pa.ArrowInvalid:
        # It lies there, whatever it is: what reads it says so.
        return base, {}


def _record(
    instance: dg.DagsterInstance,
    store: LakeStore,
    dataset: Dataset,
    day: date,
    about: tuple[Mapping[str, Any], Mapping[str, str]],
) -> None:
    metadata, tags = about
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=dg.AssetKey(dataset.asset_key),
            partition=day.isoformat(),
            description=f"Found in the bucket: {store.uri(data_key(dataset, day))}",
            metadata=metadata,
            tags=tags,
        )
    )


def main(env: Mapping[str, str]) -> Iterable[bytes]:
    """The progress as lines of JSON. The instance is that of `DAGSTER_HOME`."""
    with dg.DagsterInstance.get() as instance:
        store = LakeResource(env=env).store()
        for progress in reindex(instance, load_catalog(), store, today=datetime.now(tz=UTC).date()):
            yield msgspec.json.encode(progress)


if __name__ == "__main__":
    import os

    try:
        for line in main(os.environ):
            sys.stdout.write(f"{line.decode()}\n")
            sys.stdout.flush()
    except (StorageError, dg.Failure) as error:
        sys.exit(f"{error}")
