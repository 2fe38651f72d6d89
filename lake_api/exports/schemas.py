"""The bodies of the export routes.

Belongs here: request and answer structs and their examples.
Does not belong here: how an export is made (`lake_api.jobs`).
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from lake_api.errors import Problem
from lake_api.jobs.schemas import JobProgress, StateName
from lake_api.query.schemas import MAX_SQL_CHARS, MIN_SQL_CHARS

FormatName = Literal["csv", "jsonl", "parquet", "arrow", "avro"]
CompressionName = Literal["none", "gzip", "zstd"]

_FORMAT = msgspec.Meta(description="What the file is.")
_COMPRESSION = msgspec.Meta(
    description="Parquet is compressed inside, the others as a whole (`.csv.gz`, `.avro.zst`)."
)


class JobExportRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file that a job's rows are wanted as."""

    format: Annotated[FormatName, _FORMAT]
    compression: Annotated[CompressionName, _COMPRESSION] = "none"


class ExportRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query, and the file that its rows are wanted as."""

    sql: Annotated[
        str,
        msgspec.Meta(
            min_length=MIN_SQL_CHARS,
            max_length=MAX_SQL_CHARS,
            description="One SELECT statement in DuckDB SQL; tables are dataset names.",
        ),
    ]
    format: Annotated[FormatName, _FORMAT]
    compression: Annotated[CompressionName, _COMPRESSION] = "none"
    max_rows: (
        Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1, description="Rows to write at most.")]
        | None
    ) = None


class ExportInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An export. `url` is signed anew with every answer, and good until `url_expires_at`."""

    id: UUID
    state: StateName
    format: FormatName
    compression: CompressionName
    job_id: UUID | None
    sql: str
    datasets: tuple[str, ...]
    progress: JobProgress
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    error: Problem | None
    row_count: int | None
    bytes: int | None
    truncated: bool | None
    warnings: tuple[str, ...] | None
    file_name: str | None
    url: str | None
    url_expires_at: datetime | None


class ExportList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of exports, newest first; links are in the answer to a single one."""

    exports: tuple[ExportInfo, ...]
    page: int
    page_size: int
    total: int


EXPORT_REQUEST_EXAMPLE: dict[str, Any] = {
    "sql": "SELECT * FROM example_runs WHERE date >= current_date - 30",
    "format": "csv",
    "compression": "gzip",
}
EXPORT_EXAMPLE: dict[str, Any] = {
    "id": "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a12",
    "state": "succeeded",
    "format": "csv",
    "compression": "gzip",
    "job_id": None,
    "sql": EXPORT_REQUEST_EXAMPLE["sql"],
    "datasets": ["example/runs"],
    "progress": {"stage": "done", "rows": 182_420, "bytes": 4_301_233},
    "created_at": "2026-11-22T10:30:00Z",
    "finished_at": "2026-11-22T10:30:04Z",
    "expires_at": "2026-11-29T10:30:04Z",
    "error": None,
    "row_count": 182_420,
    "bytes": 4_301_233,
    "truncated": False,
    "warnings": [],
    "file_name": "lake-2026-11-22-8f2d8a12.csv.gz",
    "url": "https://lake.example.com/api/v1/internal/lake/files/…/lake-2026-11-22-8f2d8a12.csv.gz",
    "url_expires_at": "2026-11-22T10:35:04Z",
}
QUEUED_EXPORT_EXAMPLE: dict[str, Any] = {
    **EXPORT_EXAMPLE,
    "state": "queued",
    "progress": {"stage": "waiting", "rows": 0, "bytes": 0},
    **dict.fromkeys(
        (
            "finished_at", "expires_at", "row_count", "bytes", "truncated", "warnings",
            "file_name", "url", "url_expires_at",
        )
    ),
}  # fmt: skip
