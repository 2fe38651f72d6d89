"""The S3 Parquet IO manager: the one way into the lake, and the way back for derived datasets.

Belongs here: from an asset's rows to stored partitions and their metadata, and back to tables.
Does not belong here: encoding (`storage.writer`), what the rows mean (`assets`, `checks`).
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
from dagster._core.definitions.data_version import CODE_VERSION_TAG
from dagster._core.events import DagsterEvent

from lake_assets.catalog import Catalog, Dataset
from lake_assets.orchestration.partitions import days_of
from lake_assets.orchestration.resources import LakeResource
from lake_assets.orchestration.rows import DailyRows, written_days
from lake_assets.storage.conform import SchemaMismatch
from lake_assets.storage.day_facts import read_facts
from lake_assets.storage.reader import StoredDays, read_day
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import WrittenPartition

COLUMNS_METADATA = "lake/columns"
"""Metadata of an input that is read day by day, with only these columns."""

ACCEPT_FAILED_TAG = "lake/accept_failed_checks"
"""A run with this tag set to `true` computes from days that failed a check that blocks."""


class S3ParquetIOManager(dg.IOManager):
    """Writes each day as one whole Parquet object, and reads days back as one Arrow table."""

    def __init__(self, *, lake: LakeResource, catalog: Catalog) -> None:
        self._lake = lake
        self._catalog = catalog

    def handle_output(  # pyright: ignore[reportIncompatibleMethodOverride] - may be a generator
        self, context: dg.OutputContext, obj: DailyRows
    ) -> Iterator[Any]:
        """Write every day of `obj`, oldest first, and report each as its own partition.

        Days that were written before a failure are reported as they are; where nothing fails, the
        output reports them.

        Raises:
            dagster.Failure: days do not fit the declaration, or have less than what is stored of
                them; a retry would not help.
            StorageError: the store did not answer; a retry may help.
        """
        dataset = obj.dataset
        step = context.step_context
        code_version = step.job_def.asset_layer.get(context.asset_key).code_version or ""
        days = written_days(
            obj,
            self._lake.store(),
            run_id=context.run_id,
            code_version=code_version,
            tags=step.run_tags,
        )
        about: dict[str, Any] = {
            "source": obj.source,
            "dagster/column_schema": column_schema(dataset),
        }
        reports: dict[str, Mapping[str, Any]] = {}
        try:
            with closing(days):
                for written in days:
                    notes = obj.notes.get(written.day, {})
                    metadata = {**partition_metadata(written), **notes}
                    step.add_asset_metadata(
                        asset_key=context.asset_key,
                        partition_key=written.day.isoformat(),
                        metadata=metadata,
                    )
                    reports[written.day.isoformat()] = metadata
                    context.log.info(written_line(written))
        except Exception:
            # Or its transaction would hold locks until the run ends.
            obj.release()
            for partition, metadata in reports.items():
                event = dg.AssetMaterialization(
                    asset_key=context.asset_key,
                    partition=partition,
                    metadata={**about, **metadata},
                    tags={CODE_VERSION_TAG: code_version},
                )
                yield DagsterEvent.asset_materialization(step, event)
            raise
        context.add_output_metadata(about)

    def load_input(self, context: dg.InputContext) -> pa.Table | StoredDays:
        """The asked-for days as one table, with the partition's day in a column `date`.

        An input that names its columns in its metadata gets them day by day, as it asks.

        Raises:
            FileNotFoundError: a day has no object.
            dagster.Failure: a day does not fit the declaration; a retry would not help.
        """
        dataset = self._catalog["/".join(context.asset_key.path)]
        store = self._lake.store()
        days = days_of(context.asset_partition_keys)
        columns: list[str] | None = (context.definition_metadata or {}).get(COLUMNS_METADATA)
        if columns is not None:
            accepts_all = context.step_context.run_tags.get(ACCEPT_FAILED_TAG) == "true"
            return StoredDays(
                store=store,
                dataset=dataset,
                days=frozenset(days),
                columns=columns,
                refused={} if accepts_all else _refused(store, dataset),
            )
        try:
            return pa.concat_tables([read_day(store, dataset, day) for day in days])
        except SchemaMismatch as error:
            raise dg.Failure(str(error), allow_retries=False) from error


def _refused(store: LakeStore, dataset: Dataset) -> Mapping[date, str]:
    return {
        day: "; ".join(facts.failed.values())
        for day, facts in read_facts(store, dataset).items()
        if facts.blocks
    }


def column_schema(dataset: Dataset) -> dg.TableSchema:
    """The declared columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.type.value,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=not column.required,
                    unique=dataset.key == (column.name,),
                    other=[f"one of: {', '.join(column.values)}"] if column.values else [],
                ),
            )
            for column in dataset.columns
        ]
    )


def written_line(written: WrittenPartition) -> str:
    """What the log of a run says of a written day."""
    gone = f", {written.lost_rows:,} stored ones are gone" if written.lost_rows else ""
    kept = f", {written.kept_rows:,} of them stored before" if written.kept_rows else ""
    return (
        f"{written.dataset.partition} {written.day}: {written.rows:,} rows{kept}{gone}, "
        f"{written.size_bytes:,} bytes in {written.duration_s:.2f} s"
    )


def partition_metadata(written: WrittenPartition) -> dict[str, dg.MetadataValue]:
    """What a written day says about itself in the UI."""

    def watermark(value: object) -> dg.MetadataValue:
        text = value.isoformat() if isinstance(value, date) else str(value)
        return dg.MetadataValue.null() if value is None else dg.MetadataValue.text(text)

    replaced = {"lost_rows": written.lost_rows, "kept_rows": written.kept_rows}
    return {
        **{name: dg.MetadataValue.int(count) for name, count in replaced.items() if count},
        "rows": dg.MetadataValue.int(written.rows),
        "dagster/partition_row_count": dg.MetadataValue.int(written.rows),
        "size_bytes": dg.MetadataValue.int(written.size_bytes),
        "dagster/uri": dg.MetadataValue.text(written.uri),
        "watermark_min": watermark(written.watermark_min),
        "watermark_max": watermark(written.watermark_max),
        "duration_s": dg.MetadataValue.float(round(written.duration_s, 3)),
        "rows_per_s": dg.MetadataValue.int(int(written.rows / max(written.duration_s, 1e-6))),
    }
