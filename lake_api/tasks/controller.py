"""`POST /api/v1/internal/tasks/trigger` and `GET /api/v1/internal/tasks/{task_id}`.

Belongs here: the routes.
Does not belong here: which days (`plan`), Dagster's words (`dagster`, `status`).
"""

import logging
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter, SkipValidation

from lake_api.audit.answering import answer_audited_problem, audited, begin, tell
from lake_api.clock import Clock
from lake_api.errors import (
    BodyTooLarge,
    Forbidden,
    LakeError,
    NotAuthenticated,
    NotFound,
    ServiceUnavailable,
    TaskRejected,
    UnsupportedMediaType,
    UpstreamRejected,
)
from lake_api.identity import requires_admin
from lake_api.tasks.dagster import DagsterClient, is_task_id
from lake_api.tasks.plan import plan_task
from lake_api.tasks.schemas import (
    STATUS_EXAMPLE,
    TRIGGER_EXAMPLE,
    TRIGGERED_EXAMPLE,
    TaskStatus,
    TriggerAnswer,
    TriggerRequest,
)
from lake_api.tasks.status import read_state
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest
from lake_assets.catalog import Catalog

_log = logging.getLogger("lake_api.tasks")

_ADMIN_ERRORS: dict[int, LakeError] = {
    401: NotAuthenticated("This route needs the internal API key."),
    403: Forbidden("Admin routes are switched off.", code="admin_disabled"),
    502: UpstreamRejected("Dagster refused: Could not find Pipeline"),
    503: ServiceUnavailable(
        "Dagster does not answer; nothing was started.",
        code="dagster_unavailable",
        retry=True,
        retry_after_s=5,
    ),
}

_TRIGGER_RESPONSES = {
    200: ResponseSpec(
        data_container=TriggerAnswer,
        generate_examples=False,
        description="The run or backfill was queued.",
        examples=[Example(value=TRIGGERED_EXAMPLE)],
    ),
    **problem_responses(
        {
            **_ADMIN_ERRORS,
            400: TaskRejected(
                "There is no task `lake.export_example_run`.",
                code="unknown_task",
                hint="Did you mean `lake.export_example_runs`?",
                field="task",
            ),
            413: BodyTooLarge("The body has more than 65536 bytes."),
            415: UnsupportedMediaType("The body must be JSON."),
            422: TaskRejected(
                "2027-01-01 is in the future: the current UTC day is 2026-11-22.",
                code="date_in_future",
            ),
        }
    ),
}

_STATUS_RESPONSES = {
    200: ResponseSpec(
        data_container=TaskStatus,
        generate_examples=False,
        description="How the task stands.",
        examples=[Example(value=STATUS_EXAMPLE)],
    ),
    **problem_responses(
        {**_ADMIN_ERRORS, 404: NotFound("There is no task with this id.", code="unknown_task_id")}
    ),
}


@post(
    "/api/v1/internal/tasks/trigger",
    operation_id="trigger_task",
    summary="Launch a task now",
    description="Launches the Dagster run of one day, or one backfill of a range of days.",
    tags=["tasks"],
    guards=[requires_admin],
    middleware=[audited("trigger_task")],
    exception_handlers={Exception: answer_audited_problem},
    security=[{"InternalApiKey": []}],
    status_code=200,
    responses=_TRIGGER_RESPONSES,
)
async def trigger_task(
    data: Annotated[TriggerRequest, Body(examples=[Example(value=TRIGGER_EXAMPLE)])],
    request: LakeRequest,
    catalog: NamedDependency[SkipValidation[Catalog]],
    dagster: NamedDependency[SkipValidation[DagsterClient]],
    clock: NamedDependency[SkipValidation[Clock]],
) -> TriggerAnswer:
    """Plan the days and launch them."""
    plan = plan_task(catalog, data.task, data.kwargs, today=clock().date())
    what = plan.task.name if plan.first is None else f"{plan.task.name} {plan.first}..{plan.last}"
    await begin(request, "trigger_task", what)
    task_id = await dagster.launch(plan)
    request.state["audit_subject"] = f"{what} {task_id}"
    _log.info(
        "task triggered",
        extra={
            "task": plan.task.name,
            "task_id": task_id,
            "first_day": plan.first,
            "last_day": plan.last,
        },
    )
    return TriggerAnswer(
        task=plan.task.name,
        task_id=task_id,
        status="queued",
        first_day=plan.first,
        last_day=plan.last,
    )


@get(
    "/api/v1/internal/tasks/{task_id:str}",
    operation_id="get_task",
    summary="How a triggered task stands",
    description="The state of a run or backfill, the days done and failed, and the first error.",
    tags=["tasks"],
    guards=[requires_admin],
    middleware=[audited("read_task", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    security=[{"InternalApiKey": []}],
    responses=_STATUS_RESPONSES,
)
async def get_task(
    task_id: Annotated[str, Parameter(description="The id that the trigger answered.")],
    request: LakeRequest,
    catalog: NamedDependency[SkipValidation[Catalog]],
    dagster: NamedDependency[SkipValidation[DagsterClient]],
) -> TaskStatus:
    """Look the id up as run and as backfill."""
    tell(request, subject=task_id)
    found = read_state(catalog, await dagster.find(task_id)) if is_task_id(task_id) else None
    if found is None:
        raise NotFound(
            "There is no task with this id.",
            code="unknown_task_id",
            hint="Use the `task_id` that the trigger answered.",
        )
    if found.failed_run_id is not None:
        error = await dagster.first_failure(found.failed_run_id)
        return msgspec.structs.replace(found.status, error=error)
    if found.short_run_id is not None:
        left_out = await dagster.first_left_out(found.short_run_id)
        return msgspec.structs.replace(found.status, left_out=left_out)
    return found.status
