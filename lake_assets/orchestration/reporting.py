"""What a run tells Dagster about its days, one by one.

Belongs here: the events of a day that was written, kept or left out, for every kind of asset that
reports its days itself.
Does not belong here: deciding what becomes of a day (`collect`, `derive`), writing it (`rows`).

Not one output for all days: of an output Dagster takes every day of the run for materialized.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import CODE_VERSION_TAG

from lake_assets.catalog import Dataset
from lake_assets.orchestration.io_manager import column_schema, partition_metadata, written_line
from lake_assets.orchestration.resources import LakeResource
from lake_assets.orchestration.rows import DailyRows, written_days

DayEvents = Iterator[
    dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckResult | dg.Output[Any]
]


def write_reported(
    context: dg.AssetExecutionContext,
    rows: DailyRows,
    notes: Mapping[date, Mapping[str, Any]],
) -> Iterator[dg.AssetMaterialization]:
    """Write the days, and report each as it is stored, with its note."""
    lake: LakeResource = context.resources.lake
    days = written_days(
        rows,
        lake.store(),
        run_id=context.run.run_id,
        code_version=code_version_of(context),
        tags=context.run.tags,
    )
    with closing(days):
        for written in days:
            context.log.info(written_line(written))
            said = {**partition_metadata(written), **notes[written.day]}
            yield materialized(context, rows, written.day, said)


def materialized(
    context: dg.AssetExecutionContext, rows: DailyRows, day: date, said: Mapping[str, Any]
) -> dg.AssetMaterialization:
    """A day that the lake has."""
    return dg.AssetMaterialization(
        asset_key=context.asset_key,
        partition=day.isoformat(),
        metadata={
            "source": rows.source,
            "dagster/column_schema": column_schema(rows.dataset),
            **said,
        },
        tags={CODE_VERSION_TAG: code_version_of(context)},
    )


def counted(rows: int | None) -> dict[str, int]:
    """How many rows a day has, as Dagster and people look for it; nothing if nobody knows."""
    return {} if rows is None else {"rows": rows, "dagster/partition_row_count": rows}


def left_out(
    context: dg.AssetExecutionContext, dataset: Dataset, day: date, reason: str
) -> dg.AssetObservation:
    """A day that was not written, and why."""
    context.log.warning(f"{dataset.partition} {day}: {reason}")
    return dg.AssetObservation(
        asset_key=context.asset_key,
        partition=day.isoformat(),
        description=reason,
        metadata={"reason": reason},
    )


def code_version_of(context: dg.AssetExecutionContext) -> str:
    """The code version of the asset that runs."""
    return context.assets_def.code_versions_by_key.get(context.asset_key) or ""
