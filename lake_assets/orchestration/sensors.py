"""What people are told of while nobody looks: datasets that failed or went stale.

Belongs here: the sensors that tell, and what each finds worth a message.
Does not belong here: messages and their delivery (`alerts`), running what is missing (`catch_up`).

One message per dataset that fails, not one per run or day: the next comes when it has been well in
between. A run that Dagster will start again by itself is not told of; its last retry is. Nor is a
run that somebody terminated; one that Dagster ended because it took too long is.

There is no sensor for new releases of slow sources: their schedules ask, and a release that is no
news writes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG, WILL_RETRY_TAG

from lake_assets.catalog import Dataset
from lake_assets.orchestration.alerts import (
    Alert,
    Memory,
    as_cursor,
    remembered,
    tell,
    without_secrets,
)
from lake_assets.orchestration.assets import Clock, is_built
from lake_assets.orchestration.checks import newest_day_verdict, why_stale
from lake_assets.orchestration.lost_runs import awaits_retry
from lake_assets.orchestration.resources import LakeResource, days_by_dataset
from lake_assets.orchestration.schedules import why_not

FAILED_SENSOR = "failed_datasets"
STALE_SENSOR = "stale_datasets"

_FAILED_INTERVAL_S = 30
_STALE_INTERVAL_S = 600
_RUNS_AT_ONCE = 50
_SEEN_RUNS = 500
_OVERLAP = timedelta(minutes=5)
_EVENTS = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.STEP_FAILURE,
}
_ENDED = [
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.CANCELED,
]

Find = Callable[[dg.DagsterInstance, Memory, datetime], Iterator[Alert]]


def alert_sensors(
    datasets: Iterable[Dataset], *, running: bool, env: Mapping[str, str], clock: Clock
) -> Sequence[dg.SensorDefinition]:
    """The sensors that tell people; `env` is read at each tick."""
    catalog = {dataset.partition: dataset for dataset in datasets}

    def failed(instance: dg.DagsterInstance, memory: Memory, now: datetime) -> Iterator[Alert]:
        return _failed_datasets(catalog, instance, memory, now, env)

    def stale(instance: dg.DagsterInstance, memory: Memory, now: datetime) -> Iterator[Alert]:
        return _stale_datasets(catalog, instance, memory, now, env)

    return [
        _alert_sensor(
            FAILED_SENSOR,
            "Tells of each dataset that fails, or fails a blocking check, once until it is well.",
            failed,
            interval_s=_FAILED_INTERVAL_S,
            running=running,
            env=env,
            clock=clock,
        ),
        _alert_sensor(
            STALE_SENSOR,
            "Tells of each dataset whose newest day is older than its schedule promises.",
            stale,
            interval_s=_STALE_INTERVAL_S,
            running=running,
            env=env,
            clock=clock,
        ),
    ]


def _alert_sensor(
    name: str,
    sentence: str,
    find: Find,
    *,
    interval_s: int,
    running: bool,
    env: Mapping[str, str],
    clock: Clock,
) -> dg.SensorDefinition:
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        memory, now = remembered(context.cursor), clock()
        alerts = list(find(context.instance, memory, now))
        tell(alerts, memory, env=env, now=now)
        said = ", ".join(f"{alert.dataset} ({alert.event})" for alert in alerts)
        return dg.SensorResult(
            skip_reason=f"Told of {said}" if said else "Nothing to tell.",
            cursor=as_cursor(memory),
        )

    return dg.SensorDefinition(
        name=name,
        evaluation_fn=evaluate,
        description=sentence,
        minimum_interval_seconds=interval_s,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
    )


def _failed_datasets(
    catalog: Mapping[str, Dataset],
    instance: dg.DagsterInstance,
    memory: Memory,
    now: datetime,
    env: Mapping[str, str],
) -> Iterator[Alert]:
    if not memory.looked_until:
        # What ended before anybody looked is history.
        memory.looked_until = now.timestamp()
    since = datetime.fromtimestamp(memory.looked_until, tz=UTC) - _OVERLAP
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_ENDED, updated_after=since),
        limit=_RUNS_AT_ONCE,
        order_by="update_timestamp",
        ascending=True,
    )
    for record in records:
        run = record.dagster_run
        memory.looked_until = max(memory.looked_until, record.update_timestamp.timestamp())
        if run.run_id in memory.seen or run.tags.get(WILL_RETRY_TAG) == "true":
            continue
        if awaits_retry(instance, run):
            continue
        memory.seen = [*memory.seen, run.run_id][-_SEEN_RUNS:]
        why_canceled = ""
        if run.status is dg.DagsterRunStatus.CANCELED:
            why_canceled = _why_too_long(instance, record)
            if not why_canceled:
                continue
        outcome = _outcome(instance, run, why_canceled)
        for partition, (event, reason) in outcome.items():
            if partition not in catalog:
                continue
            if not event:
                memory.told.pop(partition, None)
            elif partition not in memory.told:
                memory.told[partition] = run.run_id
                yield _alert(event, catalog[partition], without_secrets(reason, env), now, run)


def _why_too_long(instance: dg.DagsterInstance, record: dg.RunRecord) -> str:
    """What to say of a run that took longer than it may; empty where it did not."""
    tag = record.dagster_run.tags.get(MAX_RUNTIME_SECONDS_TAG, "")
    limit_s = int(tag) if tag.isdecimal() else instance.run_monitoring_max_runtime_seconds
    if not limit_s or record.start_time is None or record.end_time is None:
        return ""
    took_s = record.end_time - record.start_time
    return f"the run took longer than {limit_s:,} s and was ended" if took_s >= limit_s else ""


def _outcome(
    instance: dg.DagsterInstance, run: dg.DagsterRun, why_canceled: str
) -> Mapping[str, tuple[str, str]]:
    """By dataset of a run: what happened and why; two empty texts where all is well."""
    planned: set[str] = set()
    found: dict[str, tuple[str, str]] = {}
    why_run_failed = ""
    for entry in instance.all_logs(run.run_id, of_type=_EVENTS):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.RUN_FAILURE:
            why_run_failed = event.message or ""
        elif event.event_type is dg.DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            said = error.cause.message if error and error.cause else error and error.message
            if why_canceled:
                # That it was interrupted says nothing; what was not written is found below.
                continue
            # A step is called after its asset, with `__` for `/`.
            found[(event.step_key or "").replace("__", "/")] = ("dataset_failed", said or "")
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            verdict = event.asset_check_evaluation_data
            if not verdict.passed and verdict.severity is dg.AssetCheckSeverity.ERROR:
                reason = f"{verdict.check_name}: {verdict.description}"
                found["/".join(verdict.asset_key.path)] = ("check_failed", reason)
        elif event.asset_key is not None:
            partition = "/".join(event.asset_key.path)
            if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
                planned.add(partition)
            else:
                found.setdefault(partition, ("", ""))
    has_reason = any(event == "dataset_failed" for event, _ in found.values())
    if run.status is not dg.DagsterRunStatus.SUCCESS and not has_reason:
        # The process was lost or ended: what was not written by then is not written.
        reason = why_canceled or why_run_failed or "the run failed"
        for partition in planned:
            found.setdefault(partition, ("dataset_failed", reason))
    return found


def _stale_datasets(
    catalog: Mapping[str, Dataset],
    instance: dg.DagsterInstance,
    memory: Memory,
    now: datetime,
    env: Mapping[str, str],
) -> Iterator[Alert]:
    watched = [
        dataset for dataset in catalog.values() if is_built(dataset) and not why_not([dataset], env)
    ]
    for dataset, days in days_by_dataset(LakeResource(env=env).store(), watched):
        why = why_stale(dataset, days, now=now)
        if bool(why) == (dataset.partition in memory.told):
            continue
        # Without a run nobody else would say it on the page of the asset.
        instance.report_runless_asset_event(newest_day_verdict(dataset, why))
        if why:
            memory.told[dataset.partition] = str(days[-1])
            yield _alert("dataset_stale", dataset, why, now, None)
        else:
            memory.told.pop(dataset.partition)


def _alert(
    event: str, dataset: Dataset, reason: str, now: datetime, run: dg.DagsterRun | None
) -> Alert:
    return Alert(
        event=event,
        dataset=dataset.partition,
        reason=reason,
        at=now,
        run_id=run.run_id if run else "",
        task=dataset.daily_task,
    )
