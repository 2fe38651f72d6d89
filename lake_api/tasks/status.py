"""What Dagster knows of a run or a backfill, in the words of the task routes. Pure.

Belongs here: states, counts of days and times, from the `TASK_STATE` data.
Does not belong here: asking Dagster (`dagster`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from lake_api.tasks.dagster import ASSET_JOB, TASK_TAG
from lake_api.tasks.schemas import PartitionCounts, TaskState, TaskStatus
from lake_api.tasks.scrub import first_line
from lake_assets.catalog import Catalog

RUN_STATES: Mapping[str, TaskState] = {
    "QUEUED": "queued",
    "NOT_STARTED": "queued",
    "MANAGED": "queued",
    "STARTING": "queued",
    "STARTED": "running",
    "SUSPENDED": "running",
    "CANCELING": "running",
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "CANCELED": "canceled",
}

BACKFILL_STATES: Mapping[str, TaskState] = {
    "REQUESTED": "queued",
    "CANCELING": "running",
    "FAILING": "running",
    "COMPLETED": "succeeded",
    "COMPLETED_SUCCESS": "succeeded",
    "COMPLETED_FAILED": "failed",
    "FAILED": "failed",
    "CANCELED": "canceled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTask:
    """A task's status, and the run whose log has what the status lacks.

    That is the error of a run that failed, or why one that succeeded has left out days.
    """

    status: TaskStatus
    failed_run_id: str | None = None
    short_run_id: str | None = None


def read_state(catalog: Catalog, data: Mapping[str, Any]) -> FoundTask | None:
    """The task that the data tells of, or None when there is none."""
    if data["runOrError"]["__typename"] == "Run":
        return _run(catalog, data["runOrError"])
    if data["partitionBackfillOrError"]["__typename"] == "PartitionBackfill":
        return _backfill(catalog, data["partitionBackfillOrError"])
    return None


def _run(catalog: Catalog, run: Mapping[str, Any]) -> FoundTask:
    state = RUN_STATES[run["status"]]
    tags = _tags(run)
    total = _days_of_run(tags)
    written = {event["partition"] for event in run["assetMaterializations"]}
    done = min(total, len(written - {None}))
    failed = total - done if state == "failed" else 0
    return FoundTask(
        status=TaskStatus(
            task=_task_name(catalog, tags, run.get("assetSelection"), run["jobName"]),
            task_id=run["runId"],
            status=state,
            partitions=PartitionCounts(total=total, done=done, failed=failed),
            started_at=_time(run["startTime"]),
            finished_at=_time(run["endTime"]),
            error=None,
            dagster_url=f"/runs/{run['runId']}",
        ),
        failed_run_id=run["runId"] if state == "failed" else None,
        short_run_id=run["runId"] if state == "succeeded" and done < total else None,
    )


def _backfill(catalog: Catalog, backfill: Mapping[str, Any]) -> FoundTask:
    runs: Sequence[Mapping[str, Any]] = backfill["runs"]
    counts: Sequence[Mapping[str, Any]] = (backfill["assetBackfillData"] or {}).get(
        "assetBackfillStatuses", ()
    )
    written = {event["partition"] for run in runs for event in run["assetMaterializations"]}
    # The daemon counts at its next tick, up to half a minute late; the runs know at once.
    counted = sum(one.get("numPartitionsMaterialized", 0) for one in counts)
    done = max(counted, len(written - {None}))
    failed = sum(one.get("numPartitionsFailed", 0) for one in counts)
    total = backfill["numPartitions"] or 0
    own_error: Mapping[str, Any] = backfill["error"] or {}
    started = [run["startTime"] for run in runs if run["startTime"] is not None]
    last_runs = _not_retried(runs)
    failed_runs = [run["runId"] for run in last_runs if run["status"] == "FAILURE"]
    if backfill["status"] == "COMPLETED_FAILED" and _all_succeeded(runs) and not own_error:
        # Days that no run failed on were left out. Dagster calls them failed: it asked for them.
        state, failed = "succeeded", 0
    else:
        state = _backfill_state(backfill["status"], runs, total=total, done=done, failed=failed)
    ended: float | None = backfill["endTimestamp"]
    if ended is None and state == "succeeded":
        ended = max(run["endTime"] for run in runs)
    return FoundTask(
        status=TaskStatus(
            task=_task_name(catalog, _tags(backfill), backfill["assetSelection"], ASSET_JOB),
            task_id=backfill["id"],
            status=state,
            partitions=PartitionCounts(total=total, done=done, failed=failed),
            started_at=_time(min(started, default=None)),
            finished_at=_time(ended),
            error=first_line(own_error["message"]) if own_error else None,
            dagster_url=f"/runs/b/{backfill['id']}",
        ),
        # Newest first: the last of them failed first.
        failed_run_id=failed_runs[-1] if failed_runs and not own_error else None,
        short_run_id=last_runs[-1]["runId"] if state == "succeeded" and done < total else None,
    )


def _backfill_state(
    dagster_state: str,
    runs: Sequence[Mapping[str, Any]],
    *,
    total: int,
    done: int,
    failed: int,
) -> TaskState:
    state = BACKFILL_STATES[dagster_state]
    states = {RUN_STATES[run["status"]] for run in runs}
    if state == "queued" and _all_succeeded(runs) and done >= total > 0:
        return "succeeded"
    if state == "queued" and states - {"queued"}:
        return "running"
    return "failed" if state == "succeeded" and failed else state


def _all_succeeded(runs: Sequence[Mapping[str, Any]]) -> bool:
    return {RUN_STATES[run["status"]] for run in _not_retried(runs)} == {"succeeded"}


def _not_retried(runs: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """What became of a run that was retried, its retry tells."""
    retried = {run["parentRunId"] for run in runs}
    return [run for run in runs if run["runId"] not in retried]


def _tags(thing: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in thing["tags"]}


def _days_of_run(tags: Mapping[str, str]) -> int:
    if "dagster/partition" in tags:
        return 1
    first = tags.get("dagster/asset_partition_range_start")
    last = tags.get("dagster/asset_partition_range_end")
    if first is None or last is None:
        return 0
    return (date.fromisoformat(last) - date.fromisoformat(first)).days + 1


def _task_name(
    catalog: Catalog,
    tags: Mapping[str, str],
    selection: Sequence[Mapping[str, Any]] | None,
    job: str,
) -> str | None:
    """The task of a run: as tagged at launch, else the one that writes its only dataset."""
    if TASK_TAG in tags:
        return tags[TASK_TAG]
    partitions = ["/".join(key["path"]) for key in selection or ()]
    if len(partitions) == 1 and partitions[0] in catalog:
        return catalog[partitions[0]].daily_task
    maintenance = f"lake.{job}"
    return maintenance if maintenance in catalog.tasks else None


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
