"""`GET /api/v1/internal/lake/usage`: what a caller has used and has left.

Belongs here: the route, and whose use a caller may see.
Does not belong here: counting (`standing`).

Everyone sees its own; the admin sees any token's, a swarm those of its agents. What a caller may
not see does not exist for it.
"""

from typing import Annotated, cast
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Parameter, SkipValidation

from lake_api.audit.answering import answer_audited_problem, audited, tell
from lake_api.errors import InvalidRequest, NotAuthenticated, NotFound, ServiceUnavailable
from lake_api.identity import Caller, Role, requires_agent
from lake_api.tokens.secret import TokenKind
from lake_api.tokens.store import TokenStore
from lake_api.usage.schemas import USAGE_EXAMPLE, Usage
from lake_api.usage.standing import UsageBook
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest


@get(
    "/api/v1/internal/lake/usage",
    operation_id="get_usage",
    summary="What is used and what is left",
    description="Every limit that binds the caller: requests per second, minute and hour, queries "
    "at once, and rows, bytes and seconds of the UTC day. Asking counts towards none of them.",
    tags=["lake"],
    guards=[requires_agent],
    middleware=[audited("read_usage", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    responses={
        200: ResponseSpec(
            data_container=Usage,
            generate_examples=False,
            description="How the caller, or the token that it asked for, stands.",
            examples=[Example(value=USAGE_EXAMPLE)],
        ),
        **problem_responses(
            {
                401: NotAuthenticated("The bearer token is not valid.", code="invalid_token"),
                404: NotFound("There is no such token.", code="unknown_token"),
                422: InvalidRequest("token_id: Invalid UUID", field="token_id"),
                503: ServiceUnavailable(
                    "The service's database does not answer.",
                    code="database_unavailable",
                    retry=True,
                ),
            }
        ),
    },
)
async def get_usage(
    request: LakeRequest,
    tokens: NamedDependency[SkipValidation[TokenStore]],
    usage_book: NamedDependency[SkipValidation[UsageBook]],
    token_id: Annotated[
        UUID | None,
        Parameter(description="Another token: any for the admin, one of its agents for a swarm."),
    ] = None,
) -> Usage:
    """Look it up."""
    caller = cast(Caller, request.scope["user"])
    tell(request, subject=None if token_id is None else str(token_id))
    if token_id is not None and token_id != caller.token_id:
        caller = await _other(caller, token_id, tokens)
    return await usage_book.usage(caller)


async def _other(caller: Caller, token_id: UUID, tokens: TokenStore) -> Caller:
    """The holder of another token, as if it asked."""
    token = await tokens.get(token_id) if caller.role is not Role.AGENT else None
    is_its_own = caller.role is Role.ADMIN or (
        token is not None and token.swarm_id == caller.token_id
    )
    if token is None or not is_its_own:
        raise NotFound("There is no such token.", code="unknown_token")
    swarm = await tokens.get(token.swarm_id) if token.swarm_id is not None else None
    is_swarm = token.kind is TokenKind.SWARM
    return Caller(
        role=Role.SWARM if is_swarm else Role.AGENT,
        name=token.name,
        grant=token.grant if swarm is None else token.grant.inside(swarm.grant),
        token_id=token.id,
        swarm_id=token.id if is_swarm else token.swarm_id,
    )
