"""Runs that were lost, and could not be started again because the code server was away too.

Belongs here: finding them once there is a code server again, and giving them back to Dagster.
Does not belong here: noticing that a run was lost (`launcher`), starting it again (Dagster).

Dagster tries once to start a lost run again. Without a code server that fails, and the run is
marked as one that nobody will retry. This sensor runs on the code server: when it looks, there is
one. It reports the failure again, which is what Dagster's retries go by.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

LOST_RUNS_SENSOR = "lost_runs"

_INTERVAL_S = 15
_LOOKS_BACK = timedelta(days=1)
_ATTEMPTS = 10
_NOT_RETRIED = "Failed to retry run"
"""What Dagster notes on a run that it could not start again."""

_GIVEN_BACK = "The run was lost, and is started again now that there is a code server."


def lost_runs_sensor() -> dg.SensorDefinition:
    """The sensor; it is on wherever there is a daemon, as Dagster's own retries are."""

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        instance = context.instance
        since = datetime.now(tz=UTC) - _LOOKS_BACK
        lost = list(_lost_runs(instance, since))
        for run in lost:
            instance.report_run_failed(run, _GIVEN_BACK)
        said = ", ".join(run.run_id for run in lost)
        return dg.SkipReason(f"Given back to be retried: {said}" if said else "No run was lost.")

    return dg.SensorDefinition(
        name=LOST_RUNS_SENSOR,
        evaluation_fn=evaluate,
        description="Has runs retried that were lost while there was no code server.",
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def awaits_retry(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a failed run will be given back: nothing is wrong with it but that it was lost."""
    if run.status is not dg.DagsterRunStatus.FAILURE or AUTO_RETRY_RUN_ID_TAG in run.tags:
        return False
    if run.tags.get(WILL_RETRY_TAG) != "false":
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
