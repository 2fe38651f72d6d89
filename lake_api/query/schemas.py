"""The bodies of the query route: what the contract promises, in its order.

Belongs here: request and answer structs and their examples.
Does not belong here: how an answer comes about (`engine`), HTTP (`controller`).
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec

MAX_ROWS = 1000
DEFAULT_ROWS = 100
MIN_SQL_CHARS = 10
MAX_SQL_CHARS = 4000


class QueryRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One SELECT over the lake."""

    sql: Annotated[
        str,
        msgspec.Meta(
            min_length=MIN_SQL_CHARS,
            max_length=MAX_SQL_CHARS,
            description="One SELECT statement in DuckDB SQL; tables are dataset names.",
        ),
    ]
    limit: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=MAX_ROWS,
            description="Rows to answer when the SQL has no LIMIT of its own.",
        ),
    ] = DEFAULT_ROWS
    dry_run: Annotated[
        bool,
        msgspec.Meta(
            description="Answer what would be read, in `plan`, and do not run the query. A query "
            "that would be refused is refused.",
        ),
    ] = False


class DatasetPlan(msgspec.Struct, frozen=True):
    """What would be read of one dataset. An object is one day, and is fetched whole."""

    partition: str
    sql_name: str
    first_day: date | None
    last_day: date | None
    days: int
    objects: int
    bytes: int
    cached_objects: int
    cached_bytes: int


class QueryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run says of a query, dataset by dataset and in sum.

    `exact` is false where any rows would do: the query would begin with these newest days and
    read older ones only if they have too few rows. `from_memory`: the same answer is kept from
    before, and nothing would be read.
    """

    datasets: tuple[DatasetPlan, ...]
    objects: int
    bytes: int
    cached_objects: int
    cached_bytes: int
    exact: bool
    from_memory: bool


class DatasetFreshness(msgspec.Struct, frozen=True):
    """How new the data of one dataset is.

    `stale` says that newer days should be there by its schedule; it is null without any day.
    """

    partition: str
    sql_name: str
    newest_day: date | None
    written_at: datetime | None
    stale: bool | None = None


class QueryError(msgspec.Struct, frozen=True):
    """Why a valid query could not be run, and whether to try again."""

    code: str
    detail: str
    retry: bool
    hint: str | None


class QueryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, and what they came from. The first five fields are the original contract.

    `plan` is there in the answer to a dry run only.
    """

    columns: tuple[str, ...]
    rows: list[list[Any]]
    row_count: int
    source: Literal["lake", "unavailable"]
    partition: str | None
    column_types: tuple[str, ...]
    truncated: bool
    elapsed_ms: float
    query_id: str
    partitions: tuple[str, ...]
    freshness: tuple[DatasetFreshness, ...]
    warnings: tuple[str, ...]
    error: QueryError | None
    plan: QueryPlan | msgspec.UnsetType = msgspec.UNSET


REQUEST_EXAMPLE = {
    "sql": "SELECT agent_id, COUNT(*) AS runs FROM example_runs GROUP BY agent_id",
    "limit": 100,
}

ANSWER_EXAMPLE = {
    "columns": ["agent_id", "runs"],
    "rows": [["aurora", 142], ["sage", 98]],
    "row_count": 2,
    "source": "lake",
    "partition": "example/runs",
    "column_types": ["VARCHAR", "BIGINT"],
    "truncated": False,
    "elapsed_ms": 4.2,
    "query_id": "0f4f4f6f6e6c4f0e8f0d6f1f5a3b2c1d",
    "partitions": ["example/runs"],
    "freshness": [
        {
            "partition": "example/runs",
            "sql_name": "example_runs",
            "newest_day": "2026-11-21",
            "written_at": "2026-11-22T00:31:07Z",
            "stale": False,
        }
    ],
    "warnings": [],
    "error": None,
}

DRY_RUN_EXAMPLE = {
    **ANSWER_EXAMPLE,
    "columns": [],
    "rows": [],
    "row_count": 0,
    "column_types": [],
    "plan": {
        "datasets": [
            {
                "partition": "example/runs",
                "sql_name": "example_runs",
                "first_day": "2026-11-15",
                "last_day": "2026-11-21",
                "days": 7,
                "objects": 7,
                "bytes": 1543210,
                "cached_objects": 6,
                "cached_bytes": 1322751,
            }
        ],
        "objects": 7,
        "bytes": 1543210,
        "cached_objects": 6,
        "cached_bytes": 1322751,
        "exact": True,
        "from_memory": False,
    },
}

UNAVAILABLE_EXAMPLE = {
    **ANSWER_EXAMPLE,
    "columns": [],
    "rows": [],
    "row_count": 0,
    "source": "unavailable",
    "column_types": [],
    "freshness": [],
    "error": {
        "code": "query_timeout",
        "detail": "The query ran longer than 30 s.",
        "retry": False,
        "hint": "Filter on `date` to read fewer days.",
    },
}
