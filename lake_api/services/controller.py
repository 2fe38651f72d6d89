"""`…/lake/services`: the parts of the lake, how they stand, and telling them to do something.

Belongs here: the routes.
Does not belong here: the services (`catalogue`), what commands do (`commands`).
"""

import uuid
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, HeaderParameter, Parameter, QueryParameter, SkipValidation

from lake_api.audit.answering import answer_audited_problem, audited, begin
from lake_api.audit.log import audit_unavailable
from lake_api.errors import (
    BodyTooLarge,
    Forbidden,
    InvalidRequest,
    LakeError,
    NotAuthenticated,
    NotFound,
    ServiceUnavailable,
    TaskRejected,
    UnsupportedMediaType,
    UpstreamRejected,
)
from lake_api.identity import requires_admin
from lake_api.nearest import did_you_mean
from lake_api.operations.commands import CommandOperations
from lake_api.operations.controller import ROUTE as OPERATIONS_ROUTE
from lake_api.operations.controller import operation_response
from lake_api.operations.schemas import Operation
from lake_api.services.catalogue import SERVICES, Service
from lake_api.services.commands import Parts
from lake_api.services.runner import CommandRunner
from lake_api.services.schemas import (
    LIST_EXAMPLE,
    MAX_PAYLOAD_CHARS,
    REQUEST_EXAMPLE,
    STATUS_EXAMPLE,
    CommandRequest,
    ServiceInfo,
    ServiceList,
    ServiceStatus,
)
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest

ROUTE = "/api/v1/internal/lake/services"

_MAX_INT32 = 2**31 - 1
_SECURITY: list[dict[str, list[str]]] = [{"InternalApiKey": []}]
_ERRORS: dict[int, LakeError] = {
    401: NotAuthenticated("This route needs the internal API key."),
    403: Forbidden("Admin routes are switched off.", code="admin_disabled"),
    503: audit_unavailable(),
}
_MISSING: dict[int, LakeError] = {
    404: NotFound("There is no such service.", code="unknown_service"),
}
_COMMAND_ERRORS: dict[int, LakeError] = {
    **_ERRORS,
    **_MISSING,
    400: TaskRejected("There is no task `lake.fly`.", code="unknown_task"),
    409: InvalidRequest("This operation-id is that of another request.", code="operation_id_taken"),
    413: BodyTooLarge("The body has more than 65536 bytes."),
    415: UnsupportedMediaType("The body must be JSON."),
    422: InvalidRequest("There is no dataset of this name.", code="unknown_dataset"),
    502: UpstreamRejected("Dagster refused: Could not find Pipeline"),
    503: ServiceUnavailable(
        "The service's database does not answer.", code="database_unavailable", retry=True
    ),
}

ServiceId = Annotated[str, Parameter(description="The id of a service.")]


