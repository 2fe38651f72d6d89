"""From a declaration to an asset: one factory, no dataset by name.

Belongs here: what every asset shares (key, partitions, documentation, policies), and the one
function per kind of source that feeds the IO manager.
Does not belong here: any single dataset; reading or writing rows.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from dagster._core.storage.tags import PRIORITY_TAG

from lake_assets.catalog import (
    Dataset,
    ExternalSource,
    Kind,
    LakeSource,
    PostgresSource,
    ServiceSource,
)
from lake_assets.models.derivation import derivation_of
from lake_assets.orchestration.automation import runs_by_itself
from lake_assets.orchestration.checks import check_results, check_specs
from lake_assets.orchestration.collect import collected
from lake_assets.orchestration.derive import derived, inputs_of
from lake_assets.orchestration.findings import Findings
from lake_assets.orchestration.io_manager import column_schema
from lake_assets.orchestration.partitions import days_of, partitions_of
from lake_assets.orchestration.reporting import DayEvents, left_out, write_reported
from lake_assets.orchestration.resources import LakeResource, PlatformResource, ServiceResource
from lake_assets.orchestration.retries import RETRY, final_failures
from lake_assets.orchestration.rows import DailyRows
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.service import open_service_export, said_of_removed

Clock = Callable[[], datetime]
AssetEvents = Iterator[dg.Output[Any] | dg.AssetCheckResult]
AssetFunction = Callable[[dg.AssetExecutionContext], AssetEvents]


def is_built(dataset: Dataset) -> bool:
    """Whether rows of this dataset can be obtained at all in this version."""
    match dataset.source:
        case PostgresSource() | ServiceSource():
            return True
        case ExternalSource(collect=where) | LakeSource(compute=where):
            return bool(where)


def build_asset(
    dataset: Dataset, *, clock: Clock, is_referred_to: bool = False
) -> dg.AssetsDefinition:
    """The asset of a declaration. One that others refer to is written before them in a run."""
    pool = getattr(dataset.source, "pool", "")
    is_derived = isinstance(dataset.source, LakeSource) and is_built(dataset)
    return dg.asset(
        key=dg.AssetKey(dataset.asset_key),
        ins=inputs_of(dataset) if is_derived else None,
        deps=(
            []
            if is_derived
            else [dg.AssetKey(upstream.split("/")) for upstream in dataset.upstreams]
        ),
        automation_condition=runs_by_itself(derivation_of(dataset)) if is_derived else None,
        partitions_def=partitions_of(dataset),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=group_name(dataset.group),
        description=_description(dataset),
        owners=[dataset.owner],
        kinds={"parquet", "s3", _source_kind(dataset)},
        tags={"lake/kind": dataset.kind.value},
        metadata=_metadata(dataset),
        code_version=code_version(dataset),
        check_specs=check_specs(dataset),
        retry_policy=RETRY,
        io_manager_key="lake_io",
        required_resource_keys=_resources(dataset),
        pool=pool or None,
        op_tags={PRIORITY_TAG: "1"} if is_referred_to else None,
        # A source that is not configured, or has not published yet, materializes nothing; nor does
        # a day without inputs, nor one whose rows the service has removed.
        output_required=not isinstance(dataset.source, ExternalSource | ServiceSource)
        and not is_derived,
    )(_producer(dataset, clock))


def _resources(dataset: Dataset) -> set[str]:
    """What its runs connect to."""
    match dataset.source:
        case ServiceSource():
            return {"lake", "service"}
        case LakeSource() if is_built(dataset):
            return {"lake", "platform", "duckdb"}
        case _:
            return {"lake", "platform"}


def _producer(dataset: Dataset, clock: Clock) -> Callable[..., Any]:
    if not is_built(dataset):
        return _not_built(dataset)
    if isinstance(dataset.source, ExternalSource):
        return collected(dataset, clock)
    if isinstance(dataset.source, LakeSource):
        return derived(dataset, clock)
    if isinstance(dataset.source, ServiceSource):
        return _service_export(dataset, clock)
    return _platform_export(dataset, clock)


def group_name(group: str) -> str:
    """A group's title as Dagster wants it: `Core Platform` → `core_platform`."""
    return group.lower().replace(" ", "_")


def code_version(dataset: Dataset) -> str:
    """A short hash of what decides a dataset's rows: source, watermark, columns, derivation."""
    columns = [(column.name, column.type.value, column.required) for column in dataset.columns]
    facts = repr((str(dataset.source), dataset.kind.value, dataset.watermark, columns))
    if isinstance(dataset.source, LakeSource) and is_built(dataset):
        derivation = derivation_of(dataset)
        facts += repr((derivation.version, derivation.windows, derivation.sql))
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


