"""`…/lake/jobs`: asking for jobs, their state, their rows by page, cancelling, removing.

Belongs here: the routes. Does not belong here: what they do (`service`).
"""

from typing import Annotated, Any, cast
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, HeaderParameter, Parameter, SkipValidation

from lake_api.audit.answering import answer_audited_problem, audited, begin, tell
from lake_api.errors import (
    BodyTooLarge,
    Conflict,
    Forbidden,
    InvalidRequest,
    LakeError,
    NotAuthenticated,
    QueryRejected,
    QueryUnavailable,
    RateLimited,
    UnsupportedMediaType,
)
from lake_api.identity import Caller, requires_agent, requires_operation
from lake_api.jobs.asked import JOB
from lake_api.jobs.results import problem_of, stored_result
from lake_api.jobs.schemas import (
    JOB_EXAMPLE,
    JOB_REQUEST_EXAMPLE,
    MAX_PAGE_ROWS,
    MAX_PAGE_SIZE,
    PAGE_EXAMPLE,
    QUEUED_JOB_EXAMPLE,
    JobInfo,
    JobList,
    JobPage,
    JobProgress,
    JobRequest,
)
from lake_api.jobs.service import JobService, disabled, unknown
from lake_api.jobs.table import JobRow
from lake_api.query.rate_limit import LIMIT_ERRORS, counts_look, counts_request
from lake_api.web.leaving import StopsForLeavers
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest

ROUTE = "/api/v1/internal/lake/jobs"
_GUARDS = [requires_agent, requires_operation("jobs")]
_USE_GUARDS = [*_GUARDS, counts_request]
_LOOK_GUARDS = [*_GUARDS, counts_look]
ERRORS: dict[int, LakeError] = {
    401: NotAuthenticated("The bearer token is not valid.", code="invalid_token"),
    403: Forbidden("This token does not allow `jobs`.", code="operation_not_allowed"),
    429: LIMIT_ERRORS[429],
    503: disabled("jobs"),
}
ASK_ERRORS: dict[int, LakeError] = {
    400: QueryRejected("There is no dataset `example_run`.", code="unknown_table"),
    409: Conflict(
        "This Idempotency-Key was used for another request.", code="idempotency_conflict"
    ),
    413: BodyTooLarge("The body has more than 65536 bytes."),
    415: UnsupportedMediaType("The body must be JSON."),
    422: InvalidRequest("max_rows: Expected `int` >= 1", field="max_rows"),
    429: RateLimited("At most 100 jobs wait or run.", code="too_many_jobs", retry_after_s=5),
}
_USED_UP: dict[int, LakeError] = {
    429: RateLimited(
        "The rows of today are used up.", code="quota_exceeded", retry=True, retry_after_s=3600
    )
}
_PAGES: dict[int, LakeError] = {422: InvalidRequest("page: Expected `int` >= 1", field="page")}
_MISSING: dict[int, LakeError] = {404: unknown(JOB)}

Jobs = NamedDependency[SkipValidation[JobService | None]]
JobId = Annotated[UUID, Parameter(description="The job's id.")]
PageNumber = Annotated[int, Parameter(description="Which page, from 1.", ge=1, le=10_000_000)]
PageSize = Annotated[int, Parameter(description="How many per page.", ge=1, le=MAX_PAGE_SIZE)]
PageRows = Annotated[int, Parameter(description="Rows per page.", ge=1, le=MAX_PAGE_ROWS)]
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="A repeat with the same key is answered with what the first made.",
        max_length=255,
    ),
]


