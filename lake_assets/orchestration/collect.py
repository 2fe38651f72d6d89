"""Outside sources as assets: what a run does before, around and instead of a collection.

Belongs here: settings and their absence, days that a run keeps, reporting each day to Dagster.
Does not belong here: asking a source or judging its rows (`lake_assets.sources`).

A run ends in one of four ways. Days that were collected are materialized, each as soon as it is
stored, with a reason where they have no rows. A source that is not configured is an observation
that names the setting. So is each day that the source has not published: the lake gets no object
for it, it stays missing, and the next tick asks again. All else is a failure; days that were stored
before it stay materialized.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg

from lake_assets.catalog import Dataset
from lake_assets.orchestration.checks import check_results
from lake_assets.orchestration.partitions import days_of
from lake_assets.orchestration.reporting import (
    DayEvents,
    counted,
    left_out,
    materialized,
    write_reported,
)
from lake_assets.orchestration.resources import LakeResource
from lake_assets.orchestration.rows import DailyRows
from lake_assets.sources.client import http_source
from lake_assets.sources.collect import collector_of
from lake_assets.sources.collection import Collection
from lake_assets.sources.errors import NotConfigured, SourceError, SourceUnavailable
from lake_assets.sources.fading import REPLACE_TAG
from lake_assets.storage.day_facts import read_facts

REFETCH_TAG = "lake/refetch"
"""A run with this tag set to `true` asks again for days that the lake already has."""

_SCHEDULE_TAG = "dagster/schedule_name"


def collected(
    dataset: Dataset, clock: Callable[[], datetime]
) -> Callable[[dg.AssetExecutionContext], DayEvents]:
    """The function of an external dataset's asset."""

    def collect(context: dg.AssetExecutionContext) -> DayEvents:
        lake: LakeResource = context.resources.lake
        days = days_of(context.partition_keys)
        collector = collector_of(dataset)
        try:
            settings = collector.upstream.values(lake.env)
            http = http_source(collector.upstream, lake.env)
        except NotConfigured as missing:
            for day in days:
                yield left_out(context, dataset, day, f"Skipped: {missing}")
            yield from check_results(dataset, {}, stored=(), now=clock())
            return
        replaces = _is_tagged(context, REPLACE_TAG)
        with http:
            seen = lake.store().etags(dataset)
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
                replace=replaces,
            )
            with _as_failures(collection):
                rows = DailyRows(
                    dataset=dataset,
                    days=collection.published(collection.wanted()),
                    read=collection.read,
                    source=str(dataset.source),
                    seen=seen,
                    joined=collector.fades and not replaces,
                    said=collection.said,
                )
                yield from write_reported(context, rows, collection.notes)
            context.log.info(f"{dataset.partition}: {http.requests} requests")
        facts = read_facts(lake.store(), dataset) if collection.kept else {}
        for day, note in collection.notes.items():
            if day in collection.kept:
                stored = facts.get(day)
                yield materialized(context, rows, day, note | counted(stored and stored.rows))
            elif day in collection.missing:
                yield left_out(context, dataset, day, str(note["reason"]))
        yield from check_results(dataset, rows.facts, stored=seen, now=clock())

    return collect


def _keeps_stored(context: dg.AssetExecutionContext, *, days: int) -> bool:
    """Whether days that are there stay as they are: in a backfill that does not ask otherwise.

    A schedule's window is asked for again, since late and revised rows are what it is for; so is
    a single day that someone asks for.
    """
    asks = _is_tagged(context, REFETCH_TAG) or _is_tagged(context, REPLACE_TAG)
    return days > 1 and _SCHEDULE_TAG not in context.run.tags and not asks


def _is_tagged(context: dg.AssetExecutionContext, tag: str) -> bool:
    return context.run.tags.get(tag) == "true"


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
