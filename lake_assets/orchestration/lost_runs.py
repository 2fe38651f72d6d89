"""Runs that were lost, and could not be started again because the code server was away too.

Belongs here: finding them once there is a code server again, and giving them back to Dagster.
Does not belong here: noticing that a run was lost (`launcher`), starting it again (Dagster).

Dagster tries once to start a lost run again. Without a code server that fails, and the run is
marked as one that nobody will retry. This sensor runs on the code server: when it looks, there is
one. It reports the failure again, which is what Dagster's retries go by. They leave out runs of a
backfill that has ended by then: of these the sensor asks for a new run.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)

from lake_assets.catalog import Dataset

LOST_RUNS_SENSOR = "lost_runs"
RUN_AGAIN_TAG = "lake/lost_run"
"""A run with this tag goes on for the lost run that it names."""

_ASKED_AGAIN_TAG = "lake/asked_again"

_INTERVAL_S = 15
_LOOKS_BACK = timedelta(days=1)
_ATTEMPTS = 10
_NOT_RETRIED = "Failed to retry run"
"""What Dagster notes on a run that it could not start again."""

_GIVEN_BACK = "The run was lost, and is started again now that there is a code server."


def lost_runs_sensor(datasets: Iterable[Dataset]) -> dg.SensorDefinition:
    """The sensor; it is on wherever there is a daemon, as Dagster's own retries are."""

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        instance = context.instance
        lost = list(_lost_runs(instance, datetime.now(tz=UTC) - _LOOKS_BACK))
        requests: list[dg.RunRequest] = []
        for run in lost:
            if _has_ended_backfill(instance, run):
                requests.append(_again(run))
                instance.add_run_tags(run.run_id, {_ASKED_AGAIN_TAG: "true"})
            else:
                instance.report_run_failed(run, _GIVEN_BACK)
        if requests:
            return dg.SensorResult(run_requests=requests)
        said = ", ".join(run.run_id for run in lost)
        return dg.SensorResult(
            skip_reason=f"Given back to be retried: {said}" if said else "No run was lost."
        )

    return dg.SensorDefinition(
        name=LOST_RUNS_SENSOR,
        evaluation_fn=evaluate,
        asset_selection=dg.AssetSelection.assets(
            *(dg.AssetKey(dataset.asset_key) for dataset in datasets)
        ),
        description="Has runs retried that were lost while there was no code server.",
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def _has_ended_backfill(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    backfill_id = run.tags.get(BACKFILL_ID_TAG)
    if backfill_id is None or not run.asset_selection:
        return False
    backfill = instance.get_backfill(backfill_id)
    return backfill is None or backfill.status in BULK_ACTION_TERMINAL_STATUSES


def _again(run: dg.DagsterRun) -> dg.RunRequest:
    """The same days of the same datasets, with the tags that people and this project gave it."""
    days = {ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG}
    return dg.RunRequest(
        run_key=run.run_id,
        asset_selection=sorted(run.asset_selection or ()),
        partition_key=run.tags.get(PARTITION_NAME_TAG),
        tags={
            RUN_AGAIN_TAG: run.run_id,
            **{
                name: value
                for name, value in run.tags.items()
                if name in days or not name.startswith("dagster/")
            },
        },
    )


def awaits_retry(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a failed run will be given back: nothing is wrong with it but that it was lost."""
    if run.status is not dg.DagsterRunStatus.FAILURE or AUTO_RETRY_RUN_ID_TAG in run.tags:
        return False
    if run.tags.get(WILL_RETRY_TAG) != "false" or _ASKED_AGAIN_TAG in run.tags:
        return False
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    failed = sum(
        entry.dagster_event is not None and entry.dagster_event.message == _NOT_RETRIED
        for entry in events
    )
    return 0 < failed <= _ATTEMPTS


def _lost_runs(instance: dg.DagsterInstance, since: datetime) -> Iterator[dg.DagsterRun]:
    candidates = instance.get_runs(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={WILL_RETRY_TAG: "false"},
            updated_after=since,
        )
    )
    return (run for run in candidates if awaits_retry(instance, run))