@post(
    ROUTE,
    operation_id="start_job",
    summary="Ask for a job",
    description="The same guarded SQL as the query route, with larger limits, run in the "
    "background. Its rows are read by page and kept for 24 hours. A repeat with the same "
    "`Idempotency-Key` is the same job.",
    tags=["jobs"],
    guards=_USE_GUARDS,
    middleware=[audited("start_job")],
    exception_handlers={Exception: answer_audited_problem},
    status_code=202,
    responses={
        202: ResponseSpec(
            data_container=JobInfo,
            generate_examples=False,
            description="The job.",
            examples=[Example(value=QUEUED_JOB_EXAMPLE)],
        ),
        **problem_responses({**ERRORS, **ASK_ERRORS}),
    },
)
async def start_job(
    data: Annotated[JobRequest, Body(examples=[Example(value=JOB_REQUEST_EXAMPLE)])],
    request: LakeRequest,
    jobs: Jobs,
    idempotency_key: IdempotencyKey = None,
) -> Response[JobInfo]:
    """Check the text, and let it wait for its turn."""
    tell(request, sql=data.sql)
    job, _ = await enabled(jobs, "jobs").ask(
        JOB,
        caller_of(request),
        data.sql,
        max_rows=data.max_rows,
        idempotency_key=idempotency_key,
    )
    tell(request, subject=str(job.id), datasets=tuple(job.datasets))
    return Response(job_info(job), headers={"Location": f"{ROUTE}/{job.id}"})


