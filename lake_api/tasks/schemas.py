"""The bodies of the task routes.

Belongs here: request and answer structs and their examples.
Does not belong here: where their values come from (`plan`, `status`).
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec

TaskState = Literal["queued", "running", "succeeded", "failed", "canceled"]


class TriggerRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task to launch now."""

    task: Annotated[
        str,
        msgspec.Meta(min_length=1, max_length=256, description="A trigger task's name."),
    ]
    kwargs: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="`date`, or `start_date` and `end_date` (YYYY-MM-DD, UTC). Without them "
            "the newest complete day is written. Backfill tasks take the range only."
        ),
    ] = {}


class TriggerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was launched. The first three fields are the original contract."""

    task: str
    task_id: str
    status: Literal["queued"]
    first_day: date | None
    last_day: date | None


class PartitionCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How far the days of a task are; all zero for a task that writes none."""

    total: int
    done: int
    failed: int


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a triggered task stands. `dagster_url` is a path below the Dagster UI's address.

    A day may be left out without a fault: its source has not published it, shows it no more, or is
    not configured. `left_out` is the first such day of a task that succeeded, and why.
    """

    task: str | None
    task_id: str
    status: TaskState
    partitions: PartitionCounts
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    dagster_url: str
    left_out: str | None = None


TRIGGER_EXAMPLE = {"task": "lake.export_example_runs", "kwargs": {"date": "2026-11-21"}}

TRIGGERED_EXAMPLE = {
    "task": "lake.export_example_runs",
    "task_id": "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
    "status": "queued",
    "first_day": "2026-11-21",
    "last_day": "2026-11-21",
}

STATUS_EXAMPLE = {
    "task": "lake.export_example_runs",
    "task_id": "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
    "status": "failed",
    "partitions": {"total": 1, "done": 0, "failed": 1},
    "started_at": "2026-11-22T00:30:01Z",
    "finished_at": "2026-11-22T00:30:04Z",
    "error": "SchemaMismatch: column cost_usd: expected decimal(18,6), got string",
    "dagster_url": "/runs/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
    "left_out": None,
}
