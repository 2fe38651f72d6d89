"""When datasets are written by themselves.

Belongs here: schedules, made from the declared cron and lags. Datasets that share a source and a
time share one schedule and one run: one process start writes them all.
Does not belong here: the times themselves (`lake_assets.datasets`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

import dagster as dg
from dagster._core.storage.tags import PRIORITY_TAG

from lake_assets.catalog import (
    Dataset,
    ExternalSource,
    Kind,
    PostgresSource,
    Schedule,
    ServiceSource,
)
from lake_assets.catalog.due import poll_days
from lake_assets.orchestration.assets import is_built
from lake_assets.orchestration.partitions import range_tags
from lake_assets.sources.collect import collector_of


def build_schedules(
    datasets: Iterable[Dataset], *, running: bool, env: Mapping[str, str]
) -> Iterator[dg.ScheduleDefinition]:
    """A schedule per source and time; `running` makes those that can succeed start by default.

    `env` is read at each tick: a source that lacks a setting is skipped, with a sentence.
    """
    groups: dict[tuple[str, Schedule, date], list[Dataset]] = {}
    for dataset in datasets:
        # A run over several days wants one and the same set of partitions.
        key = (shared_source(dataset), dataset.schedule, dataset.first_day)
        groups.setdefault(key, []).append(dataset)
    for (source, schedule, _), members in groups.items():
        # One by itself is called after its task.
        name = members[0].daily_task.removeprefix("lake.")
        if len(members) > 1 or isinstance(members[0].source, PostgresSource):
            name = source
        yield from _build_schedules(name, schedule, members, running=running, env=env)


def shared_source(dataset: Dataset) -> str:
    """A name for what a dataset shares its source with: those may share a run."""
    if isinstance(dataset.source, PostgresSource):
        return f"platform_{dataset.kind.value}s"
    if isinstance(dataset.source, ExternalSource) and dataset.source.pool:
        return f"collect_{dataset.source.pool.replace('-', '_')}"
    return dataset.daily_task.removeprefix("lake.")


def _build_schedules(
    name: str,
    schedule: Schedule,
    members: Sequence[Dataset],
    *,
    running: bool,
    env: Mapping[str, str],
) -> Iterator[dg.ScheduleDefinition]:
    """The daily schedule, and the one of the polls where some are declared."""
    selection = [dg.AssetKey(dataset.asset_key) for dataset in members]
    # Derived datasets run when their inputs have come (`automation`); their time is for by hand.
    starts = running and all(
        is_built(dataset) and dataset.kind is not Kind.DERIVED for dataset in members
    )
    job = dg.define_asset_job(
        name=name,
        selection=dg.AssetSelection.assets(*selection),
        # The long ones first: what waits for them is what a night waits for.
        tags={PRIORITY_TAG: str(len(members))},
    )
    tasks = ", ".join(dataset.daily_task for dataset in members)

    def made(
        called: str, cron: str, days: Callable[[datetime], Sequence[date]], description: str
    ) -> dg.ScheduleDefinition:
        @dg.schedule(
            name=called,
            job=job,
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=(
                dg.DefaultScheduleStatus.RUNNING if starts else dg.DefaultScheduleStatus.STOPPED
            ),
            description=description,
        )
        def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
            if reason := why_not(members, env):
                return dg.SkipReason(reason)
            tick = context.scheduled_execution_time.astimezone(UTC)
            return run_request(days(tick), tick)

        return evaluate

    yield made(name, schedule.cron, lambda tick: schedule.days(tick.date()), f"Runs {tasks}.")
    if schedule.polls:
        yield made(
            f"{name}_polls",
            schedule.polls,
            lambda tick: poll_days(schedule, tick),
            f"Polls by {tasks}: the running day, because the source forgets within a day.",
        )


def why_not(members: Iterable[Dataset], env: Mapping[str, str]) -> str:
    """What keeps these datasets from being collected, for people; empty if nothing does."""
    external = [dataset for dataset in members if isinstance(dataset.source, ExternalSource)]
    reasons = [
        collector_of(dataset).upstream.why_not(env) for dataset in external if is_built(dataset)
    ]
    if not env.get("LAKE_DATABASE_URL", "").strip():
        reasons.extend(
            "the query service's database is not known: set LAKE_DATABASE_URL"
            for dataset in members
            if isinstance(dataset.source, ServiceSource)
        )
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


def run_request(days: Sequence[date], tick: datetime) -> dg.RunRequest:
    """One run over the days that a tick writes, ascending and without gaps."""
    run_key = tick.isoformat()
    if len(days) == 1:
        return dg.RunRequest(run_key=run_key, partition_key=days[0].isoformat())
    return dg.RunRequest(
        run_key=run_key,
        tags=range_tags(days[0], days[-1]),
    )