@get(
    ROUTE,
    operation_id="list_jobs",
    summary="List jobs",
    description="The caller's own, newest first; for a swarm those of its agents, for the admin "
    "all.",
    tags=["jobs"],
    guards=_LOOK_GUARDS,
    middleware=[audited("list_jobs", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    responses={
        200: ResponseSpec(
            data_container=JobList,
            generate_examples=False,
            description="A page of jobs.",
            examples=[
                Example(value={"jobs": [JOB_EXAMPLE], "page": 1, "page_size": 50, "total": 1})
            ],
        ),
        **problem_responses({**ERRORS, **_PAGES}),
    },
)
async def list_jobs(
    request: LakeRequest, jobs: Jobs, page: PageNumber = 1, page_size: PageSize = 50
) -> JobList:
    """A page of them."""
    rows, total = await enabled(jobs, "jobs").listed(
        JOB, caller_of(request), page=page, page_size=page_size
    )
    return JobList(jobs=tuple(map(job_info, rows)), page=page, page_size=page_size, total=total)


@get(
    f"{ROUTE}/{{job_id:uuid}}",
    operation_id="get_job",
    summary="State of a job",
    tags=["jobs"],
    guards=_LOOK_GUARDS,
    middleware=[audited("read_job_state", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    responses={
        200: ResponseSpec(
            data_container=JobInfo,
            generate_examples=False,
            description="The job.",
            examples=[Example(value=JOB_EXAMPLE)],
        ),
        **problem_responses({**ERRORS, **_MISSING}),
    },
)
async def get_job(job_id: JobId, request: LakeRequest, jobs: Jobs) -> JobInfo:
    """Its state and progress."""
    tell(request, subject=str(job_id))
    return job_info(await enabled(jobs, "jobs").get(JOB, job_id, caller_of(request)))


@get(
    f"{ROUTE}/{{job_id:uuid}}/results",
    operation_id="get_job_results",
    summary="Rows of a job",
    description="A page of the rows, in the order in which the query gave them. Pages do not "
    "change while the job lives.",
    tags=["jobs"],
    guards=_USE_GUARDS,
    middleware=[audited("read_job"), StopsForLeavers()],
    exception_handlers={Exception: answer_audited_problem},
    responses={
        200: ResponseSpec(
            data_container=JobPage,
            generate_examples=False,
            description="A page of rows; one after the last has none.",
            examples=[Example(value=PAGE_EXAMPLE)],
        ),
        **problem_responses(
            {
                **ERRORS,
                **_MISSING,
                **_PAGES,
                **_USED_UP,
                409: Conflict("The job is running.", code="job_not_finished", retry=True),
            }
        ),
    },
)
async def get_job_results(
    job_id: JobId,
    request: LakeRequest,
    jobs: Jobs,
    page: PageNumber = 1,
    page_size: PageRows = 100,
) -> JobPage:
    """Rows, as the worker encoded them."""
    service, caller = enabled(jobs, "jobs"), caller_of(request)
    tell(request, subject=str(job_id))
    job = await service.get(JOB, job_id, caller)
    try:
        rows = await service.page(caller, job, page=page, page_size=page_size)
    except QueryUnavailable as error:
        error.http_status = 503
        raise
    result = stored_result(job)
    told = max(0, min(page_size, result.row_count - (page - 1) * page_size))
    tell(
        request,
        datasets=tuple(job.datasets),
        rows=told,
        answer_bytes=len(rows.rows_json),
    )
    return JobPage(
        job_id=job.id,
        page=page,
        page_size=page_size,
        pages=-(-result.row_count // page_size),
        row_count=result.row_count,
        truncated=result.truncated,
        columns=result.columns,
        column_types=result.column_types,
        rows=cast("list[list[Any]]", msgspec.Raw(rows.rows_json)),
        warnings=tuple(dict.fromkeys((*result.warnings, *rows.warnings))),
    )


@post(
    f"{ROUTE}/{{job_id:uuid}}/cancel",
    operation_id="cancel_job",
    summary="Cancel a job",
    description="Stops the engine. A job that is over stays as it is.",
    tags=["jobs"],
    guards=_LOOK_GUARDS,
    middleware=[audited("cancel_job")],
    exception_handlers={Exception: answer_audited_problem},
    status_code=200,
    responses={
        200: ResponseSpec(
            data_container=JobInfo,
            generate_examples=False,
            description="The job.",
            examples=[Example(value={**QUEUED_JOB_EXAMPLE, "state": "cancelled"})],
        ),
        **problem_responses({**ERRORS, **_MISSING}),
    },
)
async def cancel_job(job_id: JobId, request: LakeRequest, jobs: Jobs) -> JobInfo:
    """Stop it."""
    service = enabled(jobs, "jobs")
    tell(request, subject=str(job_id))
    job = await service.get(JOB, job_id, caller_of(request))
    await begin(request, "cancel_job", str(job_id))
    return job_info(await service.cancel(job))


@delete(
    f"{ROUTE}/{{job_id:uuid}}",
    operation_id="delete_job",
    summary="Remove a job",
    description="Stops it where it runs, and removes its rows.",
    tags=["jobs"],
    guards=_LOOK_GUARDS,
    middleware=[audited("delete_job")],
    exception_handlers={Exception: answer_audited_problem},
    status_code=200,
    responses={
        200: ResponseSpec(
            data_container=JobInfo,
            generate_examples=False,
            description="The job, as it was.",
            examples=[Example(value=JOB_EXAMPLE)],
        ),
        **problem_responses({**ERRORS, **_MISSING}),
    },
)
async def delete_job(job_id: JobId, request: LakeRequest, jobs: Jobs) -> JobInfo:
    """Stop and remove it."""
    service, caller = enabled(jobs, "jobs"), caller_of(request)
    tell(request, subject=str(job_id))
    job = await service.get(JOB, job_id, caller)
    await begin(request, "delete_job", str(job_id))
    await service.discard(caller, job)
    return job_info(job)


def enabled(jobs: JobService | None, what: str) -> JobService:
    """The service of jobs and exports.

    Raises:
        ServiceUnavailable: there is none (`jobs_disabled`, `exports_disabled`).
    """
    if jobs is None:
        raise disabled(what)
    return jobs


def caller_of(request: LakeRequest) -> Caller:
    """Who asks; the guards have put it there."""
    return cast(Caller, request.scope["user"])


def job_info(job: JobRow) -> JobInfo:
    """A job as callers see it."""
    result = stored_result(job) if job.result is not None else None
    return JobInfo(
        id=job.id,
        state=cast(Any, job.state),
        sql=job.sql,
        datasets=tuple(job.datasets),
        progress=JobProgress(stage=job.stage, rows=job.rows_done, bytes=job.bytes_done),
        attempt=job.attempt,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        expires_at=job.expires_at,
        error=problem_of(job),
        row_count=result.row_count if result else None,
        truncated=result.truncated if result else None,
        columns=result.columns if result else None,
        column_types=result.column_types if result else None,
        freshness=result.freshness if result else None,
        warnings=result.warnings if result else None,
    )


JOB_ROUTES = (start_job, list_jobs, get_job, get_job_results, cancel_job, delete_job)
