"""`GET …/lake/operations/{id}`: how anything that takes long stands.

Belongs here: the route.
Does not belong here: what each kind of operation is (a module for each).

An operation of somebody else and one that does not exist are answered alike.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol, cast

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Parameter, SkipValidation

from lake_api.audit.answering import answer_audited_problem, audited, tell
from lake_api.errors import (
    Forbidden,
    LakeError,
    NotAuthenticated,
    NotFound,
    ServiceUnavailable,
    UpstreamRejected,
)
from lake_api.identity import Caller, requires_agent
from lake_api.operations.schemas import (
    FAILED_EXAMPLE,
    PENDING_EXAMPLE,
    SUCCEEDED_EXAMPLE,
    Operation,
)
from lake_api.query.rate_limit import LIMIT_ERRORS, counts_look
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest

ROUTE = "/api/v1/internal/lake/operations"

_EXAMPLES = [
    Example(summary="pending", value=PENDING_EXAMPLE),
    Example(summary="succeeded", value=SUCCEEDED_EXAMPLE),
    Example(summary="failed", value=FAILED_EXAMPLE),
]
_ERRORS: dict[int, LakeError] = {
    401: NotAuthenticated("The bearer token is not valid.", code="invalid_token"),
    403: Forbidden("Admin routes are switched off.", code="admin_disabled"),
    404: NotFound("There is no such operation.", code="unknown_operation"),
    429: LIMIT_ERRORS[429],
    502: UpstreamRejected("Dagster refused: Could not find Pipeline"),
    503: ServiceUnavailable(
        "Dagster does not answer.", code="dagster_unavailable", retry=True, retry_after_s=5
    ),
}


class OperationSource(Protocol):
    """One kind of operations."""

    async def find(self, operation_id: str, caller: Caller) -> Operation | None:
        """The operation of this id, when it is of this kind and the caller may see it."""
        ...


def operation_response(description: str) -> ResponseSpec:
    """The documentation of an answer that is an operation."""
    container: Any = Operation
    return ResponseSpec(
        data_container=container,
        generate_examples=False,
        description=description,
        examples=_EXAMPLES,
    )


@get(
    f"{ROUTE}/{{operation_id:str}}",
    operation_id="get_operation",
    summary="How an operation stands",
    description="A command of a service, a job, an export, a materialization or a backfill, by "
    "the id that it was answered with: pending, succeeded, or failed with an error. "
    "Materializations and backfills are told to those who may trigger them.",
    tags=["operations"],
    guards=[requires_agent, counts_look],
    middleware=[audited("read_operation", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    responses={200: operation_response("The operation."), **problem_responses(_ERRORS)},
)
async def get_operation(
    operation_id: Annotated[str, Parameter(description="The id of the operation.")],
    request: LakeRequest,
    operation_sources: NamedDependency[SkipValidation[Sequence[OperationSource]]],
) -> Operation:
    """Ask each kind in turn."""
    tell(request, subject=operation_id)
    caller = cast(Caller, request.scope["user"])
    for source in operation_sources:
        found = await source.find(operation_id, caller)
        if found is not None:
            return found
    raise NotFound(
        "There is no such operation.",
        code="unknown_operation",
        hint="Use the id that the operation was answered with.",
    )
