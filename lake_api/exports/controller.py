"""`…/lake/exports`, and exports of a job's rows.

Belongs here: the routes. Does not belong here: what they do (`lake_api.jobs.service`).
"""

from typing import Annotated, Any, cast
from uuid import UUID

from litestar import Response, delete, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from lake_api.audit.answering import answer_audited_problem, audited, begin, tell
from lake_api.errors import Forbidden, InvalidRequest, LakeError
from lake_api.exports.schemas import (
    EXPORT_EXAMPLE,
    EXPORT_REQUEST_EXAMPLE,
    QUEUED_EXPORT_EXAMPLE,
    ExportInfo,
    ExportList,
    ExportRequest,
    JobExportRequest,
)
from lake_api.identity import requires_agent, requires_operation
from lake_api.jobs.asked import EXPORT, JOB
from lake_api.jobs.controller import (
    ASK_ERRORS,
    ERRORS,
    IdempotencyKey,
    JobId,
    Jobs,
    PageNumber,
    PageSize,
    caller_of,
    enabled,
)
from lake_api.jobs.controller import ROUTE as JOBS_ROUTE
from lake_api.jobs.results import problem_of, stored_result
from lake_api.jobs.schemas import JobProgress
from lake_api.jobs.service import JobService, disabled, unknown
from lake_api.jobs.states import State
from lake_api.jobs.table import JobRow
from lake_api.peers import own_url
from lake_api.query.messages import Compression, FileForm
from lake_api.query.rate_limit import counts_look, counts_request
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest

ROUTE = "/api/v1/internal/lake/exports"
_GUARDS = [requires_agent, requires_operation("exports")]
_ERRORS: dict[int, LakeError] = {
    **ERRORS,
    403: Forbidden("This token does not allow `exports`.", code="operation_not_allowed"),
    503: disabled("exports"),
}
_BAD_FORMAT = InvalidRequest("format: Invalid enum value 'xml'", field="format")
_MISSING: dict[int, LakeError] = {404: unknown(EXPORT)}
_ExportId = Annotated[UUID, Parameter(description="The export's id.")]
_ACCEPTED = ResponseSpec(
    data_container=ExportInfo,
    generate_examples=False,
    description="The export.",
    examples=[Example(value=QUEUED_EXPORT_EXAMPLE)],
)
_FOUND = ResponseSpec(
    data_container=ExportInfo,
    generate_examples=False,
    description="The export.",
    examples=[Example(value=EXPORT_EXAMPLE)],
)


@post(
    ROUTE,
    operation_id="start_export",
    summary="Export a query's rows",
    description="The same guarded SQL as the query route; its rows become a file in the "
    "background, to be downloaded by a link for 7 days. Numbers are written exactly, "
    "however large; CSV is as the query route writes it. A repeat with the same "
    "`Idempotency-Key` is the same export.",
    tags=["exports"],
    guards=[*_GUARDS, counts_request],
    middleware=[audited("start_export")],
    exception_handlers={Exception: answer_audited_problem},
    status_code=202,
    responses={202: _ACCEPTED, **problem_responses({**_ERRORS, **ASK_ERRORS, 422: _BAD_FORMAT})},
)
async def start_export(
    data: Annotated[ExportRequest, Body(examples=[Example(value=EXPORT_REQUEST_EXAMPLE)])],
    request: LakeRequest,
    jobs: Jobs,
    idempotency_key: IdempotencyKey = None,
) -> Response[ExportInfo]:
    """Check the text, and let it wait for its turn."""
    service = enabled(jobs, "exports")
    tell(request, sql=data.sql, form=data.format)
    export, _ = await service.ask(
        EXPORT,
        caller_of(request),
        data.sql,
        max_rows=data.max_rows,
        form=FileForm(data.format),
        compression=Compression(data.compression),
        idempotency_key=idempotency_key,
    )
    tell(request, subject=str(export.id), datasets=tuple(export.datasets))
    return _accepted(service, export, request)


@post(
    f"{JOBS_ROUTE}/{{job_id:uuid}}/exports",
    operation_id="export_job",
    summary="Export a job's rows",
    description="The rows that the job has kept, as a file; the query is not run again.",
    tags=["exports"],
    guards=[*_GUARDS, counts_request],
    middleware=[audited("start_export")],
    exception_handlers={Exception: answer_audited_problem},
    status_code=202,
    responses={
        202: _ACCEPTED,
        **problem_responses({**_ERRORS, **ASK_ERRORS, 404: unknown(JOB), 422: _BAD_FORMAT}),
    },
)
async def export_job(
    data: Annotated[JobExportRequest, Body(examples=[Example(value={"format": "parquet"})])],
    job_id: JobId,
    request: LakeRequest,
    jobs: Jobs,
    idempotency_key: IdempotencyKey = None,
) -> Response[ExportInfo]:
    """Let it wait for its turn."""
    service, caller = enabled(jobs, "exports"), caller_of(request)
    tell(request, form=data.format, subject=str(job_id))
    export, _ = await service.export_job(
        caller,
        await service.get(JOB, job_id, caller),
        form=FileForm(data.format),
        compression=Compression(data.compression),
        idempotency_key=idempotency_key,
    )
    tell(request, subject=f"{job_id} {export.id}", datasets=tuple(export.datasets))
    return _accepted(service, export, request)


