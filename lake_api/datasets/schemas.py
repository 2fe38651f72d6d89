"""The bodies of the discovery routes.

Belongs here: answer structs and their examples.
Does not belong here: how they are filled (`describe`, `sample`, `profile`).
"""

from datetime import date, datetime
from typing import Any, Literal

import msgspec


class DayRange(msgspec.Struct, frozen=True):
    """Consecutive days, first and last included."""

    first: date
    last: date


class DatasetLine(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset in the list. `rows` is known where a profile covers all of its days.

    `stale` is null for a dataset without data. `listing` says what the days and sizes are worth:
    `current`; `outdated`, as of `as_of`; or `unknown`, where the numbers are 0 and mean nothing.
    """

    partition: str
    sql_name: str
    summary: str
    kind: Literal["event", "snapshot", "external", "derived"]
    group: str
    newest_day: date | None
    days: int
    rows: int | None
    size_bytes: int
    written_at: datetime | None
    stale: bool | None
    listing: Literal["current", "outdated", "unknown"] = "current"
    as_of: datetime | None = None


class DatasetList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the datasets that the caller may read, in the order of the catalogue."""

    datasets: tuple[DatasetLine, ...]
    total: int
    page: int
    page_size: int
    warnings: tuple[str, ...] = ()


class TopValue(msgspec.Struct, frozen=True):
    """A value as text, and how many rows have it."""

    value: str
    rows: int


class ColumnInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One column.

    `values` are all that are accepted, where that is declared; `top_values` are those that a
    profile has measured.
    """

    name: str
    type: str
    description: str
    required: bool
    is_json: bool = False
    values: tuple[str, ...] = ()
    top_values: tuple[TopValue, ...] = ()


class DaysInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which days are stored, newest first, and which the schedule has not brought.

    `more_ranges` counts ranges that are left out of the two lists because there are many.
    """

    count: int
    oldest: date | None
    newest: date | None
    present: tuple[DayRange, ...]
    missing_count: int
    missing: tuple[DayRange, ...]
    more_ranges: int


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """When it is written by itself (cron, UTC): a tick writes its own day less the lags.

    `polls` is the cron of further ticks, which write the running day; it is there where there are
    such.
    """

    cron: str
    newest_lag_d: int
    oldest_lag_d: int
    stale_after_h: int
    polls: str | msgspec.UnsetType = msgspec.UNSET


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one dataset. `rows` is known where a profile covers all of its days.

    `tasks` is there for callers who may trigger them; `upstreams` are those of the caller's.
    """

    partition: str
    sql_name: str
    summary: str
    description: str
    notes: str
    kind: Literal["event", "snapshot", "external", "derived"]
    kind_meaning: str
    group: str
    owner: str
    time_column: str
    key: tuple[str, ...]
    columns: tuple[ColumnInfo, ...]
    days: DaysInfo
    rows: int | None
    size_bytes: int
    newest_size_bytes: int
    written_at: datetime | None
    last_written_at: datetime | None
    stale: bool | None
    schedule: ScheduleInfo
    upstreams: tuple[str, ...]
    example_sql: str
    tasks: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class SampleAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a dataset. `days` are those that they were drawn from; null when it has none."""

    partition: str
    sql_name: str
    mode: Literal["first", "random", "per_day"]
    seed: int
    days: DayRange | None
    columns: tuple[str, ...]
    column_types: tuple[str, ...]
    rows: list[list[Any]]
    row_count: int
    truncated: bool
    warnings: tuple[str, ...]
    query_id: str


class Quantiles(msgspec.Struct, frozen=True):
    """Approximate values below which so many of a hundred rows are."""

    p5: float | None
    p25: float | None
    p50: float | None
    p75: float | None
    p95: float | None


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What one column holds.

    The lowest and the highest value are as in rows, texts cut after 100 characters.

    `distinct` is approximate where `top_values` has ten; it is null for JSON, which is only
    counted. Mean and quantiles are of numbers, most frequent values of columns with few.
    """

    name: str
    type: str
    nulls: int
    distinct: int | None = None
    min: Any = None
    max: Any = None
    mean: float | None = None
    quantiles: Quantiles | None = None
    top_values: tuple[TopValue, ...] = ()


class DatasetProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What the columns of a dataset hold on the days that it covers.

    `is_whole` says that these are all of its days. `measured_at` is when these objects were read.
    """

    partition: str
    sql_name: str
    days: DayRange | None
    day_count: int
    is_whole: bool
    rows: int
    columns: tuple[ColumnProfile, ...]
    measured_at: datetime
    warnings: tuple[str, ...]


LIST_EXAMPLE: dict[str, Any] = {
    "datasets": [
        {
            "partition": "example/runs",
            "sql_name": "example_runs",
            "summary": "Runs of agents",
            "kind": "event",
            "group": "Examples",
            "newest_day": "2026-11-21",
            "days": 690,
            "rows": None,
            "size_bytes": 153210987,
            "written_at": "2026-11-22T00:31:07Z",
            "stale": False,
        }
    ],
    "total": 1,
    "page": 1,
    "page_size": 100,
}

INFO_EXAMPLE: dict[str, Any] = {
    "partition": "example/runs",
    "sql_name": "example_runs",
    "summary": "Runs of agents",
    "description": "Runs of agents",
    "notes": "",
    "kind": "event",
    "kind_meaning": "rows of the UTC day",
    "group": "Examples",
    "owner": "team:data-platform",
    "time_column": "created_at",
    "key": ["run_id"],
    "columns": [
        {
            "name": "status",
            "type": "VARCHAR",
            "description": "How it ended.",
            "required": True,
            "is_json": False,
            "values": ["succeeded", "failed"],
            "top_values": [{"value": "succeeded", "rows": 9120}, {"value": "failed", "rows": 31}],
        }
    ],
    "days": {
        "count": 690,
        "oldest": "2025-01-01",
        "newest": "2026-11-21",
        "present": [{"first": "2025-01-01", "last": "2026-11-21"}],
        "missing_count": 0,
        "missing": [],
        "more_ranges": 0,
    },
    "rows": None,
    "size_bytes": 153210987,
    "newest_size_bytes": 231411,
    "written_at": "2026-11-22T00:31:07Z",
    "last_written_at": "2026-11-22T00:31:07Z",
    "stale": False,
    "schedule": {
        "cron": "30 0 * * *",
        "newest_lag_d": 1,
        "oldest_lag_d": 2,
        "stale_after_h": 36,
    },
    "upstreams": [],
    "example_sql": "SELECT status, count(*) AS row_count FROM example_runs "
    "WHERE date >= current_date - 7 GROUP BY status ORDER BY row_count DESC",
}

SAMPLE_EXAMPLE: dict[str, Any] = {
    "partition": "example/runs",
    "sql_name": "example_runs",
    "mode": "first",
    "seed": 0,
    "days": {"first": "2026-11-21", "last": "2026-11-21"},
    "columns": ["date", "run_id", "status"],
    "column_types": ["DATE", "VARCHAR", "VARCHAR"],
    "rows": [["2026-11-21", "7c9e6679", "succeeded"]],
    "row_count": 1,
    "truncated": False,
    "warnings": [],
    "query_id": "0f4f4f6f6e6c4f0e8f0d6f1f5a3b2c1d",
}

PROFILE_EXAMPLE: dict[str, Any] = {
    "partition": "example/runs",
    "sql_name": "example_runs",
    "days": {"first": "2026-10-23", "last": "2026-11-21"},
    "day_count": 30,
    "is_whole": False,
    "rows": 280133,
    "columns": [
        {
            "name": "duration_ms",
            "type": "BIGINT",
            "nulls": 12,
            "distinct": 9034,
            "min": 3,
            "max": 611203,
            "mean": 8120.4,
            "quantiles": {"p5": 110, "p25": 900, "p50": 4100, "p75": 9100, "p95": 31000},
            "top_values": [],
        }
    ],
    "measured_at": "2026-11-22T08:00:00Z",
    "warnings": [],
}