@get(
    ROUTE,
    operation_id="list_services",
    summary="List services",
    description="The parts of the lake. `metaInclude=page` adds how many there are.",
    tags=["operations"],
    guards=[requires_admin],
    middleware=[audited("list_services", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    security=_SECURITY,
    responses={
        200: ResponseSpec(
            data_container=ServiceList,
            generate_examples=False,
            description="A page of services.",
            examples=[Example(value=LIST_EXAMPLE)],
        ),
        **problem_responses(
            {**_ERRORS, 422: InvalidRequest("size: Expected `int` >= 1", field="size")}
        ),
    },
    sync_to_thread=False,
)
def list_services(
    size: Annotated[int, Parameter(description="Services per page.", ge=1, le=_MAX_INT32)] = 50,
    offset: Annotated[int, Parameter(description="Skip so many.", ge=0, le=_MAX_INT32)] = 0,
    meta_include: Annotated[
        list[Literal["page"]] | None,
        QueryParameter(name="metaInclude", description="`page` adds `totalCount`."),
    ] = None,
) -> ServiceList:
    """A page of them, always in the same order."""
    shown = SERVICES[offset : offset + size]
    return ServiceList(
        services=tuple(ServiceInfo(id=one.id, name=one.name) for one in shown),
        total_count=len(SERVICES) if meta_include else None,
    )


@get(
    f"{ROUTE}/{{service_id:str}}/status",
    operation_id="get_service_status",
    summary="How a service stands",
    description="Whether it is ready, why not, and which commands it takes.",
    tags=["operations"],
    guards=[requires_admin],
    middleware=[audited("read_service", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    security=_SECURITY,
    responses={
        200: ResponseSpec(
            data_container=ServiceStatus,
            generate_examples=False,
            description="The status, in the service's own words.",
            examples=[Example(value=STATUS_EXAMPLE)],
        ),
        **problem_responses({**_ERRORS, **_MISSING}),
    },
)
async def get_service_status(
    service_id: ServiceId, service_parts: NamedDependency[SkipValidation[Parts]]
) -> ServiceStatus:
    """Ask it."""
    return ServiceStatus(status=await _service(service_id).status(service_parts))


@post(
    f"{ROUTE}/{{service_id:str}}/commands/{{command_name:str}}/run",
    operation_id="run_service_command",
    summary="Run a command of a service",
    description="It runs in the background; its operation says how it stands. The header "
    "`operation-id` chooses the operation's id: a request that is sent again with the same one "
    "begins nothing, and is answered with how the first one stands.",
    tags=["operations"],
    guards=[requires_admin],
    middleware=[audited("run_command")],
    exception_handlers={Exception: answer_audited_problem},
    security=_SECURITY,
    status_code=202,
    response_headers=[
        ResponseHeader(
            name="operation-id", documentation_only=True, description="The operation's id."
        ),
        ResponseHeader(
            name="operation-location", documentation_only=True, description="Where it is told."
        ),
    ],
    responses={
        202: operation_response("The operation, as it stands."),
        **problem_responses(_COMMAND_ERRORS),
    },
)
async def run_service_command(
    *,
    request: LakeRequest,
    data: Annotated[CommandRequest, Body(examples=[Example(value=REQUEST_EXAMPLE)])],
    service_id: ServiceId,
    command_name: Annotated[str, Parameter(description="The name of one of its commands.")],
    service_parts: NamedDependency[SkipValidation[Parts]],
    command_runner: NamedDependency[SkipValidation[CommandRunner]],
    command_operations: NamedDependency[SkipValidation[CommandOperations]],
    operation_id: Annotated[
        str | None,
        HeaderParameter(
            name="operation-id",
            pattern=r"^[A-Za-z0-9._:-]{1,64}$",
            description="The id that the operation shall have: 1 to 64 of A-Z a-z 0-9 . _ : -",
        ),
    ] = None,
) -> Response[Operation]:
    """Read the payload, begin, and tell the operation."""
    service = _service(service_id)
    command = service.command(command_name)
    if command is None:
        raise NotFound(
            "This service has no such command.",
            code="unknown_command",
            hint=did_you_mean(
                command_name,
                [one.name for one in service.commands],
                otherwise="Its status lists its commands.",
            ),
        )
    payload = data.payload or {}
    if len(msgspec.json.encode(payload).decode()) > MAX_PAYLOAD_CHARS:
        raise InvalidRequest(
            f"The payload has more than {MAX_PAYLOAD_CHARS} characters.", field="payload"
        )
    await begin(request, "run_command", f"{service_id}/{command_name}")
    kept = await command_runner.start(
        command.prepare(service_parts, payload),
        operation_id=operation_id or str(uuid.uuid4()),
        service=service.id,
        command=command.name,
        payload=payload,
    )
    told: dict[str, Any] = {
        "operation-id": kept.operation_id,
        "operation-location": f"{OPERATIONS_ROUTE}/{kept.operation_id}",
    }
    operation = await command_operations.tell(kept)
    return Response(operation, status_code=202, headers=told)


def _service(service_id: str) -> Service:
    found = next((one for one in SERVICES if one.id == service_id), None)
    if found is None:
        names = [one.id for one in SERVICES]
        raise NotFound(
            "There is no such service.",
            code="unknown_service",
            hint=did_you_mean(service_id, names, otherwise=f"There are {', '.join(names)}."),
        )
    return found