@get(
    ROUTE,
    operation_id="list_exports",
    summary="List exports",
    description="The caller's own, newest first; for a swarm those of its agents, for the admin "
    "all.",
    tags=["exports"],
    guards=[*_GUARDS, counts_look],
    middleware=[audited("list_exports", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    responses={
        200: ResponseSpec(
            data_container=ExportList,
            generate_examples=False,
            description="A page of exports, without links.",
            examples=[
                Example(
                    value={
                        "exports": [
                            {
                                **EXPORT_EXAMPLE,
                                **dict.fromkeys(("file_name", "url", "url_expires_at")),
                            }
                        ],
                        "page": 1,
                        "page_size": 50,
                        "total": 1,
                    }
                )
            ],
        ),
        **problem_responses(
            {**_ERRORS, 422: InvalidRequest("page: Expected `int` >= 1", field="page")}
        ),
    },
)
async def list_exports(
    request: LakeRequest, jobs: Jobs, page: PageNumber = 1, page_size: PageSize = 50
) -> ExportList:
    """A page of them."""
    rows, total = await enabled(jobs, "exports").listed(
        EXPORT, caller_of(request), page=page, page_size=page_size
    )
    exports = tuple(_info(one) for one in rows)
    return ExportList(exports=exports, page=page, page_size=page_size, total=total)


@get(
    f"{ROUTE}/{{export_id:uuid}}",
    operation_id="get_export",
    summary="State of an export, and its link",
    tags=["exports"],
    guards=[*_GUARDS, counts_look],
    middleware=[audited("read_export", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    responses={200: _FOUND, **problem_responses({**_ERRORS, **_MISSING})},
)
async def get_export(export_id: _ExportId, request: LakeRequest, jobs: Jobs) -> ExportInfo:
    """Its state, and a fresh link once there is a file."""
    service = enabled(jobs, "exports")
    tell(request, subject=str(export_id))
    export = _info(await service.get(EXPORT, export_id, caller_of(request)), service, request)
    tell(request, datasets=export.datasets, form=export.format)
    if export.url is not None:
        # Whoever has the link has the rows: each is recorded.
        tell(request, is_cheap=False)
    return export


@delete(
    f"{ROUTE}/{{export_id:uuid}}",
    operation_id="delete_export",
    summary="Remove an export",
    description="Stops it where it runs, and removes its file; its links end with it.",
    tags=["exports"],
    guards=[*_GUARDS, counts_look],
    middleware=[audited("delete_export")],
    exception_handlers={Exception: answer_audited_problem},
    status_code=200,
    responses={
        200: ResponseSpec(
            data_container=ExportInfo,
            generate_examples=False,
            description="The export, as it was, without a link.",
            examples=[Example(value=QUEUED_EXPORT_EXAMPLE)],
        ),
        **problem_responses({**_ERRORS, **_MISSING}),
    },
)
async def delete_export(export_id: _ExportId, request: LakeRequest, jobs: Jobs) -> ExportInfo:
    """Stop and remove it."""
    service, caller = enabled(jobs, "exports"), caller_of(request)
    tell(request, subject=str(export_id))
    export = await service.get(EXPORT, export_id, caller)
    await begin(request, "delete_export", str(export_id))
    await service.discard(caller, export)
    return _info(export)


def _accepted(service: JobService, export: JobRow, request: LakeRequest) -> Response[ExportInfo]:
    return Response(_info(export, service, request), headers={"Location": f"{ROUTE}/{export.id}"})


def _info(
    export: JobRow, service: JobService | None = None, request: LakeRequest | None = None
) -> ExportInfo:
    """An export as callers see it; with the service and whoever asks, a link as well."""
    result = stored_result(export) if export.result is not None else None
    name = url = url_expires_at = None
    if service is not None and request is not None and export.state == State.SUCCEEDED.value:
        file = service.file_of(export)
        name = file.name
        url, url_expires_at = service.links.make(
            file,
            holder=caller_of(request),
            own_url=own_url(request, service.settings),
        )
    return ExportInfo(
        id=export.id,
        state=cast(Any, export.state),
        format=cast(Any, export.form),
        compression=cast(Any, export.compression),
        job_id=export.source_id,
        sql=export.sql,
        datasets=tuple(export.datasets),
        progress=JobProgress(stage=export.stage, rows=export.rows_done, bytes=export.bytes_done),
        created_at=export.created_at,
        finished_at=export.finished_at,
        expires_at=export.expires_at,
        error=problem_of(export),
        row_count=result.row_count if result else None,
        bytes=result.bytes if result else None,
        truncated=result.truncated if result else None,
        warnings=result.warnings if result else None,
        file_name=name,
        url=url,
        url_expires_at=url_expires_at,
    )


EXPORT_ROUTES = (start_export, export_job, list_exports, get_export, delete_export)
