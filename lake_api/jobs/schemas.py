"""The bodies of the job routes.

Belongs here: request and answer structs and their examples.
Does not belong here: how a job is run (`runner`).
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from lake_api.errors import Problem
from lake_api.query.schemas import MAX_SQL_CHARS, MIN_SQL_CHARS, DatasetFreshness

MAX_PAGE_SIZE = 200
MAX_PAGE_ROWS = 10_000
StateName = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class JobRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query that may take minutes."""

    sql: Annotated[
        str,
        msgspec.Meta(
            min_length=MIN_SQL_CHARS,
            max_length=MAX_SQL_CHARS,
            description="One SELECT statement in DuckDB SQL; tables are dataset names.",
        ),
    ]
    max_rows: (
        Annotated[
            int,
            msgspec.Meta(
                ge=1,
                le=2**53 - 1,
                description="Rows to keep at most, within what the service keeps at most.",
            ),
        ]
        | None
    ) = None


class JobProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is: `waiting`, `reading` stored data, `running`, or `done`."""

    stage: str
    rows: int
    bytes: int


class JobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A job. What follows `error` is null until it has succeeded."""

    id: UUID
    state: StateName
    sql: str
    datasets: tuple[str, ...]
    progress: JobProgress
    attempt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    error: Problem | None
    row_count: int | None
    truncated: bool | None
    columns: tuple[str, ...] | None
    column_types: tuple[str, ...] | None
    freshness: tuple[DatasetFreshness, ...] | None
    warnings: tuple[str, ...] | None


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first."""

    jobs: tuple[JobInfo, ...]
    page: int
    page_size: int
    total: int


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a job's rows. `row_count` and `pages` are of all of them."""

    job_id: UUID
    page: int
    page_size: int
    pages: int
    row_count: int
    truncated: bool
    columns: tuple[str, ...]
    column_types: tuple[str, ...]
    rows: list[list[Any]]
    warnings: tuple[str, ...]


JOB_REQUEST_EXAMPLE: dict[str, Any] = {
    "sql": "SELECT agent_id, COUNT(*) AS runs FROM example_runs GROUP BY agent_id",
    "max_rows": 500_000,
}
JOB_EXAMPLE: dict[str, Any] = {
    "id": "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11",
    "state": "succeeded",
    "sql": JOB_REQUEST_EXAMPLE["sql"],
    "datasets": ["example/runs"],
    "progress": {"stage": "done", "rows": 2, "bytes": 1104},
    "attempt": 1,
    "created_at": "2026-11-22T10:30:00Z",
    "started_at": "2026-11-22T10:30:00Z",
    "finished_at": "2026-11-22T10:30:01Z",
    "expires_at": "2026-11-23T10:30:01Z",
    "error": None,
    "row_count": 2,
    "truncated": False,
    "columns": ["agent_id", "runs"],
    "column_types": ["VARCHAR", "BIGINT"],
    "freshness": [],
    "warnings": [],
}
QUEUED_JOB_EXAMPLE: dict[str, Any] = {
    **JOB_EXAMPLE,
    "state": "queued",
    "progress": {"stage": "waiting", "rows": 0, "bytes": 0},
    "attempt": 0,
    **dict.fromkeys(
        (
            "started_at", "finished_at", "expires_at", "row_count", "truncated", "columns",
            "column_types", "freshness", "warnings",
        )
    ),
}  # fmt: skip
PAGE_EXAMPLE: dict[str, Any] = {
    "job_id": JOB_EXAMPLE["id"],
    "page": 1,
    "page_size": 100,
    "pages": 1,
    "row_count": 2,
    "truncated": False,
    "columns": ["agent_id", "runs"],
    "column_types": ["VARCHAR", "BIGINT"],
    "rows": [["aurora", 142], ["sage", 98]],
    "warnings": [],
}
