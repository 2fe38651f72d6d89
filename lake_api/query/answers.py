"""From what the engine says to the body of the query route's answer.

Belongs here: the JSON answer with rows, with a plan, or with the reason why there are none.
Does not belong here: the shapes themselves (`schemas`), headers and status (`controller`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from lake_api.errors import QueryUnavailable
from lake_api.query.guard import CheckedQuery
from lake_api.query.results import DatasetReads, Freshness, QueryPreview, QueryResult
from lake_api.query.schemas import (
    DatasetFreshness,
    DatasetPlan,
    QueryAnswer,
    QueryError,
    QueryPlan,
)

_NOTHING = msgspec.Raw(b"[]")


def rows_answer(
    checked: CheckedQuery, result: QueryResult, *, query_id: str, elapsed_ms: float
) -> QueryAnswer:
    """The rows of a query; the bytes that the worker wrote are copied and never parsed."""
    return _answer(
        checked,
        query_id=query_id,
        elapsed_ms=elapsed_ms,
        columns=result.columns,
        column_types=result.column_types,
        rows=msgspec.Raw(result.rows_json),
        row_count=result.row_count,
        truncated=result.truncated,
        freshness=freshness_of(result.freshness),
        warnings=result.warnings,
    )


def plan_answer(
    checked: CheckedQuery, preview: QueryPreview, *, query_id: str, elapsed_ms: float
) -> QueryAnswer:
    """What a query would read."""
    datasets = tuple(map(_dataset_plan, preview.reads))
    return _answer(
        checked,
        query_id=query_id,
        elapsed_ms=elapsed_ms,
        freshness=freshness_of(preview.freshness),
        warnings=preview.warnings,
        plan=QueryPlan(
            datasets=datasets,
            objects=sum(one.objects for one in datasets),
            bytes=sum(one.bytes for one in datasets),
            cached_objects=sum(one.cached_objects for one in datasets),
            cached_bytes=sum(one.cached_bytes for one in datasets),
            exact=preview.exact,
            from_memory=preview.from_memory,
        ),
    )


def unavailable_answer(
    checked: CheckedQuery, error: QueryUnavailable, *, query_id: str, elapsed_ms: float
) -> QueryAnswer:
    """Why a valid query has no rows."""
    return _answer(
        checked,
        query_id=query_id,
        elapsed_ms=elapsed_ms,
        error=QueryError(
            code=error.code, detail=error.detail, retry=bool(error.retry), hint=error.hint
        ),
    )


def freshness_of(found: Iterable[Freshness]) -> tuple[DatasetFreshness, ...]:
    """How new the datasets of an answer are, in the shape of the contract."""
    now = datetime.now(tz=UTC)
    return tuple(
        DatasetFreshness(
            partition=one.partition,
            sql_name=one.sql_name,
            newest_day=one.newest_day,
            written_at=one.written_at,
            stale=None if one.stale_from is None else now > one.stale_from,
        )
        for one in found
    )


def _answer(
    checked: CheckedQuery,
    *,
    query_id: str,
    elapsed_ms: float,
    columns: tuple[str, ...] = (),
    column_types: tuple[str, ...] = (),
    rows: msgspec.Raw = _NOTHING,
    row_count: int = 0,
    truncated: bool = False,
    freshness: tuple[DatasetFreshness, ...] = (),
    warnings: tuple[str, ...] = (),
    error: QueryError | None = None,
    plan: QueryPlan | msgspec.UnsetType = msgspec.UNSET,
) -> QueryAnswer:
    partitions = tuple(dataset.partition for dataset in checked.datasets)
    return QueryAnswer(
        columns=columns,
        rows=cast("list[list[Any]]", rows),
        row_count=row_count,
        source="unavailable" if error is not None else "lake",
        partition=partitions[0] if partitions else None,
        column_types=column_types,
        truncated=truncated,
        elapsed_ms=elapsed_ms,
        query_id=query_id,
        partitions=partitions,
        freshness=freshness,
        warnings=warnings,
        error=error,
        plan=plan,
    )


def _dataset_plan(reads: DatasetReads) -> DatasetPlan:
    return DatasetPlan(
        partition=reads.dataset.partition,
        sql_name=reads.dataset.sql_name,
        first_day=reads.first_day,
        last_day=reads.last_day,
        days=reads.objects,
        objects=reads.objects,
        bytes=reads.size_bytes,
        cached_objects=reads.cached_objects,
        cached_bytes=reads.cached_bytes,
    )