def _platform_export(dataset: Dataset, clock: Clock) -> AssetFunction:
    def export(context: dg.AssetExecutionContext) -> AssetEvents:
        days = days_of(context.partition_keys)
        today = clock().astimezone(UTC).date()
        _refuse_past_snapshot(dataset, days, today)
        platform: PlatformResource = context.resources.platform
        lake: LakeResource = context.resources.lake
        # Before the source's state: what another run writes after this is newer than ours.
        seen = lake.store().etags(dataset)
        # The driver imports pandas where that is installed: half a second for runs that need it.
        from lake_assets.sources.platform import open_export  # noqa: PLC0415

        with (
            final_failures(),
            open_export(platform.url, dataset, lock_timeout_s=platform.lock_timeout_s) as source,
        ):
            if source.table.missing:
                context.log.warning(
                    f"{dataset.partition}: {dataset.source} lacks "
                    f"{', '.join(source.table.missing)}; exported as nulls"
                )
            findings = Findings(source, warn=context.log.warning, today=today)
            rows = DailyRows(
                dataset=dataset,
                days=days,
                read=findings.read,
                source=str(dataset.source),
                seen=seen,
                absent=frozenset(source.table.missing),
                release=source.connection.close,
                notes=findings.notes,
                said=findings.said,
            )
            yield dg.Output(rows)
        yield from check_results(dataset, rows.facts, stored=seen, now=clock(), known=rows.known)

    return export


def _service_export(
    dataset: Dataset, clock: Clock
) -> Callable[[dg.AssetExecutionContext], DayEvents]:
    def export(context: dg.AssetExecutionContext) -> DayEvents:
        service: ServiceResource = context.resources.service
        lake: LakeResource = context.resources.lake
        days = days_of(context.partition_keys)
        seen = lake.store().etags(dataset)
        with final_failures(), open_service_export(service.url, dataset) as source:
            removed = [day for day in days if day in source.removed]
            if len(removed) == len(days):
                raise SourceMismatch(f"{dataset.partition}: {said_of_removed(days[0])}")
            rows = DailyRows(
                dataset=dataset,
                days=[day for day in days if day not in source.removed],
                read=source.read,
                source=str(dataset.source),
                seen=seen,
            )
            yield from write_reported(context, rows, {day: {} for day in days})
        for day in removed:
            yield left_out(context, dataset, day, said_of_removed(day))
        yield from check_results(dataset, rows.facts, stored=seen, now=clock())

    return export


def _not_built(dataset: Dataset) -> AssetFunction:
    def fail(_context: dg.AssetExecutionContext) -> AssetEvents:
        raise dg.Failure(
            f"{dataset.partition} is not built yet: nothing collects {dataset.source} in this "
            "version, so there was nothing to write",
            allow_retries=False,
        )
        yield  # what makes this a generator, as assets with checks are

    return fail


def _refuse_past_snapshot(dataset: Dataset, days: Sequence[date], today: date) -> None:
    past = [day for day in days if day != today]
    if dataset.kind is Kind.SNAPSHOT and past:
        raise dg.Failure(
            f"{dataset.partition} is a snapshot of the current state and can only be written for "
            f"today ({today}); the state of {past[0]} is gone",
            allow_retries=False,
        )


def _source_kind(dataset: Dataset) -> str:
    return str(dataset.source).partition(":")[0]


def _description(dataset: Dataset) -> str:
    key = ", ".join(f"`{name}`" for name in dataset.key) or "none declared"
    tasks = ", ".join(f"`{task}`" for task in dataset.tasks)
    return "\n\n".join(
        part
        for part in (
            dataset.description,
            dataset.notes,
            f"**In SQL:** `{dataset.sql_name}`, partition column `date`. "
            f"**Kind:** {_KINDS[dataset.kind]} **Watermark:** `{dataset.watermark}`. "
            f"**Key within a day:** {key}.",
            f"**Source:** `{dataset.source}`. **Tasks:** {tasks}. "
            f"**Schedule:** `{dataset.schedule.cron}` UTC{_polls(dataset)}.",
        )
        if part
    )


def _polls(dataset: Dataset) -> str:
    polls = dataset.schedule.polls
    return f"; `{polls}` for the running day" if polls else ""


_KINDS = {
    Kind.EVENT: "event (rows of one UTC day).",
    Kind.SNAPSHOT: "snapshot (the full state on the day).",
    Kind.EXTERNAL: "external (its upstream's own cadence).",
    Kind.DERIVED: "derived (computed from other datasets).",
}


def _metadata(dataset: Dataset) -> dict[str, Any]:
    return {
        "dagster/column_schema": column_schema(dataset),
        "dagster/table_name": dataset.sql_name,
        "source": str(dataset.source),
        "watermark": dataset.watermark,
        "primary_key": ", ".join(dataset.key) or "none declared",
        "tasks": ", ".join(dataset.tasks),
    }
