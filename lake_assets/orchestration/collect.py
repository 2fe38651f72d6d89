"""Outside sources as assets: what a run does before, around and instead of a collection.

Belongs here: settings and their absence, days that a run keeps, reporting each day to Dagster.
Does not belong here: asking a source or judging its rows (`lake_assets.sources`).

A run ends in one of four ways. Days that were collected are materialized, each as soon as it is
stored, with a reason where they have no rows. A source that is not configured is an observation
that names the setting. So is each day that the source has not published: the lake gets no object
for it, it stays missing, and the next tick asks again. All else is a failure; days that were stored
before it stay materialized.

The days are reported one by one, not as one output: of an output Dagster takes every day of the run
for materialized.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import CODE_VERSION_TAG

from lake_assets.catalog import Dataset
from lake_assets.orchestration.checks import check_results, check_specs
from lake_assets.orchestration.io_manager import column_schema, partition_metadata, written_line
from lake_assets.orchestration.partitions import days_of
from lake_assets.orchestration.resources import LakeResource
from lake_assets.orchestration.rows import DailyRows, written_days
from lake_assets.sources.client import http_source
from lake_assets.sources.collect import collector_of
from lake_assets.sources.collection import Collection
from lake_assets.sources.errors import NotConfigured, SourceError, SourceUnavailable

CollectEvents = Iterator[
    dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckResult | dg.Output[Any]
]

REFETCH_TAG = "lake/refetch"
"""A run with this tag set to `true` asks again for days that the lake already has."""

_SCHEDULE_TAG = "dagster/schedule_name"


def collected(
    dataset: Dataset, clock: Callable[[], datetime]
) -> Callable[[dg.AssetExecutionContext], CollectEvents]:
    """The function of an external dataset's asset."""

    def collect(context: dg.AssetExecutionContext) -> CollectEvents:
        lake: LakeResource = context.resources.lake
        days = days_of(context.partition_keys)
        collector = collector_of(dataset)
        try:
            settings = collector.upstream.values(lake.env)
            http = http_source(collector.upstream, lake.env)
        except NotConfigured as missing:
            for day in days:
                yield _left_out(context, dataset, day, f"Skipped: {missing}")
            yield from _no_verdicts(dataset)
            return
        with http:
            collection = Collection(
                dataset=dataset,
                collector=collector,
                settings=settings,
                http=http,
                store=lake.store(),
                days=days,
                now=clock().astimezone(UTC),
                warn=lambda text: context.log.warning(http.redacted(text)),
                keep_stored=_keeps_stored(context, days=len(days)),
            )
            with _as_failures(collection):
                rows = DailyRows(
                    dataset=dataset,
                    days=collection.published(collection.wanted()),
                    read=collection.read,
                    source=str(dataset.source),
                )
                yield from _written(context, collection, rows)
            context.log.info(f"{dataset.partition}: {http.requests} requests")
        for day, note in collection.notes.items():
            if day in collection.kept:
                yield _materialized(context, rows, day, note)
            elif day in collection.missing:
                yield _left_out(context, dataset, day, str(note["reason"]))
        if rows.written:
            yield from check_results(dataset, lake, rows.written)
        else:
            yield from _no_verdicts(dataset)

    return collect


def _keeps_stored(context: dg.AssetExecutionContext, *, days: int) -> bool:
    """Whether days that are there stay as they are: in a backfill that does not ask otherwise.

    A schedule's window is asked for again, since late and revised rows are what it is for; so is
    a single day that someone asks for.
    """
    tags = context.run.tags
    return days > 1 and _SCHEDULE_TAG not in tags and tags.get(REFETCH_TAG) != "true"


def _written(
    context: dg.AssetExecutionContext, collection: Collection, rows: DailyRows
) -> Iterator[dg.AssetMaterialization]:
    """The days, each as it is stored."""
    lake: LakeResource = context.resources.lake
    days = written_days(
        rows,
        lake.store(),
        run_id=context.run.run_id,
        code_version=_code_version(context),
        tags=context.run.tags,
    )
    with closing(days):
        for written in days:
            context.log.info(written_line(written))
            said = partition_metadata(written) | collection.notes[written.day]
            yield _materialized(context, rows, written.day, said)


def _materialized(
    context: dg.AssetExecutionContext, rows: DailyRows, day: date, said: Mapping[str, Any]
) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset_key=context.asset_key,
        partition=day.isoformat(),
        metadata={
            "source": rows.source,
            "dagster/column_schema": column_schema(rows.dataset),
            **said,
        },
        tags={CODE_VERSION_TAG: _code_version(context)},
    )


def _code_version(context: dg.AssetExecutionContext) -> str:
    return context.assets_def.code_versions_by_key.get(context.asset_key) or ""


@contextmanager
def _as_failures(collection: Collection) -> Generator[None]:
    """Errors of a source as failures of the run, each with one first line to act on.

    Dagster does not try them again: `http` has, and a retried step's first line tells nothing.
    """
    try:
        yield
    except SourceError as error:
        said = f"{collection.collector.upstream.title}: {error}"
        if isinstance(error, SourceUnavailable):
            said += "; run it again later"
        raise dg.Failure(collection.http.redacted(said), allow_retries=False) from None


def _left_out(
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


def _no_verdicts(dataset: Dataset) -> Iterator[dg.Output[None]]:
    """What Dagster wants of checks that had nothing to judge."""
    for spec in check_specs(dataset):
        yield dg.Output(None, output_name=spec.get_python_identifier())
