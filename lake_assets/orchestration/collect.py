"""Outside sources as assets: what a run does before, around and instead of a collection.

Belongs here: settings and their absence, days that a run keeps, reporting each day to Dagster.
Does not belong here: asking a source or judging its rows (`lake_assets.sources`).

A run ends in one of four ways. Days that were collected are materialized, with a reason where they
have no rows. A source that is not configured is an observation that names the setting. So is a day
that the source has not published: the lake gets no object for it, and the next tick asks again.
All else is a failure. (In a run over several days Dagster marks all of them as soon as one is
written; the reason then stands at the day that was not.)
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa

from lake_assets.catalog import Dataset
from lake_assets.orchestration.checks import check_results, check_specs
from lake_assets.orchestration.partitions import days_of
from lake_assets.orchestration.resources import LakeResource
from lake_assets.orchestration.rows import DailyRows
from lake_assets.sources import config
from lake_assets.sources.collect import collector_of
from lake_assets.sources.collection import Collection
from lake_assets.sources.errors import NotConfigured, SourceError, SourceUnavailable
from lake_assets.sources.http import HttpPolicy, HttpSource

CollectEvents = Iterator[dg.Output[Any] | dg.AssetObservation | dg.AssetCheckResult]

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
            yield from _nothing(context, dataset, dict.fromkeys(days, f"Skipped: {missing}"))
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
                wanted = collection.wanted()
                published = collection.published(wanted)
                first = next(published, None)
            if wanted and first is None:
                reasons = {day: str(note["reason"]) for day, note in collection.notes.items()}
                yield from _nothing(context, dataset, reasons)
                return
            rows = DailyRows(
                dataset=dataset,
                days=_reported(context, collection, first, published),
                read=partial(_read, collection),
                source=str(dataset.source),
            )
            yield dg.Output(rows)
            context.log.info(f"{dataset.partition}: {http.requests} requests")
        yield from check_results(dataset, lake, rows.written)

    return collect


def http_source(upstream: config.Upstream, env: Mapping[str, str]) -> HttpSource:
    """The client that the environment asks for.

    Raises:
        NotConfigured: a setting is missing or can't be read.
    """
    settings, general = upstream.values(env), config.HTTP.values(env)
    try:
        policy = HttpPolicy(
            timeout_s=float(general["LAKE_HTTP_TIMEOUT_S"]),
            attempts=int(general["LAKE_HTTP_ATTEMPTS"]),
            max_wait_s=float(general["LAKE_HTTP_MAX_WAIT_S"]),
            requests_per_s=upstream.requests_per_s(settings),
        )
    except ValueError as error:
        raise NotConfigured(f"a setting LAKE_HTTP_… is no number: {error}") from error
    return HttpSource(policy=policy, secrets=upstream.secrets(settings))


def _keeps_stored(context: dg.AssetExecutionContext, *, days: int) -> bool:
    """Whether days that are there stay as they are: in a backfill that does not ask otherwise.

    A schedule's window is asked for again, since late and revised rows are what it is for; so is
    a single day that someone asks for.
    """
    tags = context.run.tags
    return days > 1 and _SCHEDULE_TAG not in tags and tags.get(REFETCH_TAG) != "true"


def _reported(
    context: dg.AssetExecutionContext,
    collection: Collection,
    first: date | None,
    rest: Iterator[date],
) -> Iterator[date]:
    """The days as they are written; after the last one, what there is to say of each."""
    with _as_failures(collection):
        if first is not None:
            yield first
        yield from rest
    for day, note in collection.notes.items():
        if note:
            context.add_asset_metadata(note, partition_key=day.isoformat())


def _read(collection: Collection, day: date) -> Generator[pa.RecordBatch]:
    with _as_failures(collection):
        yield from collection.read(day)


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


def _nothing(
    context: dg.AssetExecutionContext, dataset: Dataset, reasons: Mapping[date, str]
) -> CollectEvents:
    """A success without a materialization: each day's reason, and no verdict of any check."""
    for day, reason in reasons.items():
        context.log.warning(f"{dataset.partition} {day}: {reason}")
        yield dg.AssetObservation(
            asset_key=dg.AssetKey(dataset.asset_key),
            partition=day.isoformat(),
            description=reason,
            metadata={"reason": reason},
        )
    for spec in check_specs(dataset):
        yield dg.Output(None, output_name=spec.get_python_identifier())
