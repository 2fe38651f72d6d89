"""`POST /api/v1/internal/lake/query`: guarded SQL in, rows out.

Belongs here: the order of steps of one query call, its answer and its log line.
Does not belong here: what the SQL may be (`guard`), how it runs (`engine`).
"""

import hashlib
import logging
import time
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Protocol, cast

import msgspec
from litestar import MediaType, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, SkipValidation

from lake_api.errors import (
    BodyTooLarge,
    Forbidden,
    InvalidRequest,
    LakeError,
    NotAuthenticated,
    QueryRejected,
    QueryUnavailable,
    RateLimited,
    ServiceUnavailable,
    UnsupportedMediaType,
)
from lake_api.identity import Caller, requires_agent
from lake_api.query.answers import plan_answer, rows_answer, unavailable_answer
from lake_api.query.guard import CheckedQuery, Guard
from lake_api.query.rate_limit import counts_call
from lake_api.query.results import QueryPreview, QueryResult
from lake_api.query.schemas import (
    ANSWER_EXAMPLE,
    DRY_RUN_EXAMPLE,
    MAX_ROWS,
    REQUEST_EXAMPLE,
    UNAVAILABLE_EXAMPLE,
    QueryAnswer,
    QueryRequest,
)
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest

_log = logging.getLogger("lake_api.query")


class QueryRunner(Protocol):
    """What the HTTP side needs of the engine."""

    async def run(
        self, checked: CheckedQuery, *, limit: int, timeout_s: float | None = None, agent: str = ""
    ) -> QueryResult:
        """The rows of a checked query, at most `limit` of them; agents take turns."""
        ...

    async def preview(
        self, checked: CheckedQuery, *, limit: int, timeout_s: float | None = None, agent: str = ""
    ) -> QueryPreview:
        """What `run` would read; refuses what `run` refuses."""
        ...

    async def status(self) -> Mapping[str, bool]:
        """Which of its parts work, by name."""
        ...


_RESPONSES = {
    200: ResponseSpec(
        data_container=QueryAnswer,
        generate_examples=False,
        description="The rows; or `source: unavailable` with `error`, when a valid query could "
        "not be run.",
        examples=[
            Example(summary="Rows", value=ANSWER_EXAMPLE),
            Example(summary="Dry run", value=DRY_RUN_EXAMPLE),
            Example(summary="Could not be run", value=UNAVAILABLE_EXAMPLE),
        ],
    ),
    **problem_responses(
        {
            400: QueryRejected(
                "There is no dataset `agent_runs`.",
                code="unknown_table",
                hint="Did you mean `agent_run_log`?",
                fragment="agent_runs",
            ),
            401: NotAuthenticated("This route is for internal agents."),
            403: Forbidden("Pages of another origin may not call this.", code="foreign_origin"),
            413: BodyTooLarge("The body has more than 65536 bytes."),
            415: UnsupportedMediaType("The body must be JSON."),
            422: InvalidRequest("limit: Expected `int` <= 1000", field="limit"),
            429: RateLimited(
                "At most 10 query calls per agent and cron run.", retry=True, retry_after_s=3600
            ),
            503: ServiceUnavailable(
                "Calls can't be counted at the moment.", code="rate_limit_unavailable", retry=True
            ),
        }
    ),
}


@post(
    "/api/v1/internal/lake/query",
    operation_id="query_lake",
    summary="Query the lake in SQL",
    description="Runs one SELECT over the lake's datasets. Internal agents may call it; a call "
    "counts towards the agent's cron run (`X-Cron-Run-ID`) or, without one, its minute.",
    tags=["lake"],
    guards=[requires_agent, counts_call],
    status_code=200,
    media_type=MediaType.JSON,
    responses=_RESPONSES,
)
async def query_lake(
    data: Annotated[
        QueryRequest,
        Body(
            examples=[
                Example(summary="Rows", value=REQUEST_EXAMPLE),
                Example(summary="Dry run", value={**REQUEST_EXAMPLE, "dry_run": True}),
            ]
        ),
    ],
    request: LakeRequest,
    query_guard: NamedDependency[SkipValidation[Guard]],
    engine: NamedDependency[SkipValidation[QueryRunner]],
) -> Response[QueryAnswer]:
    """Check, run and answer one query; whatever happens, leave one log line."""
    started = time.perf_counter()
    query_id = request.state["query_id"] = uuid.uuid4().hex
    caller = cast(Caller, request.scope["user"])
    outcome, rows, checked = "internal_error", 0, None
    try:
        checked = query_guard.check(data.sql)
        limit = MAX_ROWS if checked.has_limit else data.limit
        agent = f"{caller.role.value}:{caller.name}"
        try:
            if data.dry_run:
                preview = await engine.preview(checked, limit=limit, agent=agent)
                answer = plan_answer(
                    checked, preview, query_id=query_id, elapsed_ms=_elapsed_ms(started)
                )
            else:
                result = await engine.run(checked, limit=limit, agent=agent)
                rows = result.row_count
                answer = rows_answer(
                    checked, result, query_id=query_id, elapsed_ms=_elapsed_ms(started)
                )
            outcome = "ok"
        except QueryUnavailable as error:
            outcome = error.code
            answer = unavailable_answer(
                checked, error, query_id=query_id, elapsed_ms=_elapsed_ms(started)
            )
    except LakeError as error:
        outcome = error.code
        raise
    finally:
        _log.info(
            "query",
            extra={
                "query_id": query_id,
                "role": caller.role.value,
                "agent": caller.name,
                "cron_run": caller.cron_run,
                "datasets": [one.partition for one in checked.datasets] if checked else [],
                "rows": rows,
                "elapsed_ms": _elapsed_ms(started),
                "outcome": outcome,
                "sql_sha256": hashlib.sha256(data.sql.encode()).hexdigest(),
            },
        )
    # Encoded here, so that the rows which the worker wrote are copied and never parsed.
    encoded: Any = msgspec.json.encode(answer)
    return Response(encoded, headers=request.state["answer_headers"], media_type=MediaType.JSON)


def _elapsed_ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
